//! A client that returns the response as it arrived, and how the connection ended.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How a connection ended for the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
    TimedOut,
}

#[derive(Debug)]
pub(crate) struct Response {
    head: String,
    pub body: Vec<u8>,
    pub end: End,
}

impl Response {
    /// The status, or 0 without a response.
    pub(crate) fn status(&self) -> u16 {
        self.head.get(9..12).map_or(0, |status| status.parse().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends a request with a valid `Host`, and reads until the connection ends.
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let (authority, path) = split_url(url);
    let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{}", lines.concat());
    send(url, &format!("{head}Connection: close\r\n\r\n{body}"))
}

pub(crate) fn get(url: &str, headers: &[(&str, &str)]) -> Response {
    request("GET", url, headers, "")
}

pub(crate) fn send(url: &str, request: &str) -> Response {
    let mut tcp = TcpStream::connect(split_url(url).0).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    tcp.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let end = match tcp.read_to_end(&mut bytes) {
        Ok(_) => End::Closed,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
        Err(_) => End::TimedOut,
    };
    let head_length = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(bytes.len());
    let body = bytes.get(head_length + 4..).unwrap_or_default().to_vec();
    Response { head: String::from_utf8_lossy(&bytes[..head_length]).into_owned(), body, end }
}

/// The authority and the path of a URL.
pub(crate) fn split_url(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").unwrap().1;
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}
