//! A client that hides nothing: bytes out, bytes in, and how the connection ended.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How a connection ended, seen from the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
    TimedOut,
}

#[derive(Debug)]
pub(crate) struct Received {
    pub bytes: Vec<u8>,
    pub end: End,
    /// When each read returned something, since the request was sent.
    pub reads: Vec<Duration>,
    pub took: Duration,
}

impl Received {
    fn split(&self) -> (&str, &[u8]) {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head in {:?}", self.text()));
        let head = std::str::from_utf8(&self.bytes[..end]).unwrap();
        (head, &self.bytes[end + 4..])
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn status(&self) -> u16 {
        self.split().0[9..12].parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.split().0.lines().skip(1);
        let mut found = lines
            .map(|line| line.split_once(": ").unwrap())
            .filter(|(sent, _)| sent.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        let first = found.next();
        assert!(found.next().is_none(), "{name} came twice");
        first
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.split().1
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.body()).unwrap()
    }
}

pub(crate) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    rest.split_once('/').map_or(rest, |(authority, _)| authority)
}

pub(crate) fn path(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    &rest[authority(url).len()..]
}

/// Sends these bytes and reads to the end, for at most so long.
pub(crate) fn send(url: &str, request: &[u8], patience: Duration) -> Received {
    let mut tcp = TcpStream::connect(authority(url)).unwrap();
    tcp.write_all(request).unwrap();
    read_to_end(&mut tcp, patience)
}

pub(crate) fn read_to_end(tcp: &mut TcpStream, patience: Duration) -> Received {
    let began = Instant::now();
    tcp.set_read_timeout(Some(patience)).unwrap();
    let mut bytes = Vec::new();
    let mut reads = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    let end = loop {
        match tcp.read(&mut piece) {
            Ok(0) => break End::Closed,
            Ok(length) => {
                bytes.extend_from_slice(&piece[..length]);
                reads.push(began.elapsed());
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break End::Reset,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                break End::TimedOut;
            }
        }
    };
    let took = began.elapsed();
    Received { bytes, end, reads, took }
}

/// A request head with a right `Host`.
pub(crate) fn head(method: &str, url: &str, headers: &[(&str, &str)]) -> String {
    let start = format!("{method} {} HTTP/1.1", path(url));
    let host = format!("Host: {}", authority(url));
    let mut lines = vec![start, host];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push("\r\n".to_owned());
    lines.join("\r\n")
}

/// One request on a connection of its own.
pub(crate) fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Received {
    let headers = [headers, &[("Connection", "close")]].concat();
    let request = head(method, url, &headers);
    send(url, request.as_bytes(), Duration::from_secs(5))
}

pub(crate) fn get(url: &str, headers: &[(&str, &str)]) -> Received {
    ask("GET", url, headers)
}
