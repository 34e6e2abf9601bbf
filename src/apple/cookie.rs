//! A cookie of Apple's log-in, in the terms of Ruby's `http-cookie` gem, which fastlane loads it
//! with. What the gem demands of names and values is in its `lib/http/cookie.rb`.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use time::{Duration, OffsetDateTime};

use crate::redact::sentences;
use crate::timestamp;

/// Sessions are a few kilobytes; the environment store takes 256 KiB in all.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// A log-in sets a dozen.
pub(crate) const MAX_COOKIES: usize = 1000;

/// One cookie, in the terms of the `http-cookie` gem.
#[derive(Debug, Clone)]
pub struct Cookie {
    pub name: String,
    pub value: SecretString,
    /// Without a leading dot; [`Cookie::for_domain`] says what that dot said.
    pub domain: String,
    /// Whether it also goes to the hosts below `domain`.
    pub for_domain: bool,
    pub path: String,
    pub secure: bool,
    pub httponly: bool,
    pub lifetime: Lifetime,
}

/// How long a cookie lasts. The gem lets `max_age` win over `expires`; an instant is the
/// stronger statement, so it is kept when both are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the browser closes: no limit that a build would meet.
    Session,
    Until(OffsetDateTime),
    /// So many seconds from the moment it was made, or from now when that is unknown.
    Seconds {
        max_age: i64,
        created_at: Option<OffsetDateTime>,
    },
}

impl Lifetime {
    fn new(
        expires: Option<OffsetDateTime>,
        max_age: Option<i64>,
        created_at: Option<OffsetDateTime>,
    ) -> Self {
        match (expires, max_age) {
            (Some(expires), _) => Self::Until(expires),
            (None, Some(max_age)) => Self::Seconds { max_age, created_at },
            (None, None) => Self::Session,
        }
    }

    /// The instant it ends, where that is known.
    #[must_use]
    pub(crate) fn ends_at(self) -> Option<OffsetDateTime> {
        match self {
            Self::Until(expires) => Some(expires),
            Self::Seconds { max_age, created_at } => {
                timestamp::to_utc(created_at?.checked_add(Duration::seconds(max_age))?)
            }
            Self::Session => None,
        }
    }
}

sentences! {
    /// A cookie that fastlane could not load. `Display` completes "The session in … ".
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum DamagedCookie {
        #[error("has a damaged cookie (number {number}: {what})")]
        Cookie { number: usize, what: &'static str },
    }
}

/// A cookie as a foreign document spells it: the connection, or what `spaceauth` printed.
/// All optional, since both leave fields out and write `null`.
#[derive(Debug, Deserialize)]
pub struct CookieRecord {
    name: Option<String>,
    value: Option<SecretString>,
    domain: Option<String>,
    for_domain: Option<bool>,
    path: Option<String>,
    secure: Option<bool>,
    httponly: Option<bool>,
    expires: Option<String>,
    max_age: Option<i64>,
    created_at: Option<String>,
}

/// A list of cookies, refused as soon as it is more than a session can be: a small document
/// can stand for a huge one, by YAML's aliases or by records with nothing in them.
#[derive(Debug)]
pub(crate) struct CookieRecords(pub Vec<CookieRecord>);

impl<'de> Deserialize<'de> for CookieRecords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CookieRecordsVisitor)
    }
}

struct CookieRecordsVisitor;

impl<'de> Visitor<'de> for CookieRecordsVisitor {
    type Value = CookieRecords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_COOKIES} cookies")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while let Some(record) = list.next_element::<CookieRecord>()? {
            bytes += record.bytes();
            if records.len() == MAX_COOKIES || bytes > MAX_BYTES {
                return Err(A::Error::custom("more than a session can be"));
            }
            records.push(record);
        }
        Ok(CookieRecords(records))
    }
}

impl CookieRecord {
    /// What its texts take.
    fn bytes(&self) -> usize {
        let texts =
            [&self.name, &self.domain, &self.path, &self.expires, &self.created_at].into_iter().flatten();
        let value = self.value.as_ref().map_or(0, |value| value.expose_secret().len());
        texts.map(String::len).sum::<usize>() + value
    }

    fn into_cookie(self, number: usize, default_domain: Option<&str>) -> Result<Cookie, DamagedCookie> {
        let damaged = |what| DamagedCookie::Cookie { number, what };
        let name = self.name.unwrap_or_default();
        // The characters that `HTTP::Cookie#name=` raises on.
        let bad_in_name = |c: char| c <= ' ' || c == '\u{7f}' || ",;\\\"=".contains(c);
        if name.is_empty() || name.contains(bad_in_name) {
            return Err(damaged("its name is missing or has characters that cookies cannot have"));
        }
        let value = self.value.ok_or(damaged("it has no value"))?;
        if value.expose_secret().contains(|c: char| c < ' ' || c == '\u{7f}') {
            return Err(damaged("its value has control characters"));
        }
        let domain = self.domain.unwrap_or_default();
        let (domain, dotted) = match domain.strip_prefix('.') {
            Some(rest) => (rest, true),
            None => (domain.as_str(), false),
        };
        let (domain, host_only) = match (domain, default_domain) {
            ("", Some(default)) => (default, true),
            (given, _) => (given, false),
        };
        let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let parts_filled = domain.split('.').all(|part| !part.is_empty());
        if !parts_filled || !domain.bytes().all(is_host) {
            return Err(damaged("its domain is missing or no host name"));
        }
        let path = self.path.filter(|path| path.starts_with('/')).unwrap_or_else(|| "/".to_owned());
        let expires = self.expires.as_deref().and_then(timestamp::parse);
        let created_at = self.created_at.as_deref().and_then(timestamp::parse);
        Ok(Cookie {
            name,
            value,
            domain: domain.to_owned(),
            for_domain: !host_only && (dotted || self.for_domain.unwrap_or(true)),
            path,
            secure: self.secure.unwrap_or(false),
            httponly: self.httponly.unwrap_or(false),
            lifetime: Lifetime::new(expires, self.max_age, created_at),
        })
    }
}

impl Cookie {
    /// `myacinfo` holds the log-in itself.
    pub(crate) fn is_account_token(&self) -> bool {
        self.name == "myacinfo"
    }

    /// `DES…` marks a device as trusted, which stands in for the second factor.
    pub(crate) fn is_trust_token(&self) -> bool {
        self.name.starts_with("DES")
    }
}

/// The cookies that records stand for. One without a domain belongs to `default_domain`.
///
/// # Errors
/// [`DamagedCookie`], naming the first that fastlane could not load.
pub(crate) fn cookies_from(
    records: Vec<CookieRecord>,
    default_domain: Option<&str>,
) -> Result<Vec<Cookie>, DamagedCookie> {
    let numbered = records.into_iter().zip(1..);
    numbered.map(|(record, number)| record.into_cookie(number, default_domain)).collect()
}
