//! A session as `fastlane spaceauth` prints it, and as fastlane loads it from `FASTLANE_SESSION`.
//!
//! fastlane replaces every `\n` in `FASTLANE_SESSION` with a line break, and loads the result with
//! Ruby's `http-cookie` gem: a YAML list of `!ruby/object:HTTP::Cookie`.

mod recover;

use std::collections::HashSet;

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::apple::cookie::{
    Cookie, CookieRecord, CookieRecords, DamagedCookie, MAX_BYTES, cookies_from, find_cut_off,
};
use crate::apple::private_key::PrivateKey;
use crate::apple::session::Session;
use crate::redact::{error_messages, is_path_like};
use crate::timestamp;
use crate::yaml;

/// How to replace a pasted session that can't be used. Completes a sentence.
pub(crate) const NEW_SESSION: &str =
    "create a new session with `fastlane spaceauth -u <Apple ID> --copy_to_clipboard true` and paste it";

error_messages! {
    /// Why a text is not a session. `Display` completes a sentence that begins with the input;
    /// [`SessionError::remedy`] says how to fix it.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum SessionError {
        #[error("is not a list of cookies as `fastlane spaceauth` prints it")]
        NotASession,
        #[error("contains cookies, but a character or a line break in them was lost, added or replaced")]
        Damaged,
        #[error("ends in the middle of cookie {number}")]
        CutOff { number: usize },
        #[error("is only the six-digit code that Apple sends")]
        Code,
        #[error("is only a path")]
        Path,
        #[error("is the private key of an API key")]
        ApiKey,
        #[error("is larger than 256 KiB, so it is not a session")]
        TooLarge,
        #[error("lacks the login cookies (`myacinfo` or `DES…`)")]
        MissingLoginCookies,
        #[error(transparent)]
        DamagedCookie(#[from] DamagedCookie),
    }
}

impl SessionError {
    /// How to fix it. Follows the message and a colon.
    #[must_use]
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Code => {
                "run `fastlane spaceauth -u <Apple ID> --copy_to_clipboard true`, enter the code there, and paste the session"
            }
            Self::Path => {
                "paste the session itself, which `fastlane spaceauth -u <Apple ID> --copy_to_clipboard true` copies"
            }
            Self::ApiKey => "move it to `api_key_path`, and clear `fastlane_session`",
            _ => NEW_SESSION,
        }
    }

    /// Recognizes text that people paste by mistake.
    fn for_other_text(text: &str) -> Self {
        match text.trim() {
            text if text.contains(COOKIE) => Self::Damaged,
            text if text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()) => Self::Code,
            text if text.contains("PRIVATE KEY") || PrivateKey::from_bytes(text.as_bytes()).is_ok() => {
                Self::ApiKey
            }
            text if is_path_like(text) || text.starts_with("file://") => Self::Path,
            _ => Self::NotASession,
        }
    }
}

/// Reads a session that a person pasted: all or part of the output of `fastlane spaceauth`, also in the forms
/// that shells, terminals, editors and web forms turn it into.
///
/// # Errors
/// [`SessionError`] if the text is not a whole list of cookies, or lacks those that log in.
pub fn from_pasted(pasted: &SecretString) -> Result<Session, SessionError> {
    if pasted.expose_secret().len() > MAX_BYTES {
        return Err(SessionError::TooLarge);
    }
    let cookies = cookies_from(whole_list(&recover::readings(pasted.expose_secret()))?, None)?;
    let mut keys = HashSet::new();
    let mut numbered = cookies.iter().zip(1..);
    let repeated = numbered.find(|(cookie, _)| !keys.insert((&cookie.name, &cookie.domain, &cookie.path)));
    if let Some((_, number)) = repeated {
        let what = "an earlier cookie has the same name, so the text contains several sessions";
        return Err(DamagedCookie::Cookie { number, what }.into());
    }
    // `myacinfo` is the login itself.
    if !cookies.iter().any(|cookie| cookie.name == "myacinfo" || cookie.is_trust_token()) {
        return Err(SessionError::MissingLoginCookies);
    }
    let trust_tokens = cookies.iter().filter(|cookie| cookie.is_trust_token());
    let expires_at = trust_tokens.filter_map(Cookie::ends_at).max();
    Ok(Session { cookies, expires_at })
}

/// Returns the cookies of the first reading that is a whole list.
fn whole_list(readings: &[Zeroizing<String>]) -> Result<Vec<CookieRecord>, SessionError> {
    let mut error = None;
    for reading in readings {
        let Some(records) = parse(reading) else { continue };
        match check(reading, &records) {
            Ok(()) => return Ok(records),
            // The most likely reading shows best what is wrong.
            Err(damage) => error = error.or(Some(damage)),
        }
    }
    let cut = || readings.iter().find_map(|reading| cut_in_last_line(reading));
    let text = readings.first().map_or("", |text| text.as_str());
    Err(error.or_else(cut).unwrap_or_else(|| SessionError::for_other_text(text)))
}

fn parse(yaml: &str) -> Option<Vec<CookieRecord>> {
    let is_ruby = yaml.contains(ITEM);
    let is_damaged = |line: &str| has_comment(line) || (is_ruby && has_unknown_field(line));
    if yaml::is_too_complex(yaml) || yaml.lines().any(is_damaged) {
        return None;
    }
    let records: Option<CookieRecords> = serde_yaml::from_str(yaml).ok()?;
    Some(records.map(|records| records.0).unwrap_or_default())
}

/// Fails if a cookie was cut off, or damaged in copying.
fn check(yaml: &str, records: &[CookieRecord]) -> Result<(), SessionError> {
    let is_in_brackets = yaml.trim_start().starts_with('[');
    // A list in brackets, as in JSON, can't be read without its end.
    let cut_off = find_cut_off(records, yaml.contains(ITEM)).filter(|_| !is_in_brackets);
    if let Some(number) = cut_off.filter(|number| *number == records.len()) {
        return Err(SessionError::CutOff { number });
    }
    let lacking = cut_off.map(|number| (number, "it lacks fields that the other cookies have"));
    let damage = || records.iter().zip(1..).find_map(|(record, number)| Some((number, record.damage()?)));
    match lacking.or_else(damage) {
        Some((number, what)) => Err(DamagedCookie::Cookie { number, what }.into()),
        None => Ok(()),
    }
}

/// Whether a line has a field that Ruby's class doesn't have, such as a misspelled one.
fn has_unknown_field(line: &str) -> bool {
    let field = line.trim_start().split_inclusive(':').next().unwrap_or_default();
    field.ends_with(':') && !field.starts_with('-') && !FIELDS.contains(&field)
}

/// Whether YAML would read the end of a value as a comment and drop it.
fn has_comment(line: &str) -> bool {
    let before = line.trim_start().split_once(" #").map(|(before, _)| before);
    before.is_some_and(|before| before.matches(['"', '\'']).count() % 2 == 0)
}

/// Recognizes a list that is cut off within a line.
fn cut_in_last_line(yaml: &str) -> Option<SessionError> {
    let (whole, line) = yaml.trim_end().rsplit_once('\n')?;
    let number = parse(whole)?.len() + usize::from(line.trim_start().starts_with('-'));
    Some(SessionError::CutOff { number })
}

/// Returns the value of `FASTLANE_SESSION`: one line with `\n` for line breaks, as `spaceauth` prints it.
/// If the value had several lines, the Bitrise CLI would redact each line everywhere, even `path: "/"`.
#[must_use]
pub fn to_variable(session: &Session) -> SecretString {
    let mut lines = vec![Zeroizing::new("---".to_owned())];
    for cookie in &session.cookies {
        lines.push(Zeroizing::new(ITEM.to_owned()));
        let values = [
            Some(yaml::quote(&cookie.name)),
            Some(yaml::quote(cookie.value.expose_secret())),
            Some(yaml::quote(&cookie.domain)),
            Some(cookie.for_domain.to_string()),
            Some(yaml::quote(&cookie.path)),
            Some(cookie.secure.to_string()),
            Some(cookie.httponly.to_string()),
            cookie.expires.and_then(ruby_time),
            cookie.max_age.map(|seconds| seconds.to_string()),
            cookie.created_at.and_then(ruby_time),
        ];
        for (field, value) in FIELDS.iter().zip(values.map(|value| value.map(Zeroizing::new))) {
            lines.extend(value.map(|value| Zeroizing::new(format!("  {field} {}", *value))));
        }
    }
    // Ends in a line break.
    lines.push(Zeroizing::default());
    let lines: Vec<_> = lines.iter().map(|line| line.as_str()).collect();
    SecretString::from(lines.join("\\n"))
}

/// The class of every item in the list.
const COOKIE: &str = "HTTP::Cookie";
const ITEM: &str = "- !ruby/object:HTTP::Cookie";

/// The fields of [`ITEM`], in Ruby's order.
const FIELDS: [&str; 11] = [
    "name:",
    "value:",
    "domain:",
    "for_domain:",
    "path:",
    "secure:",
    "httponly:",
    "expires:",
    "max_age:",
    "created_at:",
    "accessed_at:",
];

/// Formats a timestamp for YAML 1.1 and Ruby's `Time`. Returns `None` if the year is out of their range.
fn ruby_time(timestamp: OffsetDateTime) -> Option<String> {
    let t = timestamp::to_utc(timestamp)?;
    let (date, hour, minute, second) = (t.date(), t.hour(), t.minute(), t.second());
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}.{:09} Z", t.nanosecond()))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::recover::LIST_INTRODUCTION;
    use super::*;
    use crate::apple::cookie::MAX_COOKIES;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// Three cookies as Ruby writes them, before `fastlane spaceauth` puts them on one line.
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
        "  created_at: &1 2026-11-01 09:00:00.000000000 +01:00\n",
        "  accessed_at: *1\n",
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
        "  created_at: 2026-11-01 09:00:00.000000000 +01:00\n",
        "  accessed_at: 2026-11-01 09:00:00.000000000 +01:00\n",
        "- !ruby/object:HTTP::Cookie\n",
        "  name: dqsid\n",
        "  value: 12e5\n",
        "  domain: appstoreconnect.apple.com\n",
        "  for_domain: false\n",
        "  path: \"/\"\n",
        "  secure: true\n",
        "  httponly: true\n",
        "  expires:\n",
        "  max_age: 1799\n",
        "  created_at: 2026-11-01 09:00:00.000000000 +01:00\n",
        "  accessed_at: 2026-11-01 09:00:00.000000000 +01:00\n",
    );

    fn pasted(text: &str) -> std::result::Result<Session, SessionError> {
        from_pasted(&SecretString::from(text))
    }

    /// The one-line form is tested in `tests/properties/session.rs`, line ends and wrapped lines in
    /// `tests/step/sessions.rs`.
    #[test]
    fn a_session_is_accepted_in_the_forms_that_copying_turns_it_into() -> Result {
        let one_line = SPACEAUTH.replace('\n', "\\n");
        let wrapped = |text: &str, columns: usize| {
            let lines: Vec<_> = text.as_bytes().chunks(columns).map(String::from_utf8_lossy).collect();
            lines.join("\n")
        };
        let indented = SPACEAUTH.replace('\n', "\n    ");
        let json = |text: &str| serde_json::to_string(text);
        let percent = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        // As Ruby's Shellwords and the documentation of Travis CI do it.
        let shell_escaped = |text: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:+/@\n".contains(c);
            text.chars()
                .map(|c| if is_plain(c) { c.to_string() } else { format!("\\{c}") })
                .collect::<String>()
        };
        let escaped = one_line.replace('"', "\\\"");
        let quoted_values = one_line.replace("0123", "'0123'");
        let forms = [
            ("blanks and a semicolon", format!("  FASTLANE_SESSION='{SPACEAUTH}';")),
            ("double quotes", format!("export FASTLANE_SESSION=\"{escaped}\"")),
            ("single quotes alone", format!("'{one_line}'")),
            ("double quotes inside single quotes", format!("'\"{one_line}\"'")),
            ("escaped quotes inside both", format!("'\"{escaped}\"'")),
            ("export, single inside double quotes", format!("export FASTLANE_SESSION=\"'{one_line}'\"")),
            ("blanks around it", format!(" \n\t{one_line}\n ")),
            ("a byte-order mark", format!("\u{feff}{one_line}")),
            ("no first line", SPACEAUTH.trim_start_matches("---\n").to_owned()),
            (
                "the whole output",
                format!(
                    "Successfully logged in\n\n---\n\nPass the following {LIST_INTRODUCTION}\n{one_line}\n\n\nExample:\nexport FASTLANE_SESSION='{one_line}'\n"
                ),
            ),
            ("120 columns", wrapped(&one_line, 120)),
            ("200 columns, CRLF", wrapped(&one_line, 200).replace('\n', "\r\n")),
            ("80 columns, with export", wrapped(&format!("export FASTLANE_SESSION='{one_line}'"), 80)),
            ("spaces for line breaks", SPACEAUTH.replace('\n', " ")),
            ("spaces for literal \\n", one_line.replace("\\n", " ")),
            ("no line breaks", SPACEAUTH.replace('\n', "")),
            ("no indentation", SPACEAUTH.replace("\n  ", "\n")),
            ("doubled \\\\n", SPACEAUTH.replace('\n', "\\\\n")),
            ("literal \\r\\n", SPACEAUTH.replace('\n', "\\r\\n")),
            ("a block scalar", format!("FASTLANE_SESSION: |\n    {indented}")),
            ("a block scalar of one line", format!("FASTLANE_SESSION: >-\n    {one_line}\n")),
            ("a block scalar under another name", format!("- SESSION: |-\n    {indented}")),
            ("a quoted value in YAML", format!("FASTLANE_SESSION: '{one_line}'")),
            ("a variable with another name", format!("export SESSION='{one_line}'")),
            ("smart quotes", SPACEAUTH.replacen('"', "“", 1).replacen('"', "”", 1).replacen('"', "„", 1)),
            ("an em dash for ---", one_line.replacen("---", "—", 1)),
            ("an em dash and a hyphen for ---", SPACEAUTH.replacen("---", "—-", 1)),
            ("a no-break space", SPACEAUTH.replace("  name", "\u{a0}\u{a0}name")),
            ("a soft hyphen", SPACEAUTH.replace("HSARM", "HSARM\u{ad}")),
            (
                "another variable after it",
                format!("export FASTLANE_SESSION='{one_line}'\nexport OTHER='x'\n"),
            ),
            ("a comment with an older session", format!("{one_line}\n# FASTLANE_SESSION='{one_line}'\n")),
            ("bash's set", format!("FASTLANE_SESSION='{}'", quoted_values.replace('\'', "'\\''"))),
            ("Python's shlex", format!("'{}'", quoted_values.replace('\'', "'\"'\"'"))),
            ("Ruby's to_yaml", format!("--- '{}'\n", quoted_values.replace('\'', "''"))),
            ("Markdown", format!("```yaml\n{SPACEAUTH}```\n")),
            ("inline code", format!("`{one_line}`")),
            ("color codes", format!("\u{1b}[4;36;49m{one_line}\u{1b}[0m")),
            ("bash's escaped !", format!("export FASTLANE_SESSION=\"{}\"", escaped.replace('!', "\\!"))),
            ("the fish shell", format!("set -x FASTLANE_SESSION '{one_line}'")),
            ("a field of JSON", format!("{{\"FASTLANE_SESSION\": {}, \"OTHER\": \"x\"}}", json(&one_line)?)),
            ("$'…'", format!("export FASTLANE_SESSION=$'{one_line}'")),
            ("Travis CI", shell_escaped(&one_line)),
            ("JSON of the one line", json(&one_line)?),
            ("JSON of several lines", json(SPACEAUTH)?),
            ("JSON without its quotes", json(&one_line)?.trim_matches('"').to_owned()),
            ("base64 of the one line, in lines", wrapped(&STANDARD.encode(&one_line), 76)),
            ("base64 of base64", STANDARD.encode(STANDARD.encode(SPACEAUTH))),
            ("base64 of UTF-16", STANDARD.encode(utf16(&one_line))),
            ("base64 with zsh's %", format!("{}%", STANDARD.encode(&one_line))),
            ("percent-encoding", percent(SPACEAUTH)),
            ("percent-encoding of one line, twice", percent(&percent(&one_line))),
            ("a web form", percent(&SPACEAUTH.replace('\n', "\r\n")).replace("%20", "+")),
        ];
        let expected = pasted(SPACEAUTH)?;
        let exported = to_variable(&expected);
        let values: Vec<_> = expected.cookies.iter().map(|cookie| cookie.value.expose_secret()).collect();
        assert_eq!(values, ["HSARMTKNSRVXWFla", "0123", "12e5"], "numbers keep their text");
        for (form, text) in forms {
            let session = pasted(&text).map_err(|error| format!("{form}: {error}: {text}"))?;
            assert_eq!(to_variable(&session).expose_secret(), exported.expose_secret(), "{form}");
        }
        Ok(())
    }

    #[test]
    fn wrapped_lines_are_joined_only_if_all_of_them_are_there() -> Result {
        let long =
            SPACEAUTH.replace("HSARM", &(0..90).map(|n| format!("{n:x}Hs")).collect::<Vec<_>>().concat());
        let wrap = |text: &str, indent: &str| {
            let mut lines = vec![String::new()];
            for c in text.chars() {
                if lines.last().is_some_and(|line| line.len() == 72) && c != '\n' {
                    lines.push(indent.to_owned());
                }
                lines.last_mut().into_iter().for_each(|line| line.push(c));
                if c == '\n' {
                    lines.push(String::new());
                }
            }
            lines.join("\n").replace("\n\n", "\n")
        };
        let expected = to_variable(&pasted(&long)?).expose_secret().to_owned();
        let wrapped_one_line = wrap(&long.replace('\n', "\\n"), "");
        let trim = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        let indented = [wrap(&long, "      "), wrap(&long.replace('\n', "\\n"), "      ")];
        for text in
            indented.into_iter().chain([wrap(&long, ""), wrapped_one_line.clone(), trim(&wrapped_one_line)])
        {
            let session = pasted(&text).map_err(|error| format!("{error}: {text}"))?;
            assert_eq!(to_variable(&session).expose_secret(), expected, "{text}");
        }
        for text in [wrap(&long, ""), wrapped_one_line] {
            let lines: Vec<_> = text.lines().collect();
            let at =
                lines.windows(2).position(|pair| pair.iter().all(|line| line.len() == 72)).ok_or("none")?;
            let line = *lines.get(at + 1).ok_or("none")?;
            for (what, replacement) in [
                ("a time between two lines", format!("{line}\n10:32")),
                ("a line twice", format!("{line}\n{line}")),
                ("half a line", line.get(..36).unwrap_or_default().to_owned()),
                ("a mark", format!("{line}+")),
            ] {
                let damaged = text.replacen(line, &replacement, 1);
                assert!(pasted(&damaged).is_err(), "{what}: {damaged}");
            }
        }
        let stray = long.replace("WFla\n", "WFla\n2\n");
        assert!(pasted(&stray).is_err(), "the longest line proves no width");
        Ok(())
    }

    #[test]
    fn a_cookie_that_was_damaged_is_rejected() {
        const VALUE: &str = "HSARMTKNSRVXWFla";
        // What the value ends in, instead of its second half.
        let ends = [
            "\u{2026}",
            "\u{2014}TKNS",
            "...",
            " TKNS",
            " #TKNS",
            "\u{a0}T",
            "\u{c4}",
            "\\TKNS",
            ";TKNS",
            "=3DTKNS",
            ">",
            "$",
        ];
        let ends = ends.map(|end| ("TKNSRVXWFla", end));
        let values = ["\"HSARM  TKNS\"", "\"***\"", "\"[REDACTED]\"", "<redacted>", "\"'HSARM'\""];
        let values = values.map(|value| (VALUE, value));
        let others = [
            (VALUE, "HSARMTKNSRVXWFla\nx"),
            (VALUE, "HSARMTKNSRVX-\n  WFla"),
            (VALUE, "HSARMTKN\n+ SRVX\n+ WFla"),
            ("HSARMTKNSRVXWFla\n  domain", "HSARMTKNSRVXWFla\nx domain"),
            ("idmsa.apple.com", "idmsa.apple.comn"),
            ("idmsa.apple.com", "idmsa.appel.com"),
            ("path: \"/\"", "path: \"/ \""),
            ("max_age: 2592000", "max_age:2592000"),
            ("max_age: 2592000", "maax_age: 2592000"),
            ("max_age: 2592000", "m ax_age: 2592000"),
            ("created_at: &1 2026-11-01 ", "created_at: &1 2026-1-01 "),
        ];
        for (from, to) in ends.into_iter().chain(values).chain(others) {
            let text = SPACEAUTH.replacen(from, to, 1);
            for text in [text.replace('\n', "\\n"), text] {
                let error = pasted(&text).map(drop);
                let is_damaged = matches!(error, Err(SessionError::Damaged | SessionError::DamagedCookie(_)));
                assert!(is_damaged, "{to}: {error:?}");
            }
        }
        let twice = format!("{SPACEAUTH}{}", SPACEAUTH.trim_start_matches("---\n"));
        assert!(matches!(pasted(&twice).err(), Some(SessionError::DamagedCookie(_))), "two sessions");
    }

    #[test]
    fn a_session_that_is_cut_inside_a_cookie_is_rejected_at_every_character() {
        let second = SPACEAUTH.find("- !ruby/object:HTTP::Cookie\n  name: myacinfo").unwrap_or_default();
        let third = SPACEAUTH.find("- !ruby/object:HTTP::Cookie\n  name: dqsid").unwrap_or_default();
        // Before the last line, which the Step doesn't need.
        let end = SPACEAUTH.rfind("  accessed_at").unwrap_or_default();
        for at in second + 2..end {
            // Between two cookies, a cut can't be seen.
            if (third - 1..third + 2).contains(&at) {
                continue;
            }
            let text = SPACEAUTH.get(..at).unwrap_or_default();
            let number = if at < third { 2 } else { 3 };
            for text in [text, &text.replace('\n', "\\n")] {
                assert_eq!(pasted(text).err(), Some(SessionError::CutOff { number }), "{text}");
            }
        }
        let without_path = SPACEAUTH.replacen("  path: \"/\"\n", "", 1);
        let error = pasted(&without_path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("number 1: it lacks fields"), "{error}");
    }

    #[test]
    fn a_session_that_is_cut_inside_its_first_cookie_keeps_that_cookie_whole_or_is_rejected() -> Result {
        let start = SPACEAUTH.find("- !ruby/object:HTTP::Cookie\n  name: myacinfo").unwrap_or_default();
        let first = SPACEAUTH.get(start..).unwrap_or_default();
        let whole =
            |session: Session| session.cookies.into_iter().next().map(|c| (c.domain, c.for_domain, c.path));
        let expected = whole(pasted(first)?);
        let end = first.find("  secure").unwrap_or_default();
        for at in 0..end {
            let text = first.get(..at).unwrap_or_default();
            if let Ok(session) = pasted(text) {
                assert_eq!(whole(session), expected, "{text}");
            }
        }
        Ok(())
    }

    #[test]
    fn cookies_that_all_lack_their_flags_are_restricted() -> Result {
        let session = pasted("[{name: DES1, value: x, domain: a.b}, {name: b, value: y, domain: a.b}]")?;
        assert!(session.cookies.iter().all(|cookie| cookie.secure && cookie.httponly), "{session:?}");
        let without_domain = pasted("[{name: myacinfo, value: y}]").err();
        assert!(matches!(without_domain, Some(SessionError::DamagedCookie(_))), "{without_domain:?}");
        Ok(())
    }

    #[test]
    fn a_text_without_cookies_is_not_a_session() {
        for text in ["hello", "{}", "- a\n- b", "12", "[", "&a [*a]", "<html></html>", "\u{0}"] {
            assert_eq!(pasted(text).err(), Some(SessionError::NotASession), "{text:?}");
        }
        assert_eq!(pasted(&"x".repeat(MAX_BYTES + 1)).err(), Some(SessionError::TooLarge));
    }

    #[test]
    fn the_largest_hostile_text_is_rejected_in_linear_time() {
        let started = std::time::Instant::now();
        for piece in ["\\", "-", ITEM, "name: ", "\n", "\\n", "FASTLANE_SESSION=", "'", "'\"", "MIGH", "%0A"]
        {
            assert!(pasted(&piece.repeat(MAX_BYTES / piece.len())).is_err(), "{piece}");
        }
        assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    }

    #[test]
    fn a_small_text_that_expands_to_a_huge_session_is_rejected() {
        let value = "x".repeat(MAX_BYTES / 4);
        let value = format!("- {{name: DES1, value: &a {value}, domain: a.b}}\n");
        let cookie = "- &a {name: DES1, value: x, domain: a.b}\n".to_owned();
        let by_values = value + &"- {name: DES2, value: *a, domain: a.b}\n".repeat(100);
        for text in [by_values, cookie + &"- *a\n".repeat(MAX_COOKIES)] {
            assert_eq!(pasted(&text).err(), Some(SessionError::NotASession));
        }
    }

    #[test]
    fn an_expiry_beyond_the_calendar_is_ignored() -> Result {
        let cookie = "{name: DES1, value: x, domain: a.b, max_age: 5, created_at: \"9999-12-31T23:59:59Z\"}";
        let session = pasted(&format!("[{cookie}]"))?;
        assert_eq!(session.expires_at, None);
        let exported = to_variable(&session);
        let has = |field| exported.expose_secret().contains(field);
        assert!(!has("expires") && has("created_at"), "{session:?}");
        Ok(())
    }

    #[test]
    fn debug_output_hides_cookie_values() -> Result {
        let shown = format!("{:?}", pasted(SPACEAUTH)?);
        assert!(!shown.contains("HSARMTKN") && shown.contains("REDACTED"), "{shown}");
        Ok(())
    }
}
