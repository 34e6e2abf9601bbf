//! Quotes strings for YAML that other tools read, and recognizes YAML that would take too long to read.

use std::fmt::Write as _;

/// Quotes a string so that every YAML 1.1 and 1.2 reader returns exactly that string.
///
/// Readers disagree on an unquoted `no`, `0123`, `1_000` or `~` (envman reads YAML 1.1). The result is one line
/// of printable ASCII. It never contains a backslash followed by `n`: fastlane replaces those two characters
/// with a newline before it reads a session as YAML.
pub(crate) fn quote(text: &str) -> String {
    // Each byte becomes at most four. The text can be secret, and reallocating would leave copies.
    let mut out = String::with_capacity(2 + 4 * text.len());
    out.push('"');
    for c in text.chars() {
        // Writing to a String can't fail.
        match c {
            ' '..='~' if c != '"' && c != '\\' => out.push(c),
            '\0'..='\u{ff}' => drop(write!(out, "\\x{:02X}", u32::from(c))),
            '\u{100}'..='\u{ffff}' => drop(write!(out, "\\u{:04X}", u32::from(c))),
            _ => drop(write!(out, "\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// Whether YAML has more brackets or aliases than any session has, and would take too long to read.
pub(crate) fn is_too_complex(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Closing brackets don't reduce the count: they can be text in quotes.
    let is_opening_bracket = |byte: &&u8| matches!(byte, b'[' | b'{');
    let begins_alias = |pair: &&[u8]| matches!(pair, [b' ' | b',' | b'[' | b'{' | b'\n', b'*']);
    bytes.iter().filter(is_opening_bracket).nth(MAX_BRACKETS).is_some()
        || bytes.windows(2).filter(begins_alias).nth(MAX_ALIASES).is_some()
}

/// A session with 1,000 cookies has fewer. The YAML library takes quadratic time to reject deeply nested brackets.
const MAX_BRACKETS: usize = 5000;

/// If cookies share a timestamp, Ruby writes it once, then aliases. Readers make a copy for each alias.
const MAX_ALIASES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_that_would_take_too_long_to_read_is_recognized() {
        for alias in ["- *a\n", "*a,", "[*a]", "x: *a\n"] {
            assert!(!is_too_complex(&alias.repeat(MAX_ALIASES)), "{alias:?}");
            // An alias at the start of the text is not counted.
            assert!(is_too_complex(&alias.repeat(MAX_ALIASES + 2)), "{alias:?}");
        }
        assert!(!is_too_complex(&"a*b".repeat(10_000)), "stars in values are not aliases");
        assert!(!is_too_complex(&"[{a: b}]".repeat(MAX_BRACKETS / 2)));
        assert!(is_too_complex(&"[{a: ".repeat(MAX_BRACKETS)));
        assert!(is_too_complex(&"[\"]\",".repeat(MAX_BRACKETS + 1)));
    }

    #[test]
    fn a_quoted_string_is_one_line_of_ascii_without_a_literal_backslash_n() {
        assert_eq!(quote("\\n \n \\\\n é \" n"), r#""\x5Cn \x0A \x5C\x5Cn \xE9 \x22 n""#);
        for text in ["\u{0}", "\"", "\\", "a", "\u{e9}", "\u{100}", "\u{800}", "\u{1f600}"] {
            assert_eq!(quote(text).capacity(), 2 + 4 * text.len(), "no reallocation");
        }
    }
}
