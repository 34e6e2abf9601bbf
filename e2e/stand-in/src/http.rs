//! HTTP/1.1 requests and responses, without transport.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Annotation, Behaviour};

const MAX_HEADERS: usize = 128;

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
    /// The values of all headers of this name, ignoring case.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(sent, _)| sent.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&*self.target, |(path, _)| path)
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Whether the request has a body.
    pub(crate) fn has_body(&self) -> bool {
        self.values("Transfer-Encoding").next().is_some()
            || self.values("Content-Length").any(|length| length != "0")
    }

    pub(crate) fn asks_to_close(&self) -> bool {
        self.minor_version == 0
            || self.values("Connection").any(|value| value.to_ascii_lowercase().contains("close"))
    }
}

/// A response before a behaviour changes it.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The time in the `Date` header.
    pub unix_seconds: i64,
}

impl Response {
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

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Applies a behaviour that replaces the response.
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
            // A captive portal's page lacks the service's headers.
            Behaviour::Html => {
                self.headers.clear();
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

/// A service's decision about a request.
#[derive(Debug)]
pub(crate) struct Decision {
    pub response: Response,
    /// Why the service refuses the request.
    pub refusal: Option<String>,
    /// The annotation that the service stores.
    pub annotation: Option<Annotation>,
}

impl Decision {
    pub(crate) fn ok(response: Response) -> Self {
        Self { response, refusal: None, annotation: None }
    }

    pub(crate) fn refused(response: Response, why: impl Into<String>) -> Self {
        Self { response, refusal: Some(why.into()), annotation: None }
    }
}

/// This computer's clock.
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// The length of a body, as announced in the head.
#[derive(Clone, Copy)]
pub(crate) enum Length {
    Known(usize),
    Chunked,
}

impl Response {
    pub(crate) fn head(&self, length: Length, keep_alive: bool) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
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
        if !keep_alive {
            lines.push("Connection: close".to_owned());
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.push("\r\n".to_owned());
        lines.join("\r\n").into_bytes()
    }
}

/// The format of the `Date` header: RFC 9110, section 5.6.7.
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
        406 => "Not Acceptable",
        411 => "Length Required",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

/// Parses a head, and returns it with its length, or `None` if more bytes are needed.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
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
