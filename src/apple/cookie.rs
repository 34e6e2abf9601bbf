//! The cookies of an Apple login, with the fields of Ruby's `http-cookie` gem, which fastlane uses to load them.
//! The gem's `lib/http/cookie.rb` defines which names and values are valid.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use time::{Duration, OffsetDateTime};

use crate::redact::Show;
use crate::timestamp;

/// The maximum size of a session. Sessions are a few kilobytes; envman accepts 256 KiB in total by default.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// The maximum number of cookies in a session. A login sets about a dozen.
pub(crate) const MAX_COOKIES: usize = 1000;

/// A cookie that fastlane can load.
#[derive(Debug, Clone)]
pub struct Cookie {
    pub name: String,
    pub value: SecretString,
    /// Without a leading dot: a cookie with one has [`Cookie::for_domain`] set instead.
    pub domain: String,
    /// Whether the cookie is also sent to subdomains of `domain`.
    pub for_domain: bool,
    pub path: String,
    pub secure: bool,
    pub httponly: bool,
    /// If this and `max_age` are `None`, the cookie lasts until the browser closes: it doesn't expire during a build.
    pub expires: Option<OffsetDateTime>,
    /// The lifetime in seconds, counted from `created_at` or, if that is `None`, from when fastlane loads the cookie.
    /// In the gem, it overrides `expires`. The Step prefers `expires`, which does not depend on the time of loading.
    pub max_age: Option<i64>,
    /// Only set with `max_age`.
    pub created_at: Option<OffsetDateTime>,
}

impl Cookie {
    /// When the cookie expires, if that is known.
    #[must_use]
    pub(crate) fn expires_at(&self) -> Option<OffsetDateTime> {
        self.expires
            .or_else(|| timestamp::to_utc(self.created_at?.checked_add(Duration::seconds(self.max_age?))?))
    }

    /// `DES…` marks a device as trusted, which replaces the second factor.
    pub(crate) fn is_trust_token(&self) -> bool {
        self.name.starts_with("DES")
    }
}

/// A cookie that makes its session unusable. `Display` completes a sentence about the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has a damaged cookie (number {number}: {problem})")]
pub struct DamagedCookie {
    pub(crate) number: usize,
    pub(crate) problem: &'static str,
}

impl Show for DamagedCookie {}

/// A cookie in the connection, or in the output of `fastlane spaceauth`. In both, fields can be missing or `null`.
#[derive(Debug, Deserialize)]
pub struct CookieRecord {
    name: Option<String>,
    pub(crate) value: Option<SecretString>,
    domain: Option<String>,
    for_domain: Option<bool>,
    path: Option<String>,
    secure: Option<bool>,
    httponly: Option<bool>,
    expires: Option<String>,
    max_age: Option<i64>,
    created_at: Option<String>,
    /// Only used to tell whether a cookie is complete: Ruby writes it last.
    accessed_at: Option<String>,
}

/// A list of cookies. A list larger than any session is rejected while reading: with YAML aliases or empty
/// records, a small document can describe a huge list.
#[derive(Debug)]
pub struct CookieRecords(pub Vec<CookieRecord>);

impl<'de> Deserialize<'de> for CookieRecords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for CookieRecords {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_COOKIES} cookies")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        let mut bytes = 0;
        while let Some(record) = list.next_element::<CookieRecord>()? {
            bytes += record.size();
            if self.0.len() == MAX_COOKIES || bytes > MAX_BYTES {
                return Err(A::Error::custom("larger than any session"));
            }
            self.0.push(record);
        }
        Ok(self)
    }
}

impl CookieRecord {
    /// The total size of the strings, in bytes.
    fn size(&self) -> usize {
        let texts =
            [&self.name, &self.domain, &self.path, &self.expires, &self.created_at, &self.accessed_at];
        let value = self.value.as_ref().map_or(0, |value| value.expose_secret().len());
        texts.into_iter().flatten().map(String::len).sum::<usize>() + value
    }

    /// Which fields are present, among those that a tool writes either for all cookies or for none.
    fn present_fields(&self) -> [bool; 6] {
        [
            self.domain.is_some(),
            self.for_domain.is_some(),
            self.path.is_some(),
            self.secure.is_some(),
            self.httponly.is_some(),
            self.accessed_at.as_deref().and_then(timestamp::parse).is_some(),
        ]
    }

    /// What copying has damaged in a pasted cookie, if anything. Becomes the `problem` of a [`DamagedCookie`].
    pub(crate) fn damage(&self) -> Option<&'static str> {
        let is_intact = |value: &SecretString| is_intact_value(value.expose_secret());
        let is_empty_or_time = |time: &String| time.is_empty() || timestamp::parse(time).is_some();
        let is_valid_path =
            |path: &String| path.chars().all(|c| c.is_ascii_graphic() && !"\"'\\;,".contains(c));
        if !self.value.iter().all(is_intact) {
            Some(
                "its value is shortened or hidden, or contains characters that Apple's cookies don't contain",
            )
        } else if self.domain.as_deref().is_some_and(is_misspelled) {
            Some("its domain looks like a misspelled apple.com")
        } else if !self.path.iter().all(is_valid_path) {
            Some("its path contains invalid characters")
        } else if ![&self.expires, &self.created_at].into_iter().flatten().all(is_empty_or_time) {
            Some("the time at which it expires or was created cannot be read")
        } else {
            None
        }
    }

    fn into_cookie(self, number: usize, default_domain: Option<&str>) -> Result<Cookie, DamagedCookie> {
        let damaged = |problem| DamagedCookie { number, problem };
        let name = self.name.unwrap_or_default();
        // The characters that `HTTP::Cookie#name=` raises on.
        let is_invalid = |c: char| c <= ' ' || c == '\u{7f}' || ",;\\\"=".contains(c);
        if name.is_empty() || name.contains(is_invalid) {
            return Err(damaged("its name is missing or contains invalid characters"));
        }
        let value = self.value.ok_or(damaged("it has no value"))?;
        if value.expose_secret().contains(|c: char| c.is_ascii_control()) {
            return Err(damaged("its value contains control characters"));
        }
        let domain = self.domain.unwrap_or_default();
        let without_dot = domain.strip_prefix('.');
        let (domain, is_host_only) = match (without_dot.unwrap_or(&domain), default_domain) {
            ("", Some(default)) => (default, true),
            (own, _) => (own, false),
        };
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !domain.split('.').all(is_label) {
            return Err(damaged("its domain is missing or not a host name"));
        }
        let path = self.path.filter(|path| path.starts_with('/')).unwrap_or_else(|| "/".to_owned());
        let expires = self.expires.as_deref().and_then(timestamp::parse);
        let max_age = self.max_age.filter(|_| expires.is_none());
        let created_at = self.created_at.as_deref().filter(|_| max_age.is_some());
        // Only cookies from the connection have a default domain. A tool may have dropped the flags of a pasted cookie,
        // which still must not be sent to more places than Apple intended.
        let is_pasted = default_domain.is_none();
        Ok(Cookie {
            name,
            value,
            domain: domain.to_owned(),
            for_domain: !is_host_only && (without_dot.is_some() || self.for_domain.unwrap_or(true)),
            path,
            secure: self.secure.unwrap_or(is_pasted),
            httponly: self.httponly.unwrap_or(is_pasted),
            expires,
            max_age,
            created_at: created_at.and_then(timestamp::parse),
        })
    }
}

/// Whether a value can be what Apple sent. It can't contain characters that RFC 6265, section 4.1.1, forbids, or
/// marks of a program that shortened, hid or encoded it, such as `...`, `[REDACTED]`, `***` and `=3D`.
fn is_intact_value(value: &str) -> bool {
    let is_mark = |c: char| "\",;\\<>[](){}*$`".contains(c);
    value.chars().all(|c| c.is_ascii_graphic() && !is_mark(c))
        && !["..", "=3D"].iter().any(|mark| value.contains(mark))
        && value.trim_matches('\'') == value
}

/// Whether a domain looks like a typo of `apple.com` or of one of its subdomains.
fn is_misspelled(domain: &str) -> bool {
    const APPLE: &str = "apple.com";
    let registered = domain.rmatch_indices('.').nth(1).map_or(domain, |(dot, _)| domain.split_at(dot + 1).1);
    registered != APPLE && strsim::damerau_levenshtein(registered, APPLE) <= 2
}

/// Converts records to cookies. `default_domain` is the host that a cookie without a domain belongs to.
///
/// # Errors
/// [`DamagedCookie`], for the first cookie that fastlane can't load.
pub(crate) fn cookies_from(
    records: Vec<CookieRecord>,
    default_domain: Option<&str>,
) -> Result<Vec<Cookie>, DamagedCookie> {
    records.into_iter().zip(1..).map(|(record, number)| record.into_cookie(number, default_domain)).collect()
}

/// Returns the number of the first record that lacks a field of another record. If it is the last one, it was cut off.
/// If `is_ruby`, the records are of Ruby's class `HTTP::Cookie`, which always has a domain, `for_domain` and a path.
pub(crate) fn find_incomplete(records: &[CookieRecord], is_ruby: bool) -> Option<usize> {
    let mut expected_fields = [is_ruby, is_ruby, is_ruby, false, false, false];
    for record in records {
        for (is_expected, is_present) in expected_fields.iter_mut().zip(record.present_fields()) {
            *is_expected |= is_present;
        }
    }
    records.iter().position(|record| record.present_fields() != expected_fields).map(|index| index + 1)
}
