//! HTTP/1.1 on one connection: requests in, answers out, well or badly.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::Behaviour;

const LONGEST_HEAD: usize = 64 * 1024;
const MOST_HEADERS: usize = 128;
const LONGEST_BODY: u64 = 1024 * 1024;

/// A request without its body.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// 0 or 1, for HTTP/1.0 and HTTP/1.1.
    pub minor_version: u8,
}

impl Head {
    /// The values of all headers of this name, in whatever case.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&*self.target, |(path, _)| path)
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Whether more than a head was sent.
    pub(crate) fn has_body(&self) -> bool {
        self.values("Transfer-Encoding").next().is_some()
            || self.values("Content-Length").any(|length| length != "0")
    }

    fn asks_to_close(&self) -> bool {
        self.minor_version == 0
            || self.values("Connection").any(|value| value.to_ascii_lowercase().contains("close"))
    }
}

/// An answer before anything goes wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// By the service's own clock.
    pub unix_seconds: i64,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            body: body.into(),
            unix_seconds: unix_seconds(),
        }
    }

    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a behaviour makes of a good answer, as far as that is another answer.
    pub(crate) fn replaced_by(mut self, behaviour: &Behaviour) -> Self {
        match behaviour {
            Behaviour::Status { code, headers, body } => {
                self.status = *code;
                self.headers.clone_from(headers);
                self.body = body.as_bytes().to_vec();
            }
            Behaviour::Redirect { code, to } => {
                self.status = *code;
                self.headers = vec![("Location".to_owned(), to.clone())];
                self.body.clear();
            }
            Behaviour::Html => {
                "text/html; charset=utf-8".clone_into(&mut self.content_type);
                self.body = HTML.into();
            }
            Behaviour::EmptyBody => self.body.clear(),
            Behaviour::InvalidUtf8 => self.body = b"{\"key_id\":\"\xff\xfe\xc3\x28\"}".to_vec(),
            Behaviour::Body(bytes) => self.body.clone_from(bytes),
            _ => {}
        }
        self
    }
}

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\
    <body><h1>Sign in to the network</h1></body></html>\n";

/// What a service makes of a request.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub answer: Answer,
    /// Why the service refuses the request.
    pub refusal: Option<String>,
}

impl Judgement {
    pub(crate) fn ok(answer: Answer) -> Self {
        Self { answer, refusal: None }
    }

    pub(crate) fn refused(answer: Answer, why: impl Into<String>) -> Self {
        Self { answer, refusal: Some(why.into()) }
    }
}

/// This computer's clock.
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// What came in on a connection.
pub(crate) enum Incoming {
    Head(Head),
    /// Not HTTP, for this reason.
    Malformed(String),
    /// The peer has closed the connection.
    End,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Next,
    Close,
    Reset,
}

/// One connection.
pub(crate) struct Wire {
    stream: Stream,
    /// What has been read and not yet been used.
    unread: Vec<u8>,
    /// A part of the current request was left unread.
    request_left: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn new(tcp: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        // Each piece of a drip is to leave at once.
        tcp.set_nodelay(true)?;
        let stream = match tls {
            None => Stream::Plain(tcp),
            Some(config) => {
                let session = ServerConnection::new(config).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(session, tcp)))
            }
        };
        Ok(Self { stream, unread: Vec::new(), request_left: false })
    }

    /// The next request; its body, if any, is read and dropped.
    pub(crate) fn receive(&mut self) -> io::Result<Incoming> {
        loop {
            match parse_head(&self.unread) {
                Ok(Some((head, length))) => {
                    self.unread.drain(..length);
                    self.drop_body(&head)?;
                    return Ok(Incoming::Head(head));
                }
                Ok(None) if self.unread.len() < LONGEST_HEAD => {}
                Ok(None) => {
                    self.request_left = true;
                    return Ok(Incoming::Malformed("the head is too long".to_owned()));
                }
                Err(why) => {
                    self.request_left = true;
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
        self.unread.extend(piece.iter().take(length));
        Ok(length)
    }

    fn drop_body(&mut self, head: &Head) -> io::Result<()> {
        if !head.has_body() {
            return Ok(());
        }
        let mut lengths = head.values("Content-Length");
        let length = match (lengths.next(), lengths.next()) {
            (Some(length), None) => length.parse::<u64>().ok(),
            _ => None,
        };
        let Some(length) = length.filter(|length| *length <= LONGEST_BODY) else {
            self.request_left = true;
            return Ok(());
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        while self.unread.len() < length {
            if self.read_more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.unread.drain(..length);
        Ok(())
    }

    /// Sends the answer as the behaviour says.
    pub(crate) fn send(&mut self, head: &Head, answer: &Answer, behaviour: &Behaviour) -> io::Result<After> {
        let keep = !head.asks_to_close() && !self.request_left;
        let body = match head.method.as_str() {
            "HEAD" => &[],
            _ => answer.body.as_slice(),
        };
        let length = answer.body.len();
        let (first, rest) = body.split_at(body.len() / 2);
        let next = if keep { After::Next } else { After::Close };

        match behaviour {
            Behaviour::Ok
            | Behaviour::Status { .. }
            | Behaviour::Redirect { .. }
            | Behaviour::Html
            | Behaviour::EmptyBody
            | Behaviour::InvalidUtf8
            | Behaviour::Body(_) => {
                self.write(&[&answer.head(Length::Known(length), keep), body].concat())?;
                Ok(next)
            }
            Behaviour::ResetBeforeAnswer => Ok(After::Reset),
            Behaviour::CloseBeforeAnswer => Ok(After::Close),
            Behaviour::Raw(bytes) => {
                self.write(bytes)?;
                Ok(After::Close)
            }
            Behaviour::ResetMidBody => {
                // Half of nothing would be the whole: promise one byte at least.
                let start = answer.head(Length::Known(length.max(1)), keep);
                self.write(&[&start, first].concat())?;
                Ok(After::Reset)
            }
            Behaviour::StallBeforeHeader(how_long) => {
                if !self.wait(*how_long) {
                    return Ok(After::Close);
                }
                self.send(head, answer, &Behaviour::Ok)
            }
            Behaviour::StallInBody(how_long) => {
                let start = answer.head(Length::Known(length), keep);
                self.write(&[&start, first].concat())?;
                if !self.wait(*how_long) {
                    return Ok(After::Close);
                }
                self.write(rest)?;
                Ok(next)
            }
            Behaviour::Drip { bytes, every } => {
                self.write(&answer.head(Length::Known(length), keep))?;
                for (index, piece) in body.chunks((*bytes).max(1)).enumerate() {
                    if index > 0 && !self.wait(*every) {
                        return Ok(After::Close);
                    }
                    self.write(piece)?;
                }
                Ok(next)
            }
            Behaviour::WrongContentLength => {
                let start = answer.head(Length::Known(length + 17), false);
                self.write(&[&start, body].concat())?;
                Ok(After::Close)
            }
            Behaviour::ChunkedCut => {
                let start = answer.head(Length::Chunked, false);
                self.write(&start)?;
                if !first.is_empty() {
                    self.write_chunk(first)?;
                }
                self.write(format!("{:x}\r\n", rest.len() + 1).as_bytes())?;
                self.write(rest)?;
                Ok(After::Close)
            }
            Behaviour::Oversize(bytes) => {
                self.write(&answer.head(Length::Chunked, keep))?;
                self.write_oversize(*bytes)?;
                Ok(next)
            }
            Behaviour::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(body)?;
                let mut zipped = answer.clone().with("Content-Encoding", "gzip");
                zipped.body = encoder.finish()?;
                self.send(head, &zipped, &Behaviour::Ok)
            }
            Behaviour::Forever(inner) => self.send(head, answer, inner),
        }
    }

    fn write_oversize(&mut self, bytes: u64) -> io::Result<()> {
        const START: &[u8] = b"{\"padding\":\"";
        const END: &[u8] = b"\"}";
        const PIECE: [u8; 16 * 1024] = [b'a'; 16 * 1024];

        self.write_chunk(START)?;
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(START.len() + END.len());
        while left > 0 {
            let (piece, _) = PIECE.split_at(left.min(PIECE.len()));
            self.write_chunk(piece)?;
            left -= piece.len();
        }
        self.write_chunk(END)?;
        self.write(b"0\r\n\r\n")
    }

    fn write_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = format!("{:x}\r\n", bytes.len());
        self.write(&[size.as_bytes(), bytes, b"\r\n"].concat())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Waits so long, or until the peer or the server's end closes the connection; `false` then.
    ///
    /// Reads from the socket to notice that, and drops what comes: a client that waits for an
    /// answer sends nothing.
    fn wait(&mut self, how_long: Duration) -> bool {
        // A read's timeout is only as fine as the kernel's ticks; the last bit is slept.
        const TICKS: Duration = Duration::from_millis(10);

        let Some(end) = Instant::now().checked_add(how_long) else {
            return false;
        };
        let mut tcp = self.stream.tcp();
        let mut dropped = [0; 1024];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left <= TICKS {
                thread::sleep(left);
                return tcp.set_read_timeout(None).is_ok();
            }
            if tcp.set_read_timeout(Some(left.saturating_sub(TICKS))).is_err() {
                return false;
            }
            match tcp.read(&mut dropped) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    _ => return false,
                },
            }
        }
    }

    /// Ends the connection, as soon as the socket's other handle is dropped too.
    pub(crate) fn end(mut self, after: After) {
        // Nothing is left to do about a connection that is broken already.
        let _broken = match after {
            After::Reset => SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO)),
            After::Next | After::Close => self.close(),
        };
    }

    fn close(&mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        if self.request_left {
            // Unread bytes would turn the closing into a reset.
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

#[derive(Clone, Copy)]
enum Length {
    Known(usize),
    Chunked,
}

impl Answer {
    fn head(&self, length: Length, keep: bool) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|(found, _)| found.eq_ignore_ascii_case(name));
        let mut lines = vec![format!("HTTP/1.1 {} {}", self.status, reason(self.status))];
        if !has("Date") {
            lines.push(format!("Date: {}", imf_fixdate(self.unix_seconds)));
        }
        if !has("Content-Type") {
            lines.push(format!("Content-Type: {}", self.content_type));
        }
        lines.push(match length {
            Length::Known(bytes) => format!("Content-Length: {bytes}"),
            Length::Chunked => "Transfer-Encoding: chunked".to_owned(),
        });
        if !keep {
            lines.push("Connection: close".to_owned());
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.push("\r\n".to_owned());
        lines.join("\r\n").into_bytes()
    }
}

/// RFC 9110, section 5.6.7.
fn imf_fixdate(unix_seconds: i64) -> String {
    /// The last second of the year 9999.
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(unix_seconds).unwrap_or(0).min(LAST);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

/// A whole head and its length, `None` when more bytes are needed.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("not HTTP: {error}")),
    };
    let head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        headers: request
            .headers
            .iter()
            .map(|header| {
                let value = String::from_utf8_lossy(header.value);
                (header.name.to_owned(), value.into_owned())
            })
            .collect(),
        minor_version: request.version.unwrap_or_default(),
    };
    Ok(Some((head, length)))
}
