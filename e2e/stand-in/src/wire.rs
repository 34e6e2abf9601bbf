//! HTTP/1.1 on one connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::http::{Head, parse_head};

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: u64 = 1024 * 1024;

/// The next thing received on a connection.
pub(crate) enum Incoming {
    Request(Head, Body),
    /// Not HTTP, with the reason.
    Malformed(String),
    /// The peer has closed the connection.
    End,
}

/// The body of a request.
pub(crate) enum Body {
    Read(Vec<u8>),
    /// Not read, because its length is unknown or too large.
    Unread,
}

/// What happens to a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterResponse {
    KeepAlive,
    Close,
    Reset,
}

/// One connection.
pub(crate) struct Wire {
    stream: Stream,
    /// Bytes read but not yet used.
    unused: Vec<u8>,
    /// Whether a part of the current request may be unread.
    has_unread_request: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn new(tcp: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        // Sends each piece of a drip immediately.
        tcp.set_nodelay(true)?;
        let stream = match tls {
            None => Stream::Plain(tcp),
            Some(config) => {
                let session = ServerConnection::new(config).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(session, tcp)))
            }
        };
        Ok(Self { stream, unused: Vec::new(), has_unread_request: false })
    }

    /// The next request with its body.
    pub(crate) fn receive(&mut self) -> io::Result<Incoming> {
        loop {
            match parse_head(&self.unused) {
                Ok(Some((head, length))) => {
                    self.unused.drain(..length);
                    let body = self.read_body(&head)?;
                    return Ok(Incoming::Request(head, body));
                }
                Ok(None) if self.unused.len() < MAX_HEAD => {}
                Ok(None) => {
                    self.has_unread_request = true;
                    return Ok(Incoming::Malformed("the head is too long".to_owned()));
                }
                Err(why) => {
                    self.has_unread_request = true;
                    return Ok(Incoming::Malformed(why));
                }
            }
            if self.read_more()? == 0 {
                return Ok(Incoming::End);
            }
        }
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut piece = [0; 8 * 1024];
        let length = self.stream.read(&mut piece)?;
        self.unused.extend(piece.iter().take(length));
        Ok(length)
    }

    /// The body, empty if the request has none. [`Body::Unread`] if its length isn't given by a single valid
    /// `Content-Length`, or exceeds `MAX_BODY`.
    fn read_body(&mut self, head: &Head) -> io::Result<Body> {
        if !head.has_body() {
            return Ok(Body::Read(Vec::new()));
        }
        let mut lengths = head.values("Content-Length");
        let length = match (lengths.next(), lengths.next(), head.values("Transfer-Encoding").next()) {
            (Some(length), None, None) => length.parse::<u64>().ok(),
            _ => None,
        };
        let Some(length) = length.filter(|length| *length <= MAX_BODY) else {
            self.has_unread_request = true;
            return Ok(Body::Unread);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        while self.unused.len() < length {
            if self.read_more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Body::Read(self.unused.drain(..length).collect()))
    }

    /// Whether another request can follow on this connection.
    pub(crate) fn keeps_alive(&self, head: &Head) -> bool {
        !head.asks_to_close() && !self.has_unread_request
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Waits this long. Returns `false` if the peer or the stopping server closes the connection first.
    ///
    /// Reads from the socket to notice a closed connection. Discards what it reads: a client that waits for a
    /// response sends nothing that is still needed.
    pub(crate) fn wait(&mut self, how_long: Duration) -> bool {
        // A read timeout is only as precise as the kernel's ticks, so the last part of the wait is a sleep.
        const TICKS: Duration = Duration::from_millis(10);

        let Some(end) = Instant::now().checked_add(how_long) else {
            return false;
        };
        let mut tcp = self.stream.tcp();
        let mut discarded = [0; 1024];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left <= TICKS {
                thread::sleep(left);
                return tcp.set_read_timeout(None).is_ok();
            }
            if tcp.set_read_timeout(Some(left.saturating_sub(TICKS))).is_err() {
                return false;
            }
            match tcp.read(&mut discarded) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    _ => return false,
                },
            }
        }
    }

    /// Ends the connection. The socket stays open until the server drops its second handle.
    pub(crate) fn end(mut self, after: AfterResponse) {
        // An error doesn't matter, because it means that the connection is already broken.
        let _broken = match after {
            AfterResponse::Reset => SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO)),
            AfterResponse::KeepAlive | AfterResponse::Close => self.close(),
        };
    }

    fn close(&mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        if self.has_unread_request {
            // Unread bytes would turn the close into a reset.
            self.stream.tcp().shutdown(Shutdown::Write)?;
            self.wait(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(piece),
            Self::Tls(stream) => stream.read(piece),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
