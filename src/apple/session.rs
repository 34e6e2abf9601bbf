//! A two-factor Apple ID session: the cookies of Apple's log-in, as fastlane carries them.
//!
//! fastlane writes `FASTLANE_SESSION` to a file, every backslash-n in it made a newline, and
//! has Ruby's `http-cookie` gem load that: a YAML list of `!ruby/object:HTTP::Cookie`. What
//! the gem demands of names and values is in its `lib/http/cookie.rb`.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{Duration, OffsetDateTime, UtcOffset};
use zeroize::Zeroizing;

use crate::yaml;

/// The origin whose cookies fastlane logs in with: Apple's identity service.
pub const IDMSA_ORIGIN: &str = "https://idmsa.apple.com";
const IDMSA_HOST: &str = "idmsa.apple.com";

/// Sessions are a few kilobytes; the environment store takes 256 KiB in all.
const MAX_BYTES: usize = 256 * 1024;

/// A log-in sets a dozen.
const MAX_COOKIES: usize = 1000;

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
    pub fn ends_at(self) -> Option<OffsetDateTime> {
        match self {
            Self::Until(expires) => Some(expires),
            Self::Seconds { max_age, created_at } => created_at?.checked_add(Duration::seconds(max_age)),
            Self::Session => None,
        }
    }
}

/// A session that fastlane can load.
#[derive(Debug, Clone)]
pub struct Session {
    pub cookies: Vec<Cookie>,
    /// When Apple asks for the second factor again, where that is known.
    pub expires_at: Option<OffsetDateTime>,
}

/// Why cookies are no session. `Display` completes "The session in … ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("is no list of cookies as `fastlane spaceauth` prints it")]
    NoSession,
    #[error("is larger than 256 KiB, so it is no session")]
    TooLarge,
    #[error("lacks the cookies that log in (`myacinfo` or `DES…`)")]
    NoLogin,
    #[error("has a damaged cookie (number {number}: {what})")]
    DamagedCookie { number: usize, what: &'static str },
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
pub struct CookieRecords(pub Vec<CookieRecord>);

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

    fn into_cookie(self, number: usize, default_domain: Option<&str>) -> Result<Cookie, SessionError> {
        let damaged = |what| SessionError::DamagedCookie { number, what };
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
        let expires = self.expires.as_deref().and_then(parse_instant);
        let created_at = self.created_at.as_deref().and_then(parse_instant);
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

impl Session {
    /// The cookies of a connected Apple ID, which Bitrise keeps under [`IDMSA_ORIGIN`].
    ///
    /// # Errors
    /// When a cookie is one that fastlane could not load.
    pub fn from_connection(
        records: Vec<CookieRecord>,
        expires_at: Option<OffsetDateTime>,
    ) -> Result<Self, SessionError> {
        let cookies = cookies_from(records, Some(IDMSA_HOST))?;
        Ok(Self { cookies, expires_at })
    }

    /// What a person pasted: the output of `fastlane spaceauth`, whole or in part, with or
    /// without the surrounding `export FASTLANE_SESSION='…'`, newlines real or written `\n`.
    ///
    /// # Errors
    /// When it is no list of cookies, or lacks those that log in.
    pub fn from_pasted(pasted: &SecretString) -> Result<Self, SessionError> {
        let text = unwrap_shell(pasted.expose_secret());
        if text.len() > MAX_BYTES {
            return Err(SessionError::TooLarge);
        }
        let with_lines = Zeroizing::new(text.replace("\\n", "\n"));
        let text = Zeroizing::new(with_lines.replace('\r', ""));
        if yaml::is_too_deep(&text) || yaml::has_many_aliases(&text) {
            return Err(SessionError::NoSession);
        }
        let records: Option<CookieRecords> =
            serde_yaml::from_str(&text).map_err(|_| SessionError::NoSession)?;
        let cookies = cookies_from(records.map_or_else(Vec::new, |records| records.0), None)?;
        if !cookies.iter().any(|cookie| cookie.is_account_token() || cookie.is_trust_token()) {
            return Err(SessionError::NoLogin);
        }
        let expires_at = cookies
            .iter()
            .filter(|cookie| cookie.is_trust_token())
            .filter_map(|cookie| cookie.lifetime.ends_at())
            .max();
        Ok(Self { cookies, expires_at })
    }

    /// The value of `FASTLANE_SESSION`: one line with `\n` for newlines, as `spaceauth` prints
    /// it. One line also is one thing to redact: of a value with several, the Bitrise CLI
    /// would redact each line, `path: "/"` among them, wherever it appears.
    #[must_use]
    pub fn to_fastlane(&self) -> SecretString {
        let mut lines = vec![Zeroizing::new("---".to_owned())];
        for cookie in &self.cookies {
            cookie.push_lines(&mut lines);
        }
        let length = lines.iter().map(|line| line.len() + 2).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        for line in &lines {
            text.push_str(line);
            text.push_str("\\n");
        }
        SecretString::from(text.as_str())
    }

    /// When the session ended, if that was before `now`.
    #[must_use]
    pub fn expired_at(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.expires_at.filter(|expires_at| *expires_at <= now)
    }
}

impl Cookie {
    /// `myacinfo` holds the log-in itself.
    fn is_account_token(&self) -> bool {
        self.name == "myacinfo"
    }

    /// `DES…` marks a device as trusted, which stands in for the second factor.
    fn is_trust_token(&self) -> bool {
        self.name.starts_with("DES")
    }

    fn push_lines(&self, lines: &mut Vec<Zeroizing<String>>) {
        let value = Zeroizing::new(yaml::quoted(self.value.expose_secret()));
        let mut push = |line: String| lines.push(Zeroizing::new(line));
        push("- !ruby/object:HTTP::Cookie".to_owned());
        push(format!("  name: {}", yaml::quoted(&self.name)));
        push(format!("  value: {}", value.as_str()));
        push(format!("  domain: {}", yaml::quoted(&self.domain)));
        push(format!("  for_domain: {}", self.for_domain));
        push(format!("  path: {}", yaml::quoted(&self.path)));
        push(format!("  secure: {}", self.secure));
        push(format!("  httponly: {}", self.httponly));
        match self.lifetime {
            Lifetime::Session => {}
            Lifetime::Until(expires) => push(format!("  expires: {}", RubyTime(expires))),
            Lifetime::Seconds { max_age, created_at } => {
                push(format!("  max_age: {max_age}"));
                if let Some(created_at) = created_at {
                    push(format!("  created_at: {}", RubyTime(created_at)));
                }
            }
        }
    }
}

fn cookies_from(
    records: Vec<CookieRecord>,
    default_domain: Option<&str>,
) -> Result<Vec<Cookie>, SessionError> {
    let numbered = records.into_iter().zip(1..);
    numbered.map(|(record, number)| record.into_cookie(number, default_domain)).collect()
}

/// What `fastlane spaceauth` prints before the list of cookies.
/// Source: <https://github.com/fastlane/fastlane/blob/master/spaceship/lib/spaceship/spaceauth_runner.rb>
const LIST_INTRODUCTION: &str = "via the FASTLANE_SESSION environment variable:";

/// Takes the value out of `export FASTLANE_SESSION='…'`, wherever that stands in what
/// `fastlane spaceauth` printed, or off one pair of quotes.
fn unwrap_shell(pasted: &str) -> Zeroizing<String> {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let text = match (pasted.rsplit_once("FASTLANE_SESSION="), pasted.split_once(LIST_INTRODUCTION)) {
        (Some((_, value)), _) => value,
        // The output without its example, which is the `export` line.
        (None, Some((_, list))) => list.trim_matches(blank).split("\n\n").next().unwrap_or(list),
        (None, None) => pasted,
    }
    .trim_matches(blank);
    let inside = |quote| text.strip_prefix(quote)?.rsplit_once(quote).map(|(inner, _)| inner);
    Zeroizing::new(match (inside('\''), inside('"')) {
        (Some(inner), _) => inner.to_owned(),
        // Inside double quotes a shell wants the quotes of the YAML escaped.
        (_, Some(inner)) => inner.replace("\\\"", "\""),
        _ => text.trim_end_matches(';').to_owned(),
    })
}

/// An instant as YAML 1.1 and Ruby's `Time` spell it.
struct RubyTime(OffsetDateTime);

impl fmt::Display for RubyTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0.to_offset(UtcOffset::UTC);
        let (date, hour, minute, second) = (t.date(), t.hour(), t.minute(), t.second());
        write!(f, "{date} {hour:02}:{minute:02}:{second:02}.{:09} Z", t.nanosecond())
    }
}

/// Reads RFC 3339, what Ruby writes (`2026-12-01 12:00:00.000000000 +01:00`), and the date of
/// an HTTP header. Anything else is no instant.
#[must_use]
pub fn parse_instant(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    if let Ok(instant) = OffsetDateTime::parse(text, &Rfc2822) {
        return Some(instant);
    }
    let (date, rest) = text.split_at_checked(10)?;
    let time: String = rest.chars().skip(1).filter(|c| !c.is_whitespace()).collect();
    OffsetDateTime::parse(&format!("{date}T{}", time.replace("UTC", "Z")), &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// One cookie as Ruby writes it, the way `fastlane spaceauth` prints it.
    const SPACEAUTH: &str = concat!(
        "---\n",
        "- !ruby/object:HTTP::Cookie\n",
        "  name: DES5c148586daa451e55afb017aa62418f91\n",
        "  value: HSARMTKNSRVXWFla\n",
        "  domain: idmsa.apple.com\n",
        "  for_domain: true\n",
        "  path: \"/\"\n",
        "  secure: true\n",
        "  httponly: true\n",
        "  expires:\n",
        "  max_age: 2592000\n",
        "  created_at: 2026-11-01 09:00:00.000000000 +01:00\n",
        "  accessed_at: 2026-11-01 09:00:00.000000000 +01:00\n",
        "- !ruby/object:HTTP::Cookie\n",
        "  name: myacinfo\n",
        "  value: 0123\n",
        "  domain: apple.com\n",
        "  for_domain: true\n",
        "  path: \"/\"\n",
        "  secure: true\n",
        "  httponly: true\n",
        "  expires:\n",
        "  max_age:\n",
        "- !ruby/object:HTTP::Cookie\n",
        "  name: dqsid\n",
        "  value: 12e5\n",
        "  domain: appstoreconnect.apple.com\n",
        "  for_domain: false\n",
        "  path: \"/\"\n",
        "  secure: true\n",
        "  httponly: true\n",
        "  max_age: 1799\n",
    );

    fn pasted(text: &str) -> std::result::Result<Session, SessionError> {
        Session::from_pasted(&SecretString::from(text))
    }

    fn facts(session: &Session) -> Vec<(&str, &str, &str, bool)> {
        let cookies = session.cookies.iter();
        cookies.map(|c| (c.name.as_str(), c.value.expose_secret(), c.domain.as_str(), c.for_domain)).collect()
    }

    #[test]
    fn every_pasted_form_is_the_same_session() -> Result {
        let one_line = SPACEAUTH.replace('\n', "\\n");
        let forms = [
            SPACEAUTH.to_owned(),
            SPACEAUTH.replace('\n', "\r\n"),
            one_line.clone(),
            format!("export FASTLANE_SESSION='{one_line}'"),
            format!("export FASTLANE_SESSION='{one_line}'\n"),
            format!("  FASTLANE_SESSION='{SPACEAUTH}';"),
            format!("export FASTLANE_SESSION=\"{}\"", one_line.replace('"', "\\\"")),
            format!("'{one_line}'"),
            SPACEAUTH.trim_start_matches("---\n").to_owned(),
            format!(
                "Successfully logged in to App Store Connect\n\n---\n\nPass the following via the FASTLANE_SESSION environment variable:\n{one_line}\n\n\nExample:\nexport FASTLANE_SESSION='{one_line}'\n"
            ),
        ];
        let expected = pasted(SPACEAUTH)?;
        let expected_facts = [
            ("DES5c148586daa451e55afb017aa62418f91", "HSARMTKNSRVXWFla", "idmsa.apple.com", true),
            ("myacinfo", "0123", "apple.com", true),
            ("dqsid", "12e5", "appstoreconnect.apple.com", false),
        ];
        assert_eq!(facts(&expected), expected_facts, "numbers keep their text");
        for form in forms {
            let session = pasted(&form).map_err(|error| format!("{form}: {error}"))?;
            assert_eq!(facts(&session), expected_facts, "{form}");
            assert_eq!(session.expires_at, expected.expires_at);
        }
        Ok(())
    }

    #[test]
    fn the_end_of_a_pasted_session_is_that_of_its_trust_token() -> Result {
        let session = pasted(SPACEAUTH)?;
        assert_eq!(session.expires_at, parse_instant("2026-12-01T08:00:00Z"));
        let at = |text| Ok::<_, &str>(session.expired_at(parse_instant(text).ok_or("no instant")?));
        assert_eq!(at("2026-12-01T07:59:59Z")?, None);
        assert_eq!(at("2026-12-01T08:00:00Z")?, session.expires_at);
        Ok(())
    }

    #[test]
    fn what_is_no_session_is_refused() {
        for text in ["hello", "{}", "- a\n- b", "12", "[", "&a [*a]", "<html></html>", "\u{0}"] {
            assert_eq!(pasted(text).err(), Some(SessionError::NoSession), "{text:?}");
        }
        assert_eq!(pasted(&"x".repeat(MAX_BYTES + 1)).err(), Some(SessionError::TooLarge));
    }

    #[test]
    fn a_small_text_that_stands_for_a_huge_session_is_refused() {
        let value = "x".repeat(MAX_BYTES / 4);
        let by_values = format!("- {{name: DES1, value: &a {value}, domain: a.b}}\n");
        let by_values = by_values + &"- {name: DES2, value: *a, domain: a.b}\n".repeat(100);
        let by_cookies = "- &a {name: DES1, value: x, domain: a.b}\n".to_owned();
        let by_cookies = by_cookies + &"- *a\n".repeat(MAX_COOKIES);
        for text in [by_values, by_cookies] {
            assert_eq!(pasted(&text).err(), Some(SessionError::NoSession));
        }
    }

    #[test]
    fn a_session_without_the_cookies_that_log_in_is_refused() {
        let only_dqsid = "- !ruby/object:HTTP::Cookie\n  name: dqsid\n  value: x\n  domain: apple.com\n";
        assert_eq!(pasted(only_dqsid).err(), Some(SessionError::NoLogin));
        for empty in ["[]", "---", "---\\n"] {
            assert_eq!(pasted(empty).err(), Some(SessionError::NoLogin));
        }
    }

    #[test]
    fn a_cookie_that_the_gem_would_refuse_is_named_by_its_number_and_not_shown() {
        let damaged = [
            "{name: myacinfo, domain: apple.com}",
            "{name: \"my;ac\", value: s3cret, domain: apple.com}",
            "{name: \"\", value: s3cret, domain: apple.com}",
            "{name: myacinfo, value: \"s3\\x01cret\", domain: apple.com}",
            "{name: myacinfo, value: s3cret}",
            "{name: myacinfo, value: s3cret, domain: \"no host\"}",
            "{name: myacinfo, value: s3cret, domain: \"a..b\"}",
        ];
        for cookie in damaged {
            let good = "{name: DES1, value: x, domain: apple.com}";
            let Err(error) = pasted(&format!("[{good}, {cookie}]")) else { panic!("{cookie} was accepted") };
            let sentence = error.to_string();
            assert!(sentence.contains("number 2") && !sentence.contains("s3"), "{sentence}");
        }
    }

    fn connected(json: &str) -> Result<Session> {
        Ok(Session::from_connection(serde_json::from_str(json)?, None)?)
    }

    #[test]
    fn a_connected_cookie_keeps_its_flags_and_its_defaults_are_bitrises() -> Result {
        let session = connected(
            r#"[{"name":"a","value":"1","domain":".apple.com","path":"/x","secure":true,"httponly":false},
                {"name":"b","value":"2","domain":"idmsa.apple.com","for_domain":false,"httponly":true},
                {"name":"c","value":"3","domain":"apple.com"},
                {"name":"d","value":"4"}]"#,
        )?;
        let flags: Vec<_> = session
            .cookies
            .iter()
            .map(|c| (c.domain.as_str(), c.for_domain, c.path.as_str(), c.secure, c.httponly))
            .collect();
        assert_eq!(
            flags,
            [
                ("apple.com", true, "/x", true, false),
                ("idmsa.apple.com", false, "/", false, true),
                ("apple.com", true, "/", false, false),
                ("idmsa.apple.com", false, "/", false, false),
            ]
        );
        Ok(())
    }

    #[test]
    fn an_instant_wins_over_a_number_of_seconds() -> Result {
        let session = connected(
            r#"[{"name":"a","value":"1","expires":"2026-12-01T08:00:00Z","max_age":5},
                {"name":"b","value":"1","max_age":5},
                {"name":"c","value":"1","expires":"soon"}]"#,
        )?;
        let lifetimes: Vec<_> = session.cookies.iter().map(|c| c.lifetime).collect();
        let until = parse_instant("2026-12-01T08:00:00Z").ok_or("no instant")?;
        let expected =
            [Lifetime::Until(until), Lifetime::Seconds { max_age: 5, created_at: None }, Lifetime::Session];
        assert_eq!(lifetimes, expected);
        Ok(())
    }

    #[test]
    fn the_value_for_fastlane_is_one_line_of_ascii_that_reads_back_the_same() -> Result {
        let hostile = [
            "a: b",
            "'",
            "\"",
            "#",
            "no",
            "0123",
            "1_000",
            "0x1F",
            "~",
            "",
            " ",
            "\\n",
            "\\\\n",
            "日本",
            "😀",
            "&a",
            "*a",
            "!t",
            "%",
            "@",
            "- x",
            "{",
            "|",
            ">",
            "12e5",
            "\u{85}\u{2028}\u{feff}",
        ];
        let cookies: Vec<_> = hostile
            .iter()
            .map(|value| serde_json::json!({"name": "DES1", "value": value, "domain": "apple.com"}))
            .collect();
        let session = connected(&serde_json::to_string(&cookies)?)?;
        let exported = session.to_fastlane();
        assert!(exported.expose_secret().chars().all(|c| (' '..='~').contains(&c)));
        let read_back = pasted(exported.expose_secret())?;
        let values: Vec<_> = read_back.cookies.iter().map(|c| c.value.expose_secret()).collect();
        assert_eq!(values, hostile);
        Ok(())
    }

    #[test]
    fn instants_are_read_in_the_spellings_of_json_ruby_and_http() {
        let expected = parse_instant("2026-12-01T08:00:00Z");
        assert!(expected.is_some());
        for text in [
            "2026-12-01T09:00:00+01:00",
            "2026-12-01 09:00:00.000000000 +01:00",
            "2026-12-01 08:00:00 UTC",
            "2026-12-01 08:00:00.000 Z",
            "Tue, 01 Dec 2026 08:00:00 GMT",
        ] {
            assert_eq!(parse_instant(text), expected, "{text}");
        }
        for text in ["", "soon", "2026-12-01", "1764576000", "2026-13-01T08:00:00Z", "日本日本日本日本日本"]
        {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn no_cookie_value_shows_in_debug() -> Result {
        let shown = format!("{:?}", pasted(SPACEAUTH)?);
        assert!(!shown.contains("HSARMTKN") && shown.contains("REDACTED"), "{shown}");
        Ok(())
    }
}
