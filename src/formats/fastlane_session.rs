//! A session as `fastlane spaceauth` prints it, and as fastlane loads it from `FASTLANE_SESSION`.
//!
//! fastlane replaces every `\n` in `FASTLANE_SESSION` with a line break, and loads the result with
//! Ruby's `http-cookie` gem: a YAML list of `!ruby/object:HTTP::Cookie`.

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::apple::cookie::{
    Cookie, CookieDefaults, CookieRecord, CookieRecords, DamagedCookie, MAX_BYTES, cookies_from, find_cut_off,
};
use crate::apple::private_key::{
    PrivateKey, assigned_value, decode_base64, decode_text, until_next_assignment,
};
use crate::apple::session::Session;
use crate::redact::{error_messages, is_path_like};
use crate::timestamp;
use crate::yaml;

/// How to replace a pasted session that can't be used. Completes a sentence.
pub(crate) const NEW_SESSION: &str =
    "create a new one with `fastlane spaceauth -u <Apple ID> --copy_to_clipboard true` and paste it";

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
    /// What to paste instead. Completes "…: paste it".
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
    let text = extract_list(pasted.expose_secret(), MAX_DEPTH);
    let readings = readings(&text);
    let mut lists: Vec<_> = readings.iter().filter_map(|reading| parse(reading)).collect();
    if lists.is_empty() {
        let cut = readings.iter().find_map(|reading| cut_in_last_line(reading));
        return Err(cut.unwrap_or_else(|| SessionError::for_other_text(&text)));
    }
    let intact = lists.iter().position(|records| records.iter().all(CookieRecord::has_intact_value));
    let records = lists.swap_remove(intact.unwrap_or(0));
    // A list in brackets, as in JSON, can't be read without its end.
    if let Some(number) = find_cut_off(&records, text.contains(ITEM)).filter(|_| !text.starts_with('[')) {
        if number == records.len() {
            return Err(SessionError::CutOff { number });
        }
        let what = "it lacks fields that the other cookies have";
        return Err(DamagedCookie::Cookie { number, what }.into());
    }
    if let Some(index) = records.iter().position(|record| !record.has_intact_value()) {
        let what = "its value is shortened, or contains a space or another invalid character";
        return Err(DamagedCookie::Cookie { number: index + 1, what }.into());
    }
    // A cookie that other tools wrote without its flags must not be sent to more places than Apple meant.
    let cookies = cookies_from(records, CookieDefaults { domain: None, is_restricted: true })?;
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

fn parse(yaml: &str) -> Option<Vec<CookieRecord>> {
    if yaml::is_too_deep(yaml) || yaml::has_many_aliases(yaml) || yaml.lines().any(has_comment) {
        return None;
    }
    let records: Option<CookieRecords> = serde_yaml::from_str(yaml).ok()?;
    Some(records.map_or_else(Vec::new, |records| records.0))
}

/// Whether YAML would read the end of a value as a comment and drop it.
fn has_comment(line: &str) -> bool {
    let before = line.trim_start().split_once(" #").map(|(before, _)| before);
    before.is_some_and(|before| before.matches(['"', '\'']).count() % 2 == 0)
}

/// Recognizes a list that is cut off within a line.
fn cut_in_last_line(yaml: &str) -> Option<SessionError> {
    let (whole, line) = yaml.trim_end().rsplit_once('\n')?;
    let number = parse(whole)?.len() + usize::from(line.starts_with('-'));
    Some(SessionError::CutOff { number })
}

/// Returns the value of `FASTLANE_SESSION`: one line with `\n` for line breaks, as `spaceauth` prints it.
/// If the value had several lines, the Bitrise CLI would redact each line everywhere, even `path: "/"`.
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
    let value = Zeroizing::new(yaml::quote(cookie.value.expose_secret()));
    let mut push = |line: String| lines.push(Zeroizing::new(line));
    push("- !ruby/object:HTTP::Cookie".to_owned());
    push(format!("  name: {}", yaml::quote(&cookie.name)));
    push(format!("  value: {}", value.as_str()));
    push(format!("  domain: {}", yaml::quote(&cookie.domain)));
    push(format!("  for_domain: {}", cookie.for_domain));
    push(format!("  path: {}", yaml::quote(&cookie.path)));
    push(format!("  secure: {}", cookie.secure));
    push(format!("  httponly: {}", cookie.httponly));
    let (expires, max_age, created_at) = cookie.lifetime.fields(ruby_time);
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

/// The text that `fastlane spaceauth` prints before the list of cookies.
/// Source: <https://github.com/fastlane/fastlane/blob/master/spaceship/lib/spaceship/spaceauth_runner.rb>
const LIST_INTRODUCTION: &str = "via the FASTLANE_SESSION environment variable:";

const VARIABLE: &str = "FASTLANE_SESSION";

/// The class of every item in the list.
const COOKIE: &str = "HTTP::Cookie";
const ITEM: &str = "- !ruby/object:HTTP::Cookie";

/// The fields of [`ITEM`].
const FIELDS: &str =
    "name: value: domain: for_domain: path: secure: httponly: expires: max_age: created_at: accessed_at:";

/// The maximum number of encodings, such as base64 and percent-encoding.
const MAX_DEPTH: u8 = 3;

/// Extracts the list from surrounding text and encodings. Keeps its line breaks as they are.
fn extract_list(pasted: &str, depth: u8) -> Zeroizing<String> {
    let text = to_ascii_punctuation(pasted);
    let text = extract_value(&text);
    let decoded = if depth == 0 { None } else { decode(&text) };
    // Other text can also be valid base64.
    let list = decoded.map(|decoded| extract_list(&decoded, depth - 1)).filter(|list| list.contains("name"));
    list.unwrap_or(text)
}

/// Converts typographic quotes, dashes and spaces to ASCII, and removes invisible characters. Cookies consist of
/// ASCII.
fn to_ascii_punctuation(text: &str) -> Zeroizing<String> {
    // The result is never longer.
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    out.extend(text.chars().filter_map(|c| match c {
        '\u{201c}'..='\u{201f}' => Some('"'),
        '\u{2018}'..='\u{201b}' => Some('\''),
        '\u{2010}'..='\u{2015}' => Some('-'),
        '\u{a0}' => Some(' '),
        '\r' | '\u{ad}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}' => None,
        c => Some(c),
    }));
    out
}

/// Decodes base64 or percent-encoding around a list of cookies.
fn decode(text: &str) -> Option<Zeroizing<String>> {
    if let Some(bytes) = decode_base64(text) {
        return decode_text(&bytes);
    }
    let is_encoded = !text.contains(char::is_whitespace) && text.contains("Cookie%0A");
    let decode = || percent_encoding::percent_decode_str(text).decode_utf8().ok();
    is_encoded.then(decode)?.map(|text| Zeroizing::new(text.into_owned()))
}

/// Extracts the value of `export FASTLANE_SESSION='…'` or `FASTLANE_SESSION: |`, wherever it is in the
/// output of `fastlane spaceauth`, and removes up to two pairs of quotes.
fn extract_value(pasted: &str) -> Zeroizing<String> {
    let assigned = pasted.rmatch_indices(VARIABLE).find_map(|(at, name)| {
        let rest = pasted.get(at + name.len()..)?.trim_start_matches([' ', '"', '\'']);
        rest.strip_prefix(['=', ':'])
    });
    let text = match (assigned.or_else(|| assigned_value(pasted)), pasted.split_once(LIST_INTRODUCTION)) {
        (Some(value), _) => until_next_assignment(value),
        // The output without its example, which is the `export` line.
        (None, Some((_, list))) => list.trim().split("\n\n").next().unwrap_or(list),
        (None, None) => pasted,
    };
    if let Some((_, block)) = text.split_once('\n').filter(|(key, _)| is_block_scalar(key)) {
        return dedent(block);
    }
    let text = text.trim();
    // Bash's `$'…'`.
    let text = text.strip_prefix('$').filter(|text| text.starts_with('\'')).unwrap_or(text);
    let Some(inner) = unquote(text) else {
        return Zeroizing::new(text.trim_end_matches([';', '%']).to_owned());
    };
    // A web form or a YAML file can add quotes around a quoted value.
    unquote(inner.trim()).unwrap_or(inner)
}

/// Whether a line starts a block scalar, such as `KEY: |` or `>-`.
fn is_block_scalar(line: &str) -> bool {
    let line = line.trim_end().trim_end_matches(['-', '+']);
    line.ends_with(['|', '>']) && !line.contains(COOKIE)
}

fn dedent(block: &str) -> Zeroizing<String> {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let filled = block.lines().filter(|line| !line.trim().is_empty());
    let common = filled.map(indent).min().unwrap_or(0);
    let mut out = Zeroizing::new(String::with_capacity(block.len() + 1));
    for line in block.lines() {
        out.push_str(line.get(common..).unwrap_or_default());
        out.push('\n');
    }
    out
}

/// Removes a pair of quotes, and the text after the closing one.
fn unquote(text: &str) -> Option<Zeroizing<String>> {
    let inside = |quote| text.strip_prefix(quote)?.rsplit_once(quote).map(|(inner, _)| inner);
    let single = || inside('\'').map(|inner| inner.replace("\\'", "'"));
    // Inside double quotes, a shell needs the quotes of the YAML escaped.
    let double = || inside('"').map(|inner| inner.replace("\\\"", "\""));
    single().or_else(double).map(Zeroizing::new)
}

/// The ways to read the line breaks of a list, the most likely first.
fn readings(text: &str) -> Vec<Zeroizing<String>> {
    // If the line breaks are written as `\n`, a real one comes from a terminal that wrapped the line.
    let is_wrapped = text.contains("\\n") && text.trim().contains('\n');
    let unwrapped = is_wrapped.then(|| Zeroizing::new(text.replace('\n', "")));
    let mut readings: Vec<_> = unwrapped.iter().map(|text| unescape_line_breaks(text)).collect();
    readings.push(unescape_line_breaks(text));
    let reflowed: Vec<_> = readings.iter().rev().filter_map(|reading| reflow(reading)).collect();
    readings.extend(reflowed);
    readings
}

/// Replaces `\n` with real line breaks, and removes the escapes of Travis CI and JSON.
fn unescape_line_breaks(text: &str) -> Zeroizing<String> {
    // `travis encrypt` escapes every space.
    let is_shell_escaped = text.contains("-\\ ");
    let is_json_escaped = text.contains("\\\"") && text.matches('"').count() == text.matches("\\\"").count();
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, backslashes)) = rest.split_once('\\') {
        out.push_str(before);
        let after = backslashes.trim_start_matches('\\');
        let line_break = || {
            let after = after.strip_prefix('r').and_then(|rest| rest.strip_prefix('\\')).unwrap_or(after);
            after.trim_start_matches('\\').strip_prefix('n')
        };
        rest = if let Some(after) = line_break() {
            out.push('\n');
            after
        } else if is_shell_escaped || (is_json_escaped && after.starts_with('"')) {
            after
        } else {
            out.push('\\');
            out.push_str(backslashes.strip_suffix(after).unwrap_or_default());
            after
        };
    }
    out.push_str(rest);
    // An editor may have turned `---` into one dash.
    let without_head = out.trim_start().trim_start_matches('-').strip_prefix('\n');
    without_head.map(|list| Zeroizing::new(list.to_owned())).unwrap_or(out)
}

/// Restores the line breaks before Ruby's field names. Returns `None` for other text, or if a line break is
/// inside a name.
fn reflow(text: &str) -> Option<Zeroizing<String>> {
    let mut items = text.split(ITEM);
    if !items.next()?.chars().all(|c| c == '-' || c.is_whitespace()) {
        return None;
    }
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 2));
    for item in items {
        out.push_str(ITEM);
        let mut field = None;
        for line in item.lines() {
            for (index, word) in line.split_whitespace().enumerate() {
                if FIELDS.split(' ').any(|known| known == word) {
                    out.push_str("\n  ");
                    field = Some(word);
                } else if field.is_none() || word.ends_with(':') {
                    return None;
                } else if index > 0 || out.ends_with(':') || field.is_some_and(is_timestamp_field) {
                    out.push(' ');
                }
                // Without a space, the word continues a wrapped value.
                out.push_str(word);
            }
        }
        out.push('\n');
    }
    Some(out)
}

/// Only these values contain spaces.
fn is_timestamp_field(field: &str) -> bool {
    field.ends_with("_at:") || field == "expires:"
}

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

    use crate::apple::cookie::MAX_COOKIES;
    use crate::timestamp;

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// Three cookies as Ruby writes them, the way `fastlane spaceauth` prints them.
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

    #[test]
    fn a_pasted_session_expires_with_its_trust_token() -> Result {
        let session = pasted(SPACEAUTH)?;
        assert_eq!(session.expires_at, timestamp::parse("2026-12-01T08:00:00Z"));
        Ok(())
    }

    #[test]
    fn a_session_is_accepted_in_the_forms_that_copying_turns_it_into() -> Result {
        let one_line = SPACEAUTH.replace('\n', "\\n");
        let wrapped = |text: &str, columns: usize| {
            let lines: Vec<_> = text.as_bytes().chunks(columns).map(String::from_utf8_lossy).collect();
            lines.join("\n")
        };
        let indented = SPACEAUTH.replace('\n', "\n    ");
        let json = |text: &str| serde_json::to_string(text);
        let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        // As Ruby's Shellwords and the documentation of Travis CI do it.
        let shell_escaped = |text: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:+/@\n".contains(c);
            text.chars()
                .map(|c| if is_plain(c) { c.to_string() } else { format!("\\{c}") })
                .collect::<String>()
        };
        let escaped = one_line.replace('"', "\\\"");
        let forms = [
            ("CRLF", SPACEAUTH.replace('\n', "\r\n")),
            ("one line", one_line.clone()),
            ("export", format!("export FASTLANE_SESSION='{one_line}'")),
            ("a newline after it", format!("export FASTLANE_SESSION='{one_line}'\n")),
            ("blanks and a semicolon", format!("  FASTLANE_SESSION='{SPACEAUTH}';")),
            ("double quotes", format!("export FASTLANE_SESSION=\"{escaped}\"")),
            ("single quotes alone", format!("'{one_line}'")),
            ("both pairs of quotes", format!("\"'{one_line}'\"")),
            ("the other way around", format!("'\"{one_line}\"'")),
            ("escaped inside both", format!("'\"{escaped}\"'")),
            ("export and both", format!("export FASTLANE_SESSION=\"'{one_line}'\"")),
            ("blanks around it", format!(" \n\t{one_line}\n ")),
            ("a byte-order mark", format!("\u{feff}{one_line}")),
            ("no first line", SPACEAUTH.trim_start_matches("---\n").to_owned()),
            (
                "the whole output",
                format!(
                    "Successfully logged in\n\n---\n\nPass the following {LIST_INTRODUCTION}\n{one_line}\n\n\nExample:\nexport FASTLANE_SESSION='{one_line}'\n"
                ),
            ),
            ("80 columns", wrapped(&one_line, 80)),
            ("120 columns", wrapped(&one_line, 120)),
            ("200 columns, CRLF", wrapped(&one_line, 200).replace('\n', "\r\n")),
            ("80 columns, with export", wrapped(&format!("export FASTLANE_SESSION='{one_line}'"), 80)),
            ("spaces for line breaks", SPACEAUTH.replace('\n', " ")),
            ("spaces for written line breaks", one_line.replace("\\n", " ")),
            ("no line breaks", SPACEAUTH.replace('\n', "")),
            ("no indentation", SPACEAUTH.replace("\n  ", "\n")),
            ("doubled \\\\n", SPACEAUTH.replace('\n', "\\\\n")),
            ("written \\r\\n", SPACEAUTH.replace('\n', "\\r\\n")),
            ("a block scalar", format!("FASTLANE_SESSION: |\n    {indented}")),
            ("a block scalar of one line", format!("FASTLANE_SESSION: >-\n    {one_line}\n")),
            ("another key", format!("- SESSION: |-\n    {indented}")),
            ("a quoted value in YAML", format!("FASTLANE_SESSION: '{one_line}'")),
            ("another variable", format!("export SESSION='{one_line}'")),
            ("smart quotes", SPACEAUTH.replacen('"', "“", 1).replacen('"', "”", 1).replacen('"', "„", 1)),
            ("one dash", one_line.replacen("---", "—", 1)),
            ("an em dash and a dash", SPACEAUTH.replacen("---", "—-", 1)),
            ("a no-break space", SPACEAUTH.replace("  name", "\u{a0}\u{a0}name")),
            ("a soft hyphen", SPACEAUTH.replace("HSARM", "HSARM\u{ad}")),
            ("a value wrapped with an indent", SPACEAUTH.replace("HSARM", "HSARM\n      ")),
            ("the one line wrapped with an indent", one_line.replace("HSARM", "HSARM\n      ")),
            (
                "another variable after it",
                format!("export FASTLANE_SESSION='{one_line}'\nexport OTHER='x'\n"),
            ),
            ("$'…'", format!("export FASTLANE_SESSION=$'{one_line}'")),
            ("Travis CI", shell_escaped(&one_line)),
            ("JSON of the one line", json(&one_line)?),
            ("JSON of several lines", json(SPACEAUTH)?),
            ("JSON without its quotes", json(&one_line)?.trim_matches('"').to_owned()),
            ("base64", STANDARD.encode(SPACEAUTH)),
            ("base64 of the one line, in lines", wrapped(&STANDARD.encode(&one_line), 76)),
            ("base64 of base64", STANDARD.encode(STANDARD.encode(SPACEAUTH))),
            ("base64 of UTF-16", STANDARD.encode(utf16(&one_line))),
            ("base64 with zsh's %", format!("{}%", STANDARD.encode(&one_line))),
            (
                "percent-encoding",
                percent_encoding::utf8_percent_encode(SPACEAUTH, percent_encoding::NON_ALPHANUMERIC)
                    .to_string(),
            ),
        ];
        let expected = pasted(SPACEAUTH)?;
        let values: Vec<_> = expected.cookies.iter().map(|cookie| cookie.value.expose_secret()).collect();
        assert_eq!(values, ["HSARMTKNSRVXWFla", "0123", "12e5"], "numbers keep their text");
        for (form, text) in forms {
            let session = pasted(&text).map_err(|error| format!("{form}: {error}: {text}"))?;
            assert_eq!(
                to_variable(&session).expose_secret(),
                to_variable(&expected).expose_secret(),
                "{form}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_value_that_was_damaged_is_rejected() {
        for damaged in [
            "HSARM\u{2026}",
            "HSARM...",
            "HSARM TKNS",
            "HSARM #TKNS",
            "HSARM\u{a0}TKNS",
            "\"HSARM  TKNS\"",
            "HSÄRM",
            "HSARM\\TKNS",
            "HSARM;TKNS",
        ] {
            let text = SPACEAUTH.replace("HSARMTKNSRVXWFla", damaged);
            for text in [text.replace('\n', "\\n"), text] {
                let error = pasted(&text).err();
                let is_named = matches!(error, Some(SessionError::Damaged | SessionError::DamagedCookie(_)));
                assert!(is_named, "{damaged}: {error:?}");
            }
        }
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
    fn cookies_that_all_have_the_same_few_fields_are_restricted() -> Result {
        let session =
            pasted("[{name: DES1, value: x, domain: a.b}, {name: myacinfo, value: y, domain: a.b}]")?;
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
        let broken = SPACEAUTH.replace("name: ", "name").replace("  ", "");
        assert_eq!(pasted(&broken).err(), Some(SessionError::Damaged));
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
        let by_values = format!("- {{name: DES1, value: &a {value}, domain: a.b}}\n");
        let by_values = by_values + &"- {name: DES2, value: *a, domain: a.b}\n".repeat(100);
        let by_cookies = "- &a {name: DES1, value: x, domain: a.b}\n".to_owned();
        let by_cookies = by_cookies + &"- *a\n".repeat(MAX_COOKIES);
        for text in [by_values, by_cookies] {
            assert_eq!(pasted(&text).err(), Some(SessionError::NotASession));
        }
    }

    #[test]
    fn an_expiry_beyond_the_calendar_is_ignored() -> Result {
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
    fn debug_output_hides_cookie_values() -> Result {
        let shown = format!("{:?}", pasted(SPACEAUTH)?);
        assert!(!shown.contains("HSARMTKN") && shown.contains("REDACTED"), "{shown}");
        Ok(())
    }
}
