//! API keys in the JSON that people have: the key files of fastlane and rcodesign, and Bitrise's connection document.
//!
//! Sources: <https://docs.fastlane.tools/app-store-connect-api/#using-fastlane-api-key-json-file>,
//! [`super::rcodesign_key`], [`super::connection`]

use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::apple::private_key::{decode_base64, decode_text, strip_wrapping};
use crate::redact::{self, Text, error_messages, may_hold_secret};

/// The fields of an API key in JSON. Any field can contain a secret by mistake. Libraries for JavaScript and Swift
/// write the names in camel case.
#[derive(Debug, Deserialize)]
pub(crate) struct KeyJson {
    #[serde(alias = "keyId")]
    pub(crate) key_id: SecretString,
    /// `None` for an individual key.
    #[serde(alias = "issuerId")]
    pub(crate) issuer_id: Option<SecretString>,
    /// In any form that [`crate::apple::private_key`] accepts.
    #[serde(alias = "private_key", alias = "privateKey")]
    pub(crate) key: SecretString,
    /// Whether the key belongs to the Apple Developer Enterprise Program.
    #[serde(alias = "is_enterprise_account")]
    pub(crate) in_house: Option<bool>,
}

error_messages! {
    /// Why a document is not the JSON of an API key. `Display` completes a sentence that begins with its name.
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

/// How many times a document can be encoded in base64. Real ones are encoded at most twice.
const MAX_DEPTH: u8 = 3;

/// Reads the JSON of an API key, or base64 of it. Returns `None` if the bytes are something else.
pub(crate) fn read(bytes: &[u8]) -> Option<Result<KeyJson, KeyJsonError>> {
    read_encoded(bytes, MAX_DEPTH)
}

fn read_encoded(bytes: &[u8], depth: u8) -> Option<Result<KeyJson, KeyJsonError>> {
    let text = decode_text(bytes)?;
    let text = strip_wrapping(&text);
    if text.contains("key_id") || text.contains("keyId") {
        // If the document is a string in other JSON or in code, its quotes are escaped.
        let is_escaped = text.contains("\\\"key");
        let text = Zeroizing::new(if is_escaped { text.replace("\\\"", "\"") } else { text.to_owned() });
        let json = to_strict_json(&text);
        return extract_object(&json).map(|object| parse(&object));
    }
    if depth == 0 { None } else { read_encoded(&decode_base64(text)?, depth - 1) }
}

/// Extracts the object from text such as `API_KEY={…};` or a Markdown code block. Keeps the line breaks before it, so
/// that errors name the right line.
fn extract_object(text: &str) -> Option<Zeroizing<String>> {
    /// Longer than the name of any variable, and than the start of a code block.
    const MAX_PREFIX: usize = 80;
    let (prefix, rest) = text.split_at_checked(text.find('{')?)?;
    let object = rest.rfind('}').and_then(|end| rest.get(..=end)).unwrap_or(rest);
    let line_breaks = "\n".repeat(prefix.matches('\n').count());
    let is_plausible = prefix.trim().len() <= MAX_PREFIX && !prefix.contains("-----BEGIN");
    is_plausible.then(|| Zeroizing::new([line_breaks.as_str(), object].concat()))
}

fn parse(json: &str) -> Result<KeyJson, KeyJsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let key = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| to_error(&error.path().to_string(), error.inner()))?;
    deserializer.end().map_err(|error| to_error(".", &error))?;
    Ok(key)
}

/// Converts an error about the field at `path`. The message can quote the document if a field has the wrong type, so
/// it is only repeated for syntax errors, and for missing or duplicate fields.
fn to_error(path: &str, error: &serde_json::Error) -> KeyJsonError {
    const TEXT_FIELDS: &[&str] =
        &["key_id", "issuer_id", "key", "private_key", "keyId", "issuerId", "privateKey"];
    const BOOL_FIELDS: &[&str] = &["in_house", "is_enterprise_account"];
    let message = error.to_string();
    let problem = message.split(" at line ").next().unwrap_or_default();
    let problem = redact::checked(problem, |problem| !may_hold_secret(problem));
    let field_in = |names: &[&'static str]| names.iter().copied().find(|name| *name == path);
    if !error.is_data() {
        return KeyJsonError::NotJson { line: error.line(), column: error.column(), problem };
    }
    match (field_in(TEXT_FIELDS), field_in(BOOL_FIELDS)) {
        (Some(field), _) => KeyJsonError::WrongType { field, expected: "text in double quotes" },
        (_, Some(field)) => KeyJsonError::WrongType { field, expected: "true or false, without quotes" },
        (None, None) => KeyJsonError::WrongField(problem),
    }
}

/// Converts hand-written JSON to strict JSON: removes comments and trailing commas, replaces typographic quotes,
/// and removes line breaks inside strings.
///
/// Escaped line breaks become spaces, because no field needs them, and `serde_json` copies a string with escapes
/// through a buffer that is never wiped.
fn to_strict_json(text: &str) -> Zeroizing<String> {
    // The result is never longer than `text`.
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    // The line breaks inside a string move after it, so that errors name the right line.
    let mut line_breaks = 0;
    // The position of the last comma, if only whitespace follows it.
    let mut trailing_comma = None;
    while let Some(c) = chars.next() {
        match c {
            '"' | '\u{201c}'..='\u{201f}' => {
                out.push('"');
                in_string = !in_string;
                out.extend(std::iter::repeat_n('\n', std::mem::take(&mut line_breaks)));
                trailing_comma = None;
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
                trailing_comma = Some(out.len());
                out.push(c);
            }
            '}' | ']' => {
                if let Some(at) = trailing_comma.take() {
                    out.replace_range(at..=at, " ");
                }
                out.push(c);
            }
            c if c.is_whitespace() => out.push(if c == '\n' { c } else { ' ' }),
            c => {
                trailing_comma = None;
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

    fn read_fields(text: &str) -> Option<(String, String, Option<bool>)> {
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
            assert_eq!(read_fields(text), Some(("A".into(), "B".into(), Some(true))), "{text}");
        }
        let marks_in_strings = "{\"key_id\": \"#A//\", \"key\": \"a\\/b\\nc,}\n\\\"\"}";
        assert_eq!(read_fields(marks_in_strings), Some(("#A//".into(), "a/b c,}\"".into(), None)));
    }

    /// `tests/step/mistakes.rs` tests missing commas and fields, and fields of the wrong type.
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
