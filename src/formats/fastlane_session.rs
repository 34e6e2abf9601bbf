//! A session as `fastlane spaceauth` prints it, and as fastlane loads it from `FASTLANE_SESSION`.
//!
//! fastlane writes `FASTLANE_SESSION` to a file, every backslash-n in it made a newline, and
//! has Ruby's `http-cookie` gem load that: a YAML list of `!ruby/object:HTTP::Cookie`.

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::apple::cookie::{Cookie, CookieRecords, DamagedCookie, Lifetime, MAX_BYTES, cookies_from};
use crate::apple::private_key::PrivateKey;
use crate::apple::session::Session;
use crate::redact::{is_path_like, sentences};
use crate::timestamp;
use crate::yaml;

/// What to do about a pasted session that can't be used. Completes a sentence.
pub(crate) const NEW_SESSION: &str =
    "make a new one with `fastlane spaceauth -u <Apple ID>` and paste everything it prints";

sentences! {
    /// Why a text is not a session. `Display` completes a sentence that begins
    /// with the input; what to do is
    /// [`SessionError::remedy`].
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum SessionError {
        #[error("is not a list of cookies as `fastlane spaceauth` prints it")]
        NotASession,
        #[error("is only the six-digit code that Apple sends")]
        Code,
        #[error("is only a path")]
        Path,
        #[error("is encoded as base64")]
        Base64,
        #[error("is the private key of an API key")]
        ApiKey,
        #[error("is larger than 256 KiB, so it is not a session")]
        TooLarge,
        #[error("lacks the cookies that log in (`myacinfo` or `DES…`)")]
        MissingLoginCookies,
        #[error(transparent)]
        DamagedCookie(#[from] DamagedCookie),
    }
}

impl SessionError {
    /// What to paste in its place. Completes "…: paste it".
    #[must_use]
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Code => {
                "run `fastlane spaceauth -u <Apple ID>`, enter the code there, and paste all that it prints"
            }
            Self::Path => "paste the text that `fastlane spaceauth -u <Apple ID>` prints",
            Self::Base64 => "paste it as `fastlane spaceauth -u <Apple ID>` prints it",
            Self::ApiKey => "put it into `api_key_path`, and clear `fastlane_session`",
            Self::NotASession | Self::TooLarge | Self::MissingLoginCookies | Self::DamagedCookie(_) => {
                NEW_SESSION
            }
        }
    }

    /// What else people paste, by name.
    fn of_other_text(text: &str) -> Self {
        let is_base64 = |text: &str| {
            let mut letters = text.chars().filter(|c| !c.is_whitespace());
            text.len() >= 40 && letters.all(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(c))
        };
        match text.trim() {
            text if text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()) => Self::Code,
            text if text.contains("PRIVATE KEY") || PrivateKey::from_bytes(text.as_bytes()).is_ok() => {
                Self::ApiKey
            }
            text if is_path_like(text) || text.starts_with("file://") => Self::Path,
            text if is_base64(text) => Self::Base64,
            _ => Self::NotASession,
        }
    }
}

/// What a person pasted: the output of `fastlane spaceauth`, whole or in part, with or
/// without the surrounding `export FASTLANE_SESSION='…'`, newlines real or written `\n`.
///
/// # Errors
/// When it is no list of cookies, or lacks those that log in.
pub fn from_pasted(pasted: &SecretString) -> Result<Session, SessionError> {
    let text = unwrap_shell(pasted.expose_secret());
    if text.len() > MAX_BYTES {
        return Err(SessionError::TooLarge);
    }
    let with_lines = Zeroizing::new(text.replace("\\n", "\n"));
    let text = Zeroizing::new(with_lines.replace('\r', ""));
    if yaml::is_too_deep(&text) || yaml::has_many_aliases(&text) {
        return Err(SessionError::NotASession);
    }
    let records: Option<CookieRecords> =
        serde_yaml::from_str(&text).map_err(|_| SessionError::of_other_text(&text))?;
    let cookies = cookies_from(records.map_or_else(Vec::new, |records| records.0), None)?;
    if !cookies.iter().any(|cookie| cookie.is_account_token() || cookie.is_trust_token()) {
        return Err(SessionError::MissingLoginCookies);
    }
    let expires_at = cookies
        .iter()
        .filter(|cookie| cookie.is_trust_token())
        .filter_map(|cookie| cookie.lifetime.ends_at())
        .max();
    Ok(Session { cookies, expires_at })
}

/// The value of `FASTLANE_SESSION`: one line with `\n` for newlines, as `spaceauth` prints
/// it. One line also is one thing to redact: of a value with several, the Bitrise CLI
/// would redact each line, `path: "/"` among them, wherever it appears.
#[must_use]
pub fn to_variable(session: &Session) -> SecretString {
    let mut lines = vec![Zeroizing::new("---".to_owned())];
    for cookie in &session.cookies {
        push_lines(cookie, &mut lines);
    }
    let length = lines.iter().map(|line| line.len() + 2).sum();
    let mut text = Zeroizing::new(String::with_capacity(length));
    for line in &lines {
        text.push_str(line);
        text.push_str("\\n");
    }
    SecretString::from(text.as_str())
}

fn push_lines(cookie: &Cookie, lines: &mut Vec<Zeroizing<String>>) {
    let value = Zeroizing::new(yaml::quoted(cookie.value.expose_secret()));
    let mut push = |line: String| lines.push(Zeroizing::new(line));
    push("- !ruby/object:HTTP::Cookie".to_owned());
    push(format!("  name: {}", yaml::quoted(&cookie.name)));
    push(format!("  value: {}", value.as_str()));
    push(format!("  domain: {}", yaml::quoted(&cookie.domain)));
    push(format!("  for_domain: {}", cookie.for_domain));
    push(format!("  path: {}", yaml::quoted(&cookie.path)));
    push(format!("  secure: {}", cookie.secure));
    push(format!("  httponly: {}", cookie.httponly));
    let (expires, max_age, created_at) = match cookie.lifetime {
        Lifetime::Session => (None, None, None),
        Lifetime::Until(instant) => (ruby_time(instant), None, None),
        Lifetime::Seconds { max_age, created_at } => (None, Some(max_age), created_at.and_then(ruby_time)),
    };
    if let Some(expires) = expires {
        push(format!("  expires: {expires}"));
    }
    if let Some(max_age) = max_age {
        push(format!("  max_age: {max_age}"));
    }
    if let Some(created_at) = created_at {
        push(format!("  created_at: {created_at}"));
    }
}

/// What `fastlane spaceauth` prints before the list of cookies.
/// Source: <https://github.com/fastlane/fastlane/blob/master/spaceship/lib/spaceship/spaceauth_runner.rb>
const LIST_INTRODUCTION: &str = "via the FASTLANE_SESSION environment variable:";

/// Takes the value out of `export FASTLANE_SESSION='…'`, wherever that stands in what
/// `fastlane spaceauth` printed, or off up to two pairs of quotes.
fn unwrap_shell(pasted: &str) -> Zeroizing<String> {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let text = match (pasted.rsplit_once("FASTLANE_SESSION="), pasted.split_once(LIST_INTRODUCTION)) {
        (Some((_, value)), _) => value,
        // The output without its example, which is the `export` line.
        (None, Some((_, list))) => list.trim_matches(blank).split("\n\n").next().unwrap_or(list),
        (None, None) => pasted,
    }
    .trim_matches(blank);
    unquoted(text).map_or_else(
        || Zeroizing::new(text.trim_end_matches(';').to_owned()),
        |inner| {
            // A web form or a YAML file may have got the value with its quotes, and put more around it.
            let twice = unquoted(inner.trim_matches(blank));
            twice.unwrap_or(inner)
        },
    )
}

/// Takes off a pair of quotes, and what is behind it.
fn unquoted(text: &str) -> Option<Zeroizing<String>> {
    let inside = |quote| text.strip_prefix(quote)?.rsplit_once(quote).map(|(inner, _)| inner);
    let single = || inside('\'').map(str::to_owned);
    // Inside double quotes a shell wants the quotes of the YAML escaped.
    let double = || inside('"').map(|inner| inner.replace("\\\"", "\""));
    single().or_else(double).map(Zeroizing::new)
}

/// An instant as YAML 1.1 and Ruby's `Time` spell it. `None` for years that they cannot.
fn ruby_time(instant: OffsetDateTime) -> Option<String> {
    let t = timestamp::to_utc(instant)?;
    let (date, hour, minute, second) = (t.date(), t.hour(), t.minute(), t.second());
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}.{:09} Z", t.nanosecond()))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::apple::cookie::MAX_COOKIES;
    use crate::apple::private_key::samples;
    use crate::timestamp;

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
        from_pasted(&SecretString::from(text))
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
            format!("\"'{one_line}'\""),
            format!("'\"{one_line}\"'"),
            format!("export FASTLANE_SESSION=\"'{one_line}'\""),
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
        assert_eq!(session.expires_at, timestamp::parse("2026-12-01T08:00:00Z"));
        Ok(())
    }

    #[test]
    fn what_is_no_session_is_refused() {
        for text in ["hello", "{}", "- a\n- b", "12", "[", "&a [*a]", "<html></html>", "\u{0}"] {
            assert_eq!(pasted(text).err(), Some(SessionError::NotASession), "{text:?}");
        }
        assert_eq!(pasted(&"x".repeat(MAX_BYTES + 1)).err(), Some(SessionError::TooLarge));
    }

    #[test]
    fn what_else_people_paste_is_named() -> Result {
        let pem = samples::pkcs8()?;
        let cases = [
            ("123456", SessionError::Code),
            ("~/.fastlane/spaceship/jane@example.com/cookie", SessionError::Path),
            ("/Users/jane/.fastlane/cookie", SessionError::Path),
            (&STANDARD.encode(SPACEAUTH), SessionError::Base64),
            (&pem, SessionError::ApiKey),
            (&samples::body(&pem), SessionError::ApiKey),
            (&STANDARD.encode(&pem), SessionError::ApiKey),
        ];
        for (text, expected) in cases {
            assert_eq!(pasted(text).err(), Some(expected), "{text}");
        }
        Ok(())
    }

    #[test]
    fn a_small_text_that_stands_for_a_huge_session_is_refused() {
        let value = "x".repeat(MAX_BYTES / 4);
        let by_values = format!("- {{name: DES1, value: &a {value}, domain: a.b}}\n");
        let by_values = by_values + &"- {name: DES2, value: *a, domain: a.b}\n".repeat(100);
        let by_cookies = "- &a {name: DES1, value: x, domain: a.b}\n".to_owned();
        let by_cookies = by_cookies + &"- *a\n".repeat(MAX_COOKIES);
        for text in [by_values, by_cookies] {
            assert_eq!(pasted(&text).err(), Some(SessionError::NotASession));
        }
    }

    #[test]
    fn a_session_without_the_cookies_that_log_in_is_refused() {
        let only_dqsid = "- !ruby/object:HTTP::Cookie\n  name: dqsid\n  value: x\n  domain: apple.com\n";
        assert_eq!(pasted(only_dqsid).err(), Some(SessionError::MissingLoginCookies));
        for empty in ["[]", "---", "---\\n"] {
            assert_eq!(pasted(empty).err(), Some(SessionError::MissingLoginCookies));
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
        let session = Session::from_connection(serde_json::from_value(cookies.into())?, None)?;
        let exported = to_variable(&session);
        assert!(exported.expose_secret().chars().all(|c| (' '..='~').contains(&c)));
        let read_back = pasted(exported.expose_secret())?;
        let values: Vec<_> = read_back.cookies.iter().map(|c| c.value.expose_secret()).collect();
        assert_eq!(values, hostile);
        Ok(())
    }

    #[test]
    fn a_cookie_whose_end_no_calendar_has_is_one_without_an_end() -> Result {
        let session = pasted(
            "[{name: DES1, value: x, domain: a.b, expires: \"9999-12-31T23:59:59-12:00\"},
              {name: DES2, value: x, domain: a.b, max_age: 5, created_at: \"9999-12-31T23:59:59-12:00\"},
              {name: DES3, value: x, domain: a.b, max_age: 5, created_at: \"9999-12-31T23:59:59Z\"}]",
        )?;
        assert_eq!(session.expires_at, None);
        let exported = to_variable(&session);
        let lines = exported.expose_secret().split("\\n").filter(|line| line.contains("expires"));
        assert_eq!(lines.count(), 0);
        assert_eq!(exported.expose_secret().matches("created_at").count(), 1);
        Ok(())
    }

    #[test]
    fn no_cookie_value_shows_in_debug() -> Result {
        let shown = format!("{:?}", pasted(SPACEAUTH)?);
        assert!(!shown.contains("HSARMTKN") && shown.contains("REDACTED"), "{shown}");
        Ok(())
    }
}
