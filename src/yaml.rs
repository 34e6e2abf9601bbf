//! How this Step writes strings into YAML that others read.

use std::fmt::Write as _;

/// Quotes a string so that every YAML 1.1 and 1.2 reader gives back exactly that string.
///
/// Unquoted, readers disagree on `no`, `0123`, `1_000` or `~` (envman reads YAML 1.1). The
/// result is one line of printable ASCII. It never holds a backslash followed by `n`: fastlane
/// replaces those two characters by a newline before it reads a session as YAML.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    push_escaped(&mut out, text);
    out.push('"');
    out
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        // Writing to a String cannot fail, so the results carry nothing.
        match c {
            '"' | '\\' => drop(write!(out, "\\x{:02X}", u32::from(c))),
            ' '..='~' => out.push(c),
            '\0'..='\u{ff}' => drop(write!(out, "\\x{:02X}", u32::from(c))),
            '\u{100}'..='\u{ffff}' => drop(write!(out, "\\u{:04X}", u32::from(c))),
            _ => drop(write!(out, "\\U{:08X}", u32::from(c))),
        }
    }
}
