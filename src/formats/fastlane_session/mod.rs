//! A session as `fastlane spaceauth` prints it, and as fastlane loads it from `FASTLANE_SESSION`.
//!
//! fastlane replaces every `\n` in `FASTLANE_SESSION` with a line break, and loads the result with
//! Ruby's `http-cookie` gem: a YAML list of `!ruby/object:HTTP::Cookie`.

mod recover;

use std::collections::HashSet;

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::apple::cookie::{self, Cookie, CookieRecord, CookieRecords, DamagedCookie};
use crate::apple::private_key::PrivateKey;
use crate::apple::session::Session;
use crate::redact::{error_messages, is_path_like};
use crate::timestamp;
use crate::yaml;

/// How to fix a pasted session that can't be used. Completes a sentence.
pub(crate) const PASTE_NEW_SESSION: &str = "create a new session with `fastlane spaceauth -u <Apple ID> --copy_to_clipboard true` and paste it into `fastlane_session`";

error_messages! {
    /// Why a text is not a session. `Display` completes a sentence that begins with the input's name.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub enum SessionError {
        #[error("is not a list of cookies in the format that `fastlane spaceauth` prints")]
        NotASession,
        #[error("contains cookies, but a character or a line break in them was lost, added or replaced")]
        Damaged,
        #[error("ends in the middle of cookie {number}")]
        CutOff { number: usize },
        #[error("is only the six-digit code that Apple sends")]
        SixDigitCode,
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
    /// How to fix the input. Follows the error's message and a colon.
    #[must_use]
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::SixDigitCode => {
                "run `fastlane spaceauth -u <Apple ID> --copy_to_clipboard true`, enter the code there, and paste the session"
            }
            Self::Path => {
                "paste the session itself, which `fastlane spaceauth -u <Apple ID> --copy_to_clipboard true` copies"
            }
            Self::ApiKey => "move it to `api_key_path`, and clear `fastlane_session`",
            _ => PASTE_NEW_SESSION,
        }
    }

    /// Identifies text in which no list of cookies was found.
    fn identify_other_text(text: &str) -> Self {
        match text.trim() {
            text if text.contains(COOKIE_CLASS) => Self::Damaged,
            text if text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()) => Self::SixDigitCode,
            text if text.contains("PRIVATE KEY") || PrivateKey::from_bytes(text.as_bytes()).is_ok() => {
                Self::ApiKey
            }
            text if is_path_like(text) || text.starts_with("file://") => Self::Path,
            _ => Self::NotASession,
        }
    }
}

/// Reads a pasted session: all or part of the output of `fastlane spaceauth`, in any form that copying turns it into.
///
/// # Errors
/// [`SessionError`] if the text is not a complete list of cookies, or lacks the login cookies.
pub fn from_pasted(pasted: &SecretString) -> Result<Session, SessionError> {
    if pasted.expose_secret().len() > cookie::MAX_BYTES {
        return Err(SessionError::TooLarge);
    }
    let records = find_complete_list(&recover::yaml_candidates(pasted.expose_secret()))?;
    let cookies = cookie::cookies_from(records, None)?;
    let mut earlier = HashSet::new();
    for (cookie, number) in cookies.iter().zip(1..) {
        if !earlier.insert((&cookie.name, &cookie.domain, &cookie.path)) {
            let problem = "an earlier cookie has the same name, so the text contains several sessions";
            return Err(DamagedCookie { number, problem }.into());
        }
    }
    // `myacinfo` is the login cookie.
    if !cookies.iter().any(|cookie| cookie.name == "myacinfo" || cookie.is_trust_token()) {
        return Err(SessionError::MissingLoginCookies);
    }
    let expires_at =
        cookies.iter().filter(|cookie| cookie.is_trust_token()).filter_map(Cookie::expires_at).max();
    Ok(Session { cookies, expires_at })
}

/// Returns the cookies of the first candidate that is a complete list.
fn find_complete_list(candidates: &[Zeroizing<String>]) -> Result<Vec<CookieRecord>, SessionError> {
    let mut error = None;
    for candidate in candidates {
        let Some(records) = parse(candidate) else { continue };
        match check_intact(candidate, &records) {
            Ok(()) => return Ok(records),
            // The first candidate is the most likely one, so its error is the most useful.
            Err(damage) => error = error.or(Some(damage)),
        }
    }
    let cut_off = || candidates.iter().find_map(|candidate| find_cut_in_last_line(candidate));
    let text = candidates.first().map_or("", |text| text.as_str());
    Err(error.or_else(cut_off).unwrap_or_else(|| SessionError::identify_other_text(text)))
}

fn parse(yaml: &str) -> Option<Vec<CookieRecord>> {
    let is_ruby = yaml.contains(COOKIE_ITEM);
    let is_damaged = |line: &str| has_comment(line) || (is_ruby && has_unknown_field(line));
    if yaml::is_too_complex(yaml) || yaml.lines().any(is_damaged) {
        return None;
    }
    let records: Option<CookieRecords> = serde_yaml::from_str(yaml).ok()?;
    Some(records.map(|records| records.0).unwrap_or_default())
}

/// Fails if a cookie was cut off, or damaged in copying.
fn check_intact(yaml: &str, records: &[CookieRecord]) -> Result<(), SessionError> {
    // A list in brackets, as in JSON, can't be parsed if it was cut off.
    let incomplete =
        cookie::find_incomplete(records, yaml.contains(COOKIE_ITEM)).filter(|_| !yaml.starts_with('['));
    if let Some(number) = incomplete.filter(|number| *number == records.len()) {
        return Err(SessionError::CutOff { number });
    }
    let missing_field = incomplete.map(|number| (number, "it lacks fields that the other cookies have"));
    let damage = || records.iter().zip(1..).find_map(|(record, number)| Some((number, record.damage()?)));
    match missing_field.or_else(damage) {
        Some((number, problem)) => Err(DamagedCookie { number, problem }.into()),
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
    let is_outside_quotes = |before: &str| before.matches(['"', '\'']).count().is_multiple_of(2);
    line.trim_start().split_once(" #").is_some_and(|(before, _)| is_outside_quotes(before))
}

/// Returns an error if everything before the last line is a list of cookies: the list is cut off within that line.
fn find_cut_in_last_line(yaml: &str) -> Option<SessionError> {
    let (before, last_line) = yaml.trim_end().rsplit_once('\n')?;
    let number = parse(before)?.len() + usize::from(last_line.starts_with('-'));
    Some(SessionError::CutOff { number })
}

/// Returns the value of `FASTLANE_SESSION`: one line with `\n` for line breaks, as `spaceauth` prints it.
/// If the value had several lines, the Bitrise CLI would redact each of them, even `path: "/"`, everywhere in the log.
#[must_use]
pub fn to_variable(session: &Session) -> SecretString {
    let mut lines = vec![Zeroizing::new("---\\n".to_owned())];
    for cookie in &session.cookies {
        lines.push(Zeroizing::new(format!("{COOKIE_ITEM}\\n")));
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
            lines.extend(value.map(|value| Zeroizing::new(format!("  {field} {}\\n", *value))));
        }
    }
    let lines: Vec<_> = lines.iter().map(|line| line.as_str()).collect();
    SecretString::from(lines.concat())
}

/// Ruby's class of cookies.
const COOKIE_CLASS: &str = "HTTP::Cookie";
/// The start of every cookie in the list.
const COOKIE_ITEM: &str = "- !ruby/object:HTTP::Cookie";

/// The fields of a cookie, in the order in which Ruby writes them.
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

/// Formats a timestamp so that Ruby can read it from YAML. Returns `None` if the year doesn't have four digits.
fn ruby_time(timestamp: OffsetDateTime) -> Option<String> {
    let utc = timestamp::to_utc(timestamp)?;
    let (date, hour, minute, second) = (utc.date(), utc.hour(), utc.minute(), utc.second());
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}.{:09} Z", utc.nanosecond()))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use test_support::{spaceauth, wrapped};

    use super::recover::LIST_INTRODUCTION;
    use super::*;
    use crate::apple::cookie::{MAX_BYTES, MAX_COOKIES};

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// Two cookies as Ruby writes them, before `fastlane spaceauth` puts them on one line.
    static SPACEAUTH: LazyLock<String> = LazyLock::new(|| {
        let cookies = [("DES5c148586daa451e55afb017aa62418f91", "HSARMTKNSRVXWFla"), ("myacinfo", "12e5")];
        let session = spaceauth(&cookies).replace("\\n", "\n").replacen("max_age: ", "max_age: 2592000", 1);
        // Ruby refers to a repeated timestamp with an alias.
        let time = "2026-01-01 12:00:01.000000000 +01:00";
        session.replacen("created_at: ", "created_at: &1 ", 1).replacen(time, "*1", 1)
    });

    fn paste(text: &str) -> std::result::Result<Session, SessionError> {
        from_pasted(&SecretString::from(text))
    }

    /// `tests/properties/session.rs` tests the one-line form; `tests/step/sessions.rs` tests line ends and wrapped lines.
    #[test]
    fn a_session_is_accepted_in_the_forms_that_copying_turns_it_into() -> Result {
        let one_line = SPACEAUTH.replace('\n', "\\n");
        let export = format!("export FASTLANE_SESSION='{one_line}'");
        let output = format!("Done\n\n---\n\nPass {LIST_INTRODUCTION}\n{one_line}\n\n\nExample:\n");
        let escaped = one_line.replace('"', "\\\"");
        let quoted_values = one_line.replace("12e5", "'12e5'");
        let json = serde_json::to_string(&one_line)?;
        let percent = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        // Escapes text as Ruby's Shellwords and the documentation of Travis CI do.
        let is_unescaped = |c: char| c.is_ascii_alphanumeric() || "_-.,:+/@\n".contains(c);
        let shell_escape = |c: char| if is_unescaped(c) { c.to_string() } else { format!("\\{c}") };
        let utf16: Vec<u8> = one_line.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let forms = [
            ("spaces and a semicolon", format!("  FASTLANE_SESSION='{}';", *SPACEAUTH)),
            ("escaped quotes inside both kinds of quotes", format!("'\"{escaped}\"'")),
            ("a byte-order mark and whitespace", format!("\u{feff} \n\t{one_line}\n ")),
            ("no first line", SPACEAUTH.trim_start_matches("---\n").to_owned()),
            ("the whole output", format!("{output}{export}\n")),
            ("the output without its example", output),
            ("80 columns, with export", wrapped(&export, 80)),
            ("no line breaks", SPACEAUTH.replace('\n', "")),
            ("no indentation", SPACEAUTH.replace("\n  ", "\n")),
            ("literal \\r\\n", SPACEAUTH.replace('\n', "\\r\\n")),
            ("a block scalar of one line", format!("FASTLANE_SESSION: >-\n    {one_line}\n")),
            ("a block scalar", format!("- SESSION: |-\n    {}", SPACEAUTH.replace('\n', "\n    "))),
            ("a variable with another name", format!("export SESSION='{one_line}'")),
            ("smart quotes", SPACEAUTH.replacen('"', "“", 1).replacen('"', "”", 1).replacen('"', "„", 1)),
            ("an em dash and a hyphen for ---", SPACEAUTH.replacen("---", "—-", 1)),
            ("no-break spaces and a soft hyphen", SPACEAUTH.replace("  name", "\u{a0}\u{a0}n\u{ad}ame")),
            ("another variable after it", format!("{export}\nexport OTHER='x'\n")),
            ("a comment with an older session", format!("{one_line}\n# FASTLANE_SESSION='{one_line}'\n")),
            ("bash's set", format!("FASTLANE_SESSION='{}'", quoted_values.replace('\'', "'\\''"))),
            ("Python's shlex", format!("'{}'", quoted_values.replace('\'', "'\"'\"'"))),
            ("Ruby's to_yaml", format!("--- '{}'\n", quoted_values.replace('\'', "''"))),
            ("Markdown", format!("```yaml\n{}```\n", *SPACEAUTH)),
            ("inline code", format!("`{one_line}`")),
            ("color codes", format!("\u{1b}[4;36;49m{one_line}\u{1b}[0m")),
            ("bash's escaped !", format!("export FASTLANE_SESSION=\"{}\"", escaped.replace('!', "\\!"))),
            ("the fish shell", format!("set -x FASTLANE_SESSION '{one_line}'")),
            ("a field of JSON", format!("{{\"FASTLANE_SESSION\": {json}, \"OTHER\": \"x\"}}")),
            ("JSON without its quotes, with doubled \\\\n", json.trim_matches('"').to_owned()),
            ("$'…'", format!("export FASTLANE_SESSION=$'{one_line}'")),
            ("Travis CI", one_line.chars().map(shell_escape).collect()),
            ("base64 of base64, in lines", wrapped(&STANDARD.encode(STANDARD.encode(&*SPACEAUTH)), 76)),
            ("base64 of UTF-16, with zsh's %", format!("{}%", STANDARD.encode(utf16))),
            ("percent-encoding, twice", percent(&percent(&one_line))),
            ("a web form", percent(&SPACEAUTH.replace('\n', "\r\n")).replace("%20", "+")),
        ];
        let exported = to_variable(&paste(&SPACEAUTH)?);
        assert!(exported.expose_secret().contains("value: \"12e5\""), "a number keeps its text");
        for (form, text) in forms {
            let session = paste(&text).map_err(|error| format!("{form}: {error}: {text}"))?;
            assert_eq!(to_variable(&session).expose_secret(), exported.expose_secret(), "{form}");
        }
        Ok(())
    }

    #[test]
    fn wrapped_lines_are_joined_unless_one_was_shortened_or_text_was_inserted() -> Result {
        const WIDTH: usize = 72;
        let long_value = (0..90).map(|number| format!("{number:x}Hs")).collect::<Vec<_>>().concat();
        let long = SPACEAUTH.replace("HSARM", &long_value);
        let wrap = |text: &str, indent: &str| {
            let wrap_line = |line: &str| {
                let (first, rest) = line.split_at_checked(WIDTH).unwrap_or((line, ""));
                let rest = wrapped(rest, WIDTH - indent.len());
                rest.lines().fold(first.to_owned(), |text, line| text + "\n" + indent + line)
            };
            text.lines().map(wrap_line).collect::<Vec<_>>().join("\n")
        };
        let one_line = long.replace('\n', "\\n");
        let (list, one_line_list) = (wrap(&long, ""), wrap(&one_line, ""));
        let trimmed = one_line_list.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        let indented = [wrap(&long, "      "), wrap(&one_line, "      ")];
        let expected = to_variable(&paste(&long)?).expose_secret().to_owned();
        for text in [&list, &one_line_list, &trimmed].into_iter().chain(&indented) {
            let session = paste(text).map_err(|error| format!("{error}: {text}"))?;
            assert_eq!(to_variable(&session).expose_secret(), expected, "{text}");
        }
        for text in [list, one_line_list] {
            let mut lines = text.lines().skip_while(|line| line.len() < WIDTH).skip(1);
            let line = lines.find(|line| line.len() == WIDTH).ok_or("only one full line")?;
            for (damage, replacement) in [
                ("a time between two lines", format!("{line}\n10:32")),
                ("a line twice", format!("{line}\n{line}")),
                ("half a line", line.get(..36).unwrap_or_default().to_owned()),
                ("a mark", format!("{line}+")),
            ] {
                let damaged = text.replacen(line, &replacement, 1);
                assert!(paste(&damaged).is_err(), "{damage}: {damaged}");
            }
        }
        let stray = long.replace("WFla\n", "WFla\n2\n");
        assert!(paste(&stray).is_err(), "a single longest line does not show where lines were wrapped");
        Ok(())
    }

    #[test]
    fn a_cookie_that_was_damaged_is_rejected() {
        const VALUE: &str = "HSARMTKNSRVXWFla";
        // Replacements for the end of the value.
        let ends =
            ["…", "—TKNS", "...", " TKNS", " #TKNS", "\u{a0}T", "Ä", "\\TKNS", ";TKNS", "=3DTKNS", ">", "$"];
        let ends = ends.map(|end| ("TKNSRVXWFla", end));
        let values = ["\"HSARM  TKNS\"", "\"***\"", "\"[REDACTED]\"", "<redacted>", "\"'HSARM'\""];
        let values = values.map(|value| (VALUE, value));
        let other_changes = [
            (VALUE, "HSARMTKNSRVXWFla\nx"),
            (VALUE, "HSARMTKNSRVX-\n  WFla"),
            (VALUE, "HSARMTKN\n+ SRVX\n+ WFla"),
            ("HSARMTKNSRVXWFla\n  domain", "HSARMTKNSRVXWFla\nx domain"),
            ("idmsa.apple.com", "idmsa.appel.com"),
            ("path: \"/\"", "path: \"/ \""),
            ("max_age: 2592000", "max_age:2592000"),
            ("max_age: 2592000", "m ax_age: 2592000"),
            ("created_at: &1 2026-01-01 ", "created_at: &1 2026-1-01 "),
        ];
        for (from, to) in ends.into_iter().chain(values).chain(other_changes) {
            let text = SPACEAUTH.replacen(from, to, 1);
            for text in [text.replace('\n', "\\n"), text] {
                let result = paste(&text).map(drop);
                let is_damaged =
                    matches!(result, Err(SessionError::Damaged | SessionError::DamagedCookie(_)));
                assert!(is_damaged, "{to}: {result:?}");
            }
        }
        let twice = SPACEAUTH.repeat(2).replacen("\n---\n", "\n", 1);
        assert!(matches!(paste(&twice).err(), Some(SessionError::DamagedCookie(_))), "two sessions");
    }

    #[test]
    fn a_session_that_is_cut_inside_a_cookie_is_rejected_unless_the_cut_is_harmless() -> Result {
        let before = |at: usize| SPACEAUTH.get(..at).unwrap_or_default();
        // A cut after the path of the first cookie is harmless: only fields with safe defaults are lost, and no other
        // cookie has them.
        let end_of_path = SPACEAUTH.find("\"\n  secure").ok_or("no path")?;
        for at in 0..=end_of_path {
            assert!(paste(before(at)).is_err(), "{}", before(at));
        }
        let second = SPACEAUTH.rfind(COOKIE_ITEM).ok_or("no cookie")?;
        // The Step doesn't use the last line, `accessed_at`.
        let last_line = SPACEAUTH.rfind("  accessed_at").ok_or("no last line")?;
        for at in second + 2..last_line {
            for text in [before(at), &before(at).replace('\n', "\\n")] {
                assert_eq!(paste(text).err(), Some(SessionError::CutOff { number: 2 }), "{text}");
            }
        }
        let without_path = SPACEAUTH.replacen("  path: \"/\"\n", "", 1);
        let error = paste(&without_path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("number 1: it lacks fields"), "{error}");
        Ok(())
    }

    #[test]
    fn cookies_that_all_lack_their_flags_are_restricted() -> Result {
        let session = paste("[{name: DES1, value: x, domain: a.b}, {name: b, value: y, domain: a.b}]")?;
        assert!(session.cookies.iter().all(|cookie| cookie.secure && cookie.httponly), "{session:?}");
        let without_domain = paste("[{name: myacinfo, value: y}]").err();
        assert!(matches!(without_domain, Some(SessionError::DamagedCookie(_))), "{without_domain:?}");
        Ok(())
    }

    /// `tests/step/sessions.rs` tests what people paste by mistake.
    #[test]
    fn a_text_without_cookies_or_with_a_huge_list_is_not_a_session() {
        let value = "x".repeat(MAX_BYTES / 4);
        let first = format!("- {{name: DES1, value: &a {value}, domain: a.b}}\n");
        let too_many_bytes = first + &"- {name: DES2, value: *a, domain: a.b}\n".repeat(100);
        let too_many_cookies =
            "- &a {name: DES1, value: x, domain: a.b}\n".to_owned() + &"- *a\n".repeat(MAX_COOKIES);
        for text in ["{}", "- a\n- b", "12", "[", "&a [*a]", "\u{0}", &too_many_bytes, &too_many_cookies] {
            assert_eq!(paste(text).err(), Some(SessionError::NotASession), "{text:?}");
        }
        assert_eq!(paste(&"x".repeat(MAX_BYTES + 1)).err(), Some(SessionError::TooLarge));
    }

    #[test]
    fn the_largest_hostile_text_is_rejected_in_linear_time() {
        let started = std::time::Instant::now();
        for piece in
            ["\\", "-", COOKIE_ITEM, "name: ", "\n", "\\n", "FASTLANE_SESSION=", "'", "'\"", "MIGH", "%0A"]
        {
            assert!(paste(&piece.repeat(MAX_BYTES / piece.len())).is_err(), "{piece}");
        }
        // Linear time takes seconds, even without optimization.
        assert!(started.elapsed().as_secs() < 60, "took {:?}", started.elapsed());
    }

    #[test]
    fn an_expiry_after_year_9999_is_ignored() -> Result {
        let session =
            paste("[{name: DES1, value: x, domain: a.b, max_age: 5, created_at: 9999-12-31T23:59:59Z}]")?;
        assert_eq!(session.expires_at, None);
        let exported = to_variable(&session).expose_secret().to_owned();
        assert!(!exported.contains("expires") && exported.contains("created_at"), "{session:?}");
        Ok(())
    }
}
