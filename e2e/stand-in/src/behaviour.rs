//! Faults of the server, as Rust values for tests and as JSON for scripts.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app_store_connect::request_id;

/// What the server does with one request.
///
/// A scenario has a list of behaviours, one per request, in order. After the end of the list,
/// requests get [`Behaviour::Ok`]. [`Behaviour::Forever`] is never used up.
///
/// Apart from `Ok` and `Forever`, there are three kinds:
///
/// - The connection ends without an HTTP response, as if it broke before the server checked the request:
///   `ResetBeforeAnswer`, `CloseBeforeAnswer`, `Raw`.
/// - The response is replaced: `Status`, `Redirect`, `Html`, `EmptyBody`, `InvalidUtf8`, `Body`,
///   `Oversize`. The request is checked first, as a real service authenticates first: a request
///   that the service refuses gets the refusal instead, and the behaviour is used up.
/// - The response is sent slowly, compressed or incompletely, whether or not the service refuses the
///   request: all others.
///
/// The request is recorded and checked in every case.
///
/// In JSON, names are in snake case and durations are whole milliseconds:
///
/// ```
/// # use std::time::Duration;
/// # use stand_in::Behaviour;
/// let list: Vec<Behaviour> = serde_json::from_str(r#"[
///     "ok",
///     {"status": {"code": 503, "headers": [["Retry-After", "1"]], "body": "busy"}},
///     {"redirect": {"code": 302, "to": "https://localhost:1/"}},
///     "reset_before_answer",
///     "reset_mid_body",
///     "close_before_answer",
///     {"stall_before_header": 250},
///     {"stall_in_body": 250},
///     {"drip": {"bytes": 1, "every": 10}},
///     "wrong_content_length",
///     "chunked_cut",
///     {"oversize": 1048576},
///     "gzip",
///     "html",
///     "empty_body",
///     "invalid_utf8",
///     {"body": "{}"},
///     {"raw": "not HTTP at all"},
///     {"forever": {"status": {"code": 500}}}
/// ]"#)?;
/// assert_eq!(list[7], Behaviour::StallInBody(Duration::from_millis(250)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// No fault.
    Ok,
    /// This status with these headers and this body. Without a `Content-Type` among the headers,
    /// the response has the usual content type of the route.
    Status {
        /// From 200 to 599.
        code: u16,
        /// Names and values, sent after the server's own.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The whole body.
        #[serde(default)]
        body: String,
    },
    /// A redirect with an empty body.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        code: u16,
        /// The `Location` header, unchanged.
        to: String,
    },
    /// The connection is reset (RST) once the request has arrived.
    ResetBeforeAnswer,
    /// Header and half the body, then the connection is reset.
    ResetMidBody,
    /// The connection is closed cleanly once the request has arrived.
    CloseBeforeAnswer,
    /// A pause of this length, then the response.
    StallBeforeHeader(#[serde(with = "millis")] Duration),
    /// Header and half the body, then a pause of this length, then the rest.
    StallInBody(#[serde(with = "millis")] Duration),
    /// The body in small pieces with pauses between them.
    Drip {
        /// Bytes in a piece; 0 counts as 1.
        bytes: usize,
        /// The pause between two pieces.
        #[serde(with = "millis")]
        every: Duration,
    },
    /// `Content-Length` is larger than the body, after which the connection is closed cleanly.
    WrongContentLength,
    /// A chunked body, and the connection is closed in the middle of a chunk.
    ChunkedCut,
    /// A valid JSON object of exactly this many bytes (at least 14), chunked, so that its length isn't
    /// announced.
    Oversize(u64),
    /// The response's body compressed, with `Content-Encoding: gzip`, whether or not the client accepts it.
    Gzip,
    /// 200 with an HTML page, like that of a captive portal or a proxy.
    Html,
    /// 200 with the route's content type and no body.
    EmptyBody,
    /// 200 with a JSON object in which a string contains bytes that are not UTF-8.
    InvalidUtf8,
    /// 200 with the route's content type and this body. In JSON: a string, or a list of bytes.
    Body(#[serde(with = "text_or_bytes")] Vec<u8>),
    /// These bytes instead of an HTTP response, then the connection is closed. In JSON: as for `Body`.
    Raw(#[serde(with = "text_or_bytes")] Vec<u8>),
    /// The inner behaviour, for this and all following requests.
    Forever(Box<Behaviour>),
}

impl Behaviour {
    /// This behaviour for this and all following requests.
    #[must_use]
    pub fn forever(self) -> Self {
        Self::Forever(Box::new(self))
    }

    /// This status, content type and body.
    #[must_use]
    pub fn response(code: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self::Status { code, headers: Vec::new(), body: body.into() }
            .with_header("Content-Type", content_type)
    }

    /// This status and JSON body.
    #[must_use]
    pub fn json(code: u16, body: &Value) -> Self {
        Self::response(code, "application/json", body.to_string())
    }

    /// This status and Apple's `ErrorResponse` with one error for each code, title and detail.
    #[must_use]
    pub fn apple_errors<'a>(
        status: u16,
        errors: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Self {
        let error = |(code, title, detail)| {
            let id = request_id();
            json!({"id": id, "status": status.to_string(), "code": code, "title": title, "detail": detail})
        };
        Self::json(status, &json!({"errors": errors.into_iter().map(error).collect::<Vec<_>>()}))
    }

    /// Adds a header to a [`Behaviour::Status`]. Doesn't change other behaviours.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Status { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Whether the behaviour replaces the service's response.
    pub(crate) fn replaces_the_response(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::Redirect { .. }
                | Self::Html
                | Self::EmptyBody
                | Self::InvalidUtf8
                | Self::Body(_)
                | Self::Oversize(_)
        )
    }

    /// Whether the service processes a request that it accepts, even if the delivery of the response then fails.
    pub(crate) fn lets_the_service_act(&self) -> bool {
        match self {
            Self::Status { code, .. } => (200..300).contains(code),
            Self::ResetBeforeAnswer
            | Self::CloseBeforeAnswer
            | Self::Raw(_)
            | Self::Redirect { .. }
            | Self::Html => false,
            _ => true,
        }
    }

    /// Returns the next behaviour of a list, and removes it unless it is [`Behaviour::Forever`].
    pub(crate) fn next_of(list: &mut VecDeque<Self>) -> Self {
        match list.front() {
            None => Self::Ok,
            Some(Self::Forever(inner)) => {
                let mut inner = inner.as_ref();
                while let Self::Forever(deeper) = inner {
                    inner = deeper;
                }
                inner.clone()
            }
            Some(_) => list.pop_front().unwrap_or(Self::Ok),
        }
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

mod text_or_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrBytes {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => to.serialize_str(text),
            Err(_) => bytes.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        Ok(match TextOrBytes::deserialize(from)? {
            TextOrBytes::Text(text) => text.into_bytes(),
            TextOrBytes::Bytes(bytes) => bytes,
        })
    }
}
