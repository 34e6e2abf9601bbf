//! API keys in JSON, as people provide them: fastlane's key file, rcodesign's, and Bitrise's connection document.
//!
//! Sources: <https://docs.fastlane.tools/app-store-connect-api/#using-fastlane-api-key-json-file>,
//! [`super::rcodesign_key`], [`super::connection`]

use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::apple::private_key::{decode_base64, decode_text, strip_wrapping};
use crate::redact::{self, Text, error_messages, may_hold_secret};

/// The content of such a file. Any field can contain a secret by mistake.
#[derive(Debug, Deserialize)]
pub(crate) struct KeyJson {
    #[serde(alias = "keyId")]
    pub(crate) key_id: SecretString,
    /// An individual key has none.
    #[serde(alias = "issuerId")]
    pub(crate) issuer_id: Option<SecretString>,
    /// In any form that [`crate::apple::private_key`] accepts. Libraries for JavaScript and Swift use camel case.
    #[serde(alias = "private_key", alias = "privateKey")]
    pub(crate) key: SecretString,
    /// Whether the key belongs to the Apple Developer Enterprise Program.
    #[serde(alias = "is_enterprise_account")]
    pub(crate) in_house: Option<bool>,
}

error_messages! {
    /// Why a document is not the JSON of an API key. `Display` completes a sentence that begins with the document.
    #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum KeyJsonError {
        #[error("is not valid JSON (line {line}, column {column}: {problem})")]
        NotJson { line: usize, column: usize, problem: Text },
        #[error("has an invalid `{field}` (expected {expected})")]
        WrongType { field: &'static str, expected: &'static str },
        #[error("cannot be used ({0})")]
        WrongField(Text),
    }
}

/// The maximum number of base64 encodings. Real documents have at most two.
const MAX_DEPTH: u8 = 3;

/// Reads the JSON of an API key, or base64 of it. Returns `None` if the bytes are something else.
pub(crate) fn read(bytes: &[u8]) -> Option<Result<KeyJson, KeyJsonError>> {
    read_encoded(bytes, MAX_DEPTH)
}

fn read_encoded(bytes: &[u8], depth: u8) -> Option<Result<KeyJson, KeyJsonError>> {
    let text = decode_text(bytes)?;
    let text = strip_wrapping(&text);
    if text.contains("key_id") || text.contains("keyId") {
        // JSON in a string of JSON or of a programming language.
        let is_escaped = text.contains("\\\"key");
        let text = Zeroizing::new(if is_escaped { text.replace("\\\"", "\"") } else { text.to_owned() });
        let json = to_strict_json(&text);
        return object(&json).map(|json| parse(&json));
    }
    if depth == 0 { None } else { read_encoded(&decode_base64(text)?, depth - 1) }
}

/// The object in `API_KEY={…};` or a fenced block of Markdown. Keeps earlier line breaks: errors count lines.
fn object(text: &str) -> Option<Zeroizing<String>> {
    /// More than the name of a variable, or the start of a fence.
    const MAX_PREFIX: usize = 80;
    let (prefix, rest) = text.split_at_checked(text.find('{')?)?;
    let json = rest.rfind('}').and_then(|end| rest.get(..=end)).unwrap_or(rest);
    let line_breaks = "\n".repeat(prefix.matches('\n').count());
    let is_prefix = prefix.trim().len() <= MAX_PREFIX && !prefix.contains("-----BEGIN");
    is_prefix.then(|| Zeroizing::new([line_breaks.as_str(), json].concat()))
}

fn parse(json: &str) -> Result<KeyJson, KeyJsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let key = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| to_error(&error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| to_error(".", &error))?;
    Ok(key)
}

/// Only repeats messages that contain nothing from the document: those of syntax errors, and of missing or
/// duplicate fields, whose path names no field.
fn to_error(path: &str, error: &serde_json::Error) -> KeyJsonError {
    const TEXTS: &[&str] = &["key_id", "issuer_id", "key", "private_key", "keyId", "issuerId", "privateKey"];
    const BOOLS: &[&str] = &["in_house", "is_enterprise_account"];
    let message = error.to_string();
    let problem = message.split(" at line ").next().unwrap_or_default();
    let problem = redact::checked(problem, |problem| !may_hold_secret(problem));
    let find = |names: &[&'static str]| names.iter().copied().find(|name| *name == path);
    if !error.is_data() {
        return KeyJsonError::NotJson { line: error.line(), column: error.column(), problem };
    }
    match (find(TEXTS), find(BOOLS)) {
        (Some(field), _) => KeyJsonError::WrongType { field, expected: "text in double quotes" },
        (_, Some(field)) => KeyJsonError::WrongType { field, expected: "true or false, without quotes" },
        (None, None) => KeyJsonError::WrongField(problem),
    }
}

/// Converts hand-written JSON to strict JSON: removes comments and trailing commas, replaces typographic quotes,
/// and removes line breaks inside strings.
///
/// Escaped line breaks become spaces. No field needs them, and `serde_json` copies a string without escapes
/// straight into the secret, not into a buffer that is never wiped.
fn to_strict_json(text: &str) -> Zeroizing<String> {
    // Never longer than the original.
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    // The line breaks inside a string move after it, so that errors name the right line.
    let mut line_breaks = 0;
    // The last comma, if only whitespace follows it.
    let mut comma = None;
    while let Some(c) = chars.next() {
        match c {
            '"' | '\u{201c}'..='\u{201f}' => {
                out.push('"');
                in_string = !in_string;
                out.extend(std::iter::repeat_n('\n', std::mem::take(&mut line_breaks)));
                comma = None;
            }
            '\\' if in_string => match chars.next() {
                Some('n' | 'r' | 't') => out.push(' '),
                Some('/') => out.push('/'),
                escaped => out.extend(['\\'].into_iter().chain(escaped)),
            },
            '\n' if in_string => line_breaks += 1,
            c if in_string => out.push(if c.is_control() { ' ' } else { c }),
            '#' | '/' if c == '#' || chars.peek() == Some(&'/') => {
                while chars.next_if(|c| *c != '\n').is_some() {}
            }
            ',' => {
                comma = Some(out.len());
                out.push(c);
            }
            '}' | ']' => {
                if let Some(at) = comma.take() {
                    out.replace_range(at..=at, " ");
                }
                out.push(c);
            }
            c if c.is_whitespace() => out.push(if c == '\n' { c } else { ' ' }),
            c => {
                comma = None;
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn values(text: &str) -> Option<(String, String, Option<bool>)> {
        let key = read(text.as_bytes())?.ok()?;
        Some((key.key_id.expose_secret().to_owned(), key.key.expose_secret().to_owned(), key.in_house))
    }

    #[test]
    fn json_that_people_write_by_hand_is_accepted() {
        for text in [
            "# note\n{\"key_id\": \"A\", # optional\n \"key\": \"B\", // note, \"key\"\n \"in_house\": true, # , }\n}",
            "{\u{201c}key_id\u{201d}: \u{201c}A\u{201d},\u{a0}\"private_key\": \"B\", \"is_enterprise_account\": true}",
            "```json\n{\"key_id\": \"A\", \"key\": \"B\", \"in_house\": true}\n```",
            "export API_KEY='{\"key_id\": \"A\", \"key\": \"B\", \"in_house\": true}';",
            "{\\\"key_id\\\": \\\"A\\\", \\\"key\\\": \\\"B\\\", \\\"in_house\\\": true}",
            r#"'{"keyId": "A", "privateKey": "B", "in_house": true, "issuer_id": null, "test_devices": [1, {}]}'"#,
        ] {
            assert_eq!(values(text), Some(("A".into(), "B".into(), Some(true))), "{text}");
        }
        let text = "{\"key_id\": \"#A//\", \"key\": \"a\\/b\\nc,}\n\\\"\"}";
        assert_eq!(values(text), Some(("#A//".into(), "a/b c,}\"".into(), None)));
    }

    /// `tests/step/mistakes.rs` has missing commas and fields, and fields of the wrong type.
    #[test]
    fn an_error_names_the_line_or_the_field_and_never_a_value() {
        for (text, expected) in [
            ("{\n\"key_id\": \"s3cret\n\n\",\n\"key\": s3cret}", "line 5, column 8: expected value"),
            ("{\"key_id\": \"A\", \"key_id\": \"s3cret\"}", "cannot be used (duplicate field `key_id`)"),
        ] {
            let error = read(text.as_bytes()).and_then(Result::err).map(|error| Text::of(&error).plain());
            let error = error.unwrap_or_default();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn other_text_is_not_the_json_of_a_key() {
        for text in ["", "{}", "key_id", "{\"project\": \"x\"}", "-----BEGIN PRIVATE KEY-----", "e30="] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
