//! A client that hides nothing: bytes out, bytes in, and how the connection ended.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How a connection ended, seen from the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
    TimedOut,
}

#[derive(Debug)]
pub(crate) struct Received {
    head: String,
    pub body: Vec<u8>,
    pub end: End,
}

impl Received {
    /// 0 when no answer came.
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

/// Sends a request with a right `Host`, and reads until the connection ends.
pub(crate) fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Received {
    let (authority, path) = parts(url);
    let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{}", lines.concat());
    send(url, &format!("{request}Connection: close\r\n\r\n{body}"))
}

pub(crate) fn get(url: &str, headers: &[(&str, &str)]) -> Received {
    ask("GET", url, headers, "")
}

pub(crate) fn send(url: &str, request: &str) -> Received {
    let mut tcp = TcpStream::connect(parts(url).0).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    tcp.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let end = match tcp.read_to_end(&mut bytes) {
        Ok(_) => End::Closed,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
        Err(_) => End::TimedOut,
    };
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let body = bytes.get(head + 4..).unwrap_or_default().to_vec();
    Received { head: String::from_utf8_lossy(&bytes[..head]).into_owned(), body, end }
}

/// Authority and path.
pub(crate) fn parts(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").unwrap().1;
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}
