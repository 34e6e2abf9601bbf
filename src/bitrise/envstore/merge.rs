//! Merges outputs into the text of an envstore.
//!
//! Other Steps' entries are copied as text. Parsing them and writing them again could change their values,
//! because envman reads YAML 1.1, in which an unquoted `no` is a boolean and `0123` is octal.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::EnvstoreError;
use crate::bitrise::entry::Entry;
use crate::bitrise::limits::Limits;
use crate::yaml;

/// Longer than any envstore without entries, in whatever YAML style it is written.
const MAX_EMPTY_BYTES: usize = 4096;

/// More entries than any envstore has. Parsing them takes 1 to 3 seconds, because the YAML library allocates large
/// buffers for each one, and every buffer is wiped when it is freed.
const MAX_ITEMS: usize = 200_000;

/// Line ends of YAML 1.1.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// Returns `text` with `entries` in it. If `text` already has entries with the same key, the first one is replaced
/// in place, and the others are removed.
///
/// # Errors
/// [`EnvstoreError::UnknownFormat`] or [`EnvstoreError::Limits`].
pub(super) fn merge(
    text: &str,
    entries: &[Entry],
    limits: Limits,
) -> Result<Zeroizing<String>, EnvstoreError> {
    let store = Store::parse(text).ok_or(EnvstoreError::UnknownFormat)?;
    let mut rendered: BTreeMap<&str, Zeroizing<String>> =
        entries.iter().map(|entry| (entry.key.as_ref(), to_yaml(entry, store.indent))).collect();
    let kept = store.items.iter().filter(|item| !rendered.contains_key(item.key.as_str()));
    let kept_bytes = kept.map(|item| item.value_bytes).sum();
    limits.check(kept_bytes, entries).map_err(EnvstoreError::Limits)?;

    // Allocated once, since growing would leave copies of secrets in memory. The 16 bytes are for the head of an
    // empty envstore and a newline.
    let length = rendered.values().map(|yaml| yaml.len()).sum::<usize>() + text.len() + 16;
    let mut out = Zeroizing::new(String::with_capacity(length));
    out.push_str(store.head);
    for item in &store.items {
        if let Some(yaml) = rendered.get_mut(item.key.as_str()) {
            // Leaves it empty, which removes the other entries with this key.
            out.push_str(&std::mem::take(yaml));
        } else {
            out.push_str(item.text);
            if !item.text.ends_with('\n') {
                out.push('\n');
            }
        }
    }
    for entry in entries {
        out.push_str(rendered.get(entry.key.as_ref()).map_or("", |yaml| yaml));
    }
    Ok(out)
}

/// An entry as YAML.
fn to_yaml(entry: &Entry, indent: &str) -> Zeroizing<String> {
    let value = entry.value.as_ref().map_or("", |value| value.expose_secret());
    let value = Zeroizing::new(yaml::quote(value));
    let mut parts = vec![indent, "- ", &entry.key, ": ", value.as_str(), "\n", indent, "  opts:\n"];
    let options = [
        (entry.value.is_some(), "    is_expand: false\n"),
        (entry.is_sensitive, "    is_sensitive: true\n"),
        (entry.value.is_none(), "    unset: true\n"),
    ];
    for (_, option) in options.into_iter().filter(|(applies, _)| *applies) {
        parts.extend([indent, option]);
    }
    Zeroizing::new(parts.concat())
}

/// The text of an envstore, cut into its entries.
struct Store<'a> {
    /// Everything before the first entry.
    head: &'a str,
    indent: &'a str,
    items: Vec<Item<'a>>,
}

/// An entry that the envstore already has. [`Item::parse`] makes envman's own checks
/// (`models/models_methods.go`) and more. If it rejects an entry, the Step runs envman instead.
struct Item<'a> {
    key: String,
    value_bytes: usize,
    /// Empty until [`Item::parse`] sets it.
    text: &'a str,
}

/// An envstore without entries, in any YAML style. Rejects all keys except `envs`, because the merge key `<<` could
/// add entries to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyStore {
    #[expect(dead_code, reason = "only its type is checked")]
    envs: Option<[IgnoredAny; 0]>,
}

impl<'a> Store<'a> {
    /// Returns `None` if `text` is not in the format that envman writes. envman may still be able to read it.
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(store) = Self::split(text) {
            return Some(store);
        }
        if text.len() > MAX_EMPTY_BYTES {
            return None;
        }
        let _: Option<EmptyStore> = serde_yaml::from_str(text).ok()?;
        Some(Store { head: "envs:\n", indent: "", items: Vec::new() })
    }

    /// Splits the text before each line that begins an entry: those with `- ` at the same indent as the first one.
    ///
    /// A YAML reader finds the same entries, since [`Item::parse`] checks that each part is a complete document.
    /// Parsing the parts one by one takes linear time, and no alias can point from one into another.
    fn split(text: &'a str) -> Option<Self> {
        let mut content_lines = lines(text).filter(|(_, line)| !is_blank_or_comment(line));
        let (_, mut line) = content_lines.next()?;
        if trim_line_end(line) == "---" {
            (_, line) = content_lines.next()?;
        }
        if trim_line_end(line) != "envs:" {
            return None;
        }
        let (list_offset, first_line) = content_lines.next()?;
        let (head, list) = text.split_at_checked(list_offset)?;
        // `lines` splits only at newlines, so an entry could follow another line end of YAML 1.1. envman rejects
        // other control characters and byte order marks.
        let is_forbidden =
            |c: char| LINE_ENDS.contains(&c) || c == '\u{feff}' || (c.is_control() && c != '\t');
        if head.replace("\r\n", "\n").lines().any(|line| line.contains(is_forbidden)) {
            return None;
        }
        let (indent, _) = first_line.split_once('-')?;
        if !indent.bytes().all(|b| b == b' ') {
            return None;
        }

        let begins_item = |line: &str| {
            let after_dash = line.strip_prefix(indent).and_then(|rest| rest.strip_prefix('-'));
            after_dash.is_some_and(|rest| rest.starts_with([' ', '\n', '\r']))
        };
        let starts: Vec<usize> =
            lines(list).filter(|(_, line)| begins_item(line)).map(|(offset, _)| offset).collect();
        if starts.first() != Some(&0) || starts.len() > MAX_ITEMS {
            return None;
        }
        let ends = starts.iter().copied().skip(1).chain([list.len()]);
        // Allocated once, since growing takes much more memory for a large envstore.
        let mut items = Vec::with_capacity(starts.len());
        for (start, end) in starts.iter().copied().zip(ends) {
            items.push(Item::parse(list.get(start..end)?)?);
        }
        Some(Self { head, indent, items })
    }
}

fn is_blank_or_comment(line: &str) -> bool {
    matches!(line.trim_start_matches(' ').chars().next(), None | Some('#' | '\n' | '\r'))
}

/// Trims only what YAML ignores at the end of a line. Other whitespace, such as a no-break space, is content.
fn trim_line_end(line: &str) -> &str {
    line.trim_end_matches([' ', '\n', '\r'])
}

/// The lines of a text, newlines included, each with its offset.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |end, line| {
        let start = *end;
        *end += line.len();
        Some((start, line))
    })
}

impl<'a> Item<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let is_document_marker = |line: &str| line.starts_with("---") || line.starts_with("...");
        if has_tag_or_many_lists(text) || text.split(LINE_ENDS).any(is_document_marker) {
            return None;
        }
        // envman rejects byte order marks. If the text ends within a block scalar, the newline that `merge` adds
        // would change its value.
        if text.contains('\u{feff}') || (!text.ends_with('\n') && text.contains(['|', '>'])) {
            return None;
        }
        let [item] = serde_yaml::from_str::<[Item; 1]>(text).ok()?;
        Some(Self { text, ..item })
    }
}

/// Whether an entry, after its first value, seems to have a YAML tag (`!!name` or `!<name>`), which can change the type
/// of a value, or many lists or mappings in brackets, which take quadratic time to read if they are nested. envman
/// writes neither.
fn has_tag_or_many_lists(text: &str) -> bool {
    const MAX_LISTS: usize = 100;
    let rest = after_first_value(text).unwrap_or(text);
    let begins_tag = |bytes: &[u8]| matches!(bytes, [b' ' | b'\t' | b',' | b'[' | b'{', b'!', b'!' | b'<']);
    rest.matches(['[', '{']).nth(MAX_LISTS).is_some() || rest.as_bytes().windows(3).any(begins_tag)
}

/// The text after an entry's first value, from its closing quote on if it has one. `None` if the value is not a
/// quoted string, a block scalar or a line of plain text, which contain neither lists nor tags.
fn after_first_value(text: &str) -> Option<&str> {
    let (before_colon, value) = text.split_once(": ")?;
    if !is_plain_key(before_colon.trim_start_matches(' ').strip_prefix("- ")?) {
        return None;
    }
    if value.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Some(value.split_once('\n').map_or("", |(_, rest)| rest));
    }
    if let Some(quoted) = value.strip_prefix('"') {
        let mut is_escaped = false;
        let end = quoted.find(|c| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        return quoted.get(end?..);
    }
    if let Some(quoted) = value.strip_prefix('\'') {
        // Blanks of the same length take the place of escaped quotes, so that `find` skips them.
        let end = Zeroizing::new(quoted.replace("''", "  ")).find('\'');
        return quoted.get(end?..);
    }
    let (_, block) = value.strip_prefix(['|', '>'])?.split_once('\n')?;
    if value.contains(|c| c != '\n' && LINE_ENDS.contains(&c)) {
        return None;
    }
    let key_column = before_colon.rfind(' ')? + 1;
    let is_content = |line: &str| line.bytes().take_while(|b| *b == b' ').count() > key_column;
    let end = lines(block).find(|(_, line)| !is_content(line) && !trim_line_end(line).is_empty());
    block.get(end.map_or(block.len(), |(offset, _)| offset)..)
}

/// The options that `envman add` and `envman unset` write, with the types that envman requires.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are envman's")]
struct Options {
    is_expand: bool,
    skip_if_empty: bool,
    is_sensitive: bool,
    unset: bool,
}

impl<'de> Deserialize<'de> for Item<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a variable and its options")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let unknown = || A::Error::custom("not in the format that envman writes");
        let mut item = None;
        let mut options = None;
        while let Some(key) = pairs.next_key::<String>()? {
            let is_valid = if key == "opts" {
                let value = pairs.next_value::<Option<Options>>()?;
                value.is_some() && options.replace(value).is_none()
            } else {
                let value_bytes = pairs.next_value::<SecretString>()?.expose_secret().len();
                is_plain_key(&key) && item.replace(Item { key, value_bytes, text: "" }).is_none()
            };
            if !is_valid {
                return Err(unknown());
            }
        }
        item.ok_or_else(unknown)
    }
}

/// Whether envman and `serde_yaml` both take a key literally, and not as null or as the merge key `<<`.
fn is_plain_key(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && !key.eq_ignore_ascii_case("null")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMITS: Limits = Limits { env_bytes_limit_in_kb: Some(0), env_list_bytes_limit_in_kb: Some(0) };

    /// Merges the output `A` into an envstore.
    fn merge_output_a(text: &str) -> Result<Zeroizing<String>, EnvstoreError> {
        let entry = Entry { key: "A".into(), value: Some("1".into()), is_sensitive: false };
        merge(text, &[entry], NO_LIMITS)
    }

    #[test]
    fn a_text_that_envman_does_not_write_has_an_unknown_format() {
        for text in [
            "envs:\n- A: [1]\n",
            "envs:\n- A: b\n  opts:\n  opts: {}\n",
            "envs:\n- A: b\n---\nenvs: []\n",
            "envs:\n- C: d\n\u{85}...\n",
            "envs:\n- C: |\n    d",
            "envs:\n- A: \"b\n- C: d\"\n",
            "envs:\n# c\r- A: b\n- C: d\n",
            "envs:\nx\n- A: b\n",
            "a: |\n  b\nenvs:\n- A: b\n",
            "\u{0}",
            "envs:\n- A: b\n  opts: {title: x, meta: {y: 1}}\n",
            &format!("envs:\n{}", "- A: b\n".repeat(MAX_ITEMS + 1)),
            // envman cannot read these.
            "envs:\u{a0}\n- A: b\n",
            "envs:\n- null: x\n",
            "envs:\n- <<: x\n",
            "envs:\n- !!binary x: y\n",
            "envs:\n- A: !!int x\n",
            "envs:\n- A: b\n  opts:\n",
            "envs:\n- A: b\n  opts:\n    is_expand: maybe\n",
            "envs:\n- A: b\n\u{feff}",
            "envs:\n# \u{1}\n- A: b\n",
            // envman finds variables in these.
            "<<: {envs: [{OTHER: kept}]}\n",
            "envs: []\n<<: {envs: [{OTHER: kept}]}\n",
            "envs: []\n!!binary ZW52cw==: [{OTHER: kept}]\n",
        ] {
            let result = merge_output_a(text);
            assert!(matches!(result, Err(EnvstoreError::UnknownFormat)), "{text:?}: {result:?}");
        }
    }

    #[test]
    fn only_a_plain_quoted_or_block_first_value_is_skipped() {
        for (entry, text_after_value) in [
            ("- A: b [ !!c\n  opts: {}\n", Some("  opts: {}\n")),
            ("- A: \"b !! \\\" [\"\n  opts: [\n", Some("\"\n  opts: [\n")),
            ("- A: 'it''s ['\n  opts: [\n", Some("'\n  opts: [\n")),
            ("- A: |-\n    b\n\n    [\n  opts: [\n", Some("  opts: [\n")),
            ("  - A: >\n      [\n", Some("")),
            ("- A: |-\r  opts: [\n", None),
            ("- A:\n    [\n", None),
            ("- A: [\n", None),
            ("- [\n", None),
        ] {
            assert_eq!(after_first_value(entry), text_after_value, "{entry}");
        }
    }

    #[test]
    fn an_entry_is_added_to_a_store_of_several_mib() -> Result<(), EnvstoreError> {
        let option = "  opts:\n    is_expand: false\n";
        let many_entries = format!("- KEY: {}\n{option}", "x".repeat(80)).repeat(18_000);
        let long_block = format!("- LONG: |-\n{}{option}", "    [line, of: a* & value] {\n".repeat(80_000));
        for old in [many_entries, long_block] {
            assert!(old.len() > 2 * 1024 * 1024, "only {} bytes", old.len());
            let new = merge_output_a(&format!("envs:\n{old}"))?;
            assert_eq!(*new, format!("envs:\n{old}- A: \"1\"\n{option}"));
        }
        Ok(())
    }
}
