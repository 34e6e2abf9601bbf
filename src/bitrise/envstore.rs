//! The envstore: the YAML file from which the Bitrise CLI reads a Step's outputs.
//!
//! ```yaml
//! envs:
//! - KEY: "value"
//!   opts:
//!     is_expand: false
//!     is_sensitive: true
//! ```
//!
//! Model: <https://github.com/bitrise-io/envman/blob/master/models/models.go>. envman reads it
//! as YAML 1.1, where unquoted values change: what others wrote is therefore carried over as
//! text, not parsed and printed again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::bitrise::entry::Entry;
use crate::bitrise::limits::{Limits, TooLarge};
use crate::regular_file::{self, ReadError};
use crate::yaml;

/// No build's outputs come to this: what is larger is no envstore, and is not read.
pub(crate) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Larger ones, of builds that have raised envman's limits, are left to envman.
const MAX_MERGED_BYTES: usize = 1024 * 1024;

/// A YAML reader takes some hundreds of bytes for each mark that can begin a part of its own.
const MAX_MARKS: usize = 64 * 1024;

/// What ends a line in YAML 1.1.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// Why outputs did not get into the file.
#[derive(Debug)]
pub enum EnvstoreError {
    /// Not as envman writes it; envman itself may still read it.
    UnknownForm,
    /// More than `MAX_BYTES`.
    Oversize,
    /// A FIFO, a socket or a device.
    NotRegular,
    /// The outputs would go over a limit of envman.
    TooLarge(TooLarge),
    Io(io::Error),
}

impl From<TooLarge> for EnvstoreError {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge(error)
    }
}

impl From<io::Error> for EnvstoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for EnvstoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::NotRegular => Self::NotRegular,
            ReadError::TooLarge => Self::Oversize,
        }
    }
}

/// Puts all entries into the file at `path` in one atomic replacement.
///
/// Entries already there stay as they are, in order; one with the same key is replaced where it
/// stands. The file keeps its owner, group and mode; a new one gets 0600.
///
/// # Errors
/// [`EnvstoreError`]; the file is then as it was.
pub fn write(path: &Path, entries: &[Entry], limits: Limits) -> Result<(), EnvstoreError> {
    // A link is followed, so that the rename replaces the file and not the link; also one to a
    // file that is not there yet.
    let target = fs::canonicalize(path)
        .or_else(|_| fs::read_link(path).map(|to| path.parent().unwrap_or(path).join(to)))
        .unwrap_or_else(|_| path.to_owned());
    let old = match regular_file::open(&target, OpenOptions::new().read(true)) {
        Ok(file) => {
            Some(Old { bytes: regular_file::read_open(&file, MAX_BYTES)?, metadata: file.metadata()? })
        }
        Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let text = std::str::from_utf8(old.as_ref().map_or(&[], |old| old.bytes.as_slice()))
        .map_err(|_| EnvstoreError::UnknownForm)?;
    let new = merge(text, entries, limits)?;
    replace(&target, new.as_bytes(), old.as_ref())?;
    Ok(())
}

/// The file that is replaced.
struct Old {
    bytes: Zeroizing<Vec<u8>>,
    metadata: Metadata,
}

/// An entry as a part of the file.
fn to_yaml(entry: &Entry, indent: &str) -> Zeroizing<String> {
    let value = entry.value.as_ref().map_or("", |value| value.expose_secret());
    let value = Zeroizing::new(yaml::quoted(value));
    let mut parts = vec![indent, "- ", entry.key, ": ", value.as_str(), "\n", indent, "  opts:\n"];
    let options = [
        (entry.value.is_some(), "    is_expand: false\n"),
        (entry.is_sensitive, "    is_sensitive: true\n"),
        (entry.value.is_none(), "    unset: true\n"),
    ];
    for (_, option) in options.into_iter().filter(|(applies, _)| *applies) {
        parts.extend([indent, option]);
    }
    // Joined into one buffer of the right size: one that grows leaves copies behind.
    Zeroizing::new(parts.concat())
}

/// The text of the file with `entries` in it.
fn merge(text: &str, entries: &[Entry], limits: Limits) -> Result<Zeroizing<String>, EnvstoreError> {
    let store = Store::parse(text)?;
    let replaced: BTreeSet<&str> = entries.iter().map(|entry| entry.key).collect();
    let kept = store.items.iter().filter(|item| !replaced.contains(item.key.as_str()));
    limits.check(kept.map(|item| item.value_bytes).sum(), entries)?;

    let rendered: Vec<_> = entries.iter().map(|entry| (entry.key, to_yaml(entry, store.indent))).collect();
    let length = rendered.iter().map(|(_, yaml)| yaml.len()).sum::<usize>() + text.len() + 16;
    let mut out = Zeroizing::new(String::with_capacity(length));
    out.push_str(store.head);
    let mut unplaced: BTreeMap<&str, &str> =
        rendered.iter().map(|(key, yaml)| (*key, yaml.as_str())).collect();
    for item in &store.items {
        if let Some(yaml) = unplaced.remove(item.key.as_str()) {
            out.push_str(yaml);
        } else if !replaced.contains(item.key.as_str()) {
            out.push_str(item.text);
            if !item.text.ends_with('\n') {
                out.push('\n');
            }
        }
    }
    for (_, yaml) in rendered.iter().filter(|(key, _)| unplaced.contains_key(key)) {
        out.push_str(yaml);
    }
    Ok(out)
}

/// The file, cut into its entries without changing a character of them.
struct Store<'a> {
    /// Everything before the first entry.
    head: &'a str,
    indent: &'a str,
    items: Vec<Item<'a>>,
}

struct Item<'a> {
    key: String,
    value_bytes: usize,
    text: &'a str,
}

/// A file without entries, in whatever spelling.
#[derive(Deserialize)]
struct File {
    envs: Option<Vec<IgnoredAny>>,
}

const EMPTY: Store<'static> = Store { head: "envs:\n", indent: "", items: Vec::new() };

impl<'a> Store<'a> {
    /// Reads each entry on its own and the file never as a whole: that keeps time and memory in
    /// proportion to its size, and no alias can reach from one entry into another.
    fn parse(text: &'a str) -> Result<Self, EnvstoreError> {
        if text.len() > MAX_MERGED_BYTES {
            return Err(EnvstoreError::UnknownForm);
        }
        if let Some(store) = Self::cut(text) {
            return Ok(store);
        }
        if could_be_bomb(text) {
            return Err(EnvstoreError::UnknownForm);
        }
        let file: Option<File> = serde_yaml::from_str(text).map_err(|_| EnvstoreError::UnknownForm)?;
        match file.and_then(|file| file.envs) {
            Some(envs) if !envs.is_empty() => Err(EnvstoreError::UnknownForm),
            _ => Ok(EMPTY),
        }
    }

    /// Cuts at the lines that begin an entry: `- ` at the indent of the first one.
    ///
    /// That is where YAML cuts too: what is whole on its own, in one document, ends where a
    /// line with less indent than its own content begins.
    fn cut(text: &'a str) -> Option<Self> {
        let mut lines = Lines { rest: text, at: 0 };
        let mut next_filled = || lines.find(|(_, line)| !is_blank(line)).map(|(_, line)| line.trim_end());
        match next_filled()? {
            "---" => next_filled(),
            other => Some(other),
        }
        .filter(|line| *line == "envs:")?;
        let (first_at, first) = lines.find(|(_, line)| !is_blank(line))?;
        let (head, list) = text.split_at_checked(first_at)?;
        // An entry could hide behind a line end that is none here.
        if head.replace("\r\n", "\n").lines().any(|line| line.contains(LINE_ENDS)) {
            return None;
        }
        let (indent, _) = first.split_once('-')?;
        if !indent.bytes().all(|b| b == b' ') {
            return None;
        }

        let begins_item = |line: &str| {
            let after_dash = line.strip_prefix(indent).and_then(|rest| rest.strip_prefix('-'));
            after_dash.is_some_and(|rest| rest.starts_with([' ', '\n', '\r']))
        };
        let starts = Lines { rest: list, at: 0 }.filter(|(_, line)| begins_item(line)).map(|(at, _)| at);
        let starts: Vec<usize> = starts.collect();
        if starts.first() != Some(&0) {
            return None;
        }
        let ends = starts.iter().copied().skip(1).chain([list.len()]);
        let ranges = starts.iter().copied().zip(ends);
        let items = ranges.map(|(start, end)| Item::parse(list.get(start..end)?));
        Some(Self { head, indent, items: items.collect::<Option<_>>()? })
    }
}

/// Whether a text may take far more memory to read than its own size.
fn could_be_bomb(text: &str) -> bool {
    let marks = text.bytes().filter(|b| b"[]{},:-&*\n".contains(b)).count();
    marks > MAX_MARKS || yaml::is_too_deep(text)
}

/// A line that says nothing: empty, or a comment.
fn is_blank(line: &str) -> bool {
    matches!(line.trim_start_matches(' ').chars().next(), None | Some('#' | '\n' | '\r'))
}

/// The lines of a text, newlines included, each with the place where it begins.
struct Lines<'a> {
    rest: &'a str,
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.rest.split_inclusive('\n').next()?;
        let at = self.at;
        self.at += line.len();
        self.rest = self.rest.strip_prefix(line)?;
        Some((at, line))
    }
}

impl<'a> Item<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let is_marker = |line: &str| line.starts_with("---") || line.starts_with("...");
        if could_be_bomb(text) || text.split(LINE_ENDS).any(is_marker) {
            return None;
        }
        // The newline that such an entry lacks would become a part of its block scalar.
        if !text.ends_with('\n') && text.contains(['|', '>']) {
            return None;
        }
        let [env]: [Env; 1] = serde_yaml::from_str(text).ok()?;
        Some(Self { key: env.key, value_bytes: env.value_bytes, text })
    }
}

/// A map of one key, `opts` aside. Of the value, only its length is kept.
struct Env {
    key: String,
    value_bytes: usize,
}

impl<'de> Deserialize<'de> for Env {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvVisitor)
    }
}

struct EnvVisitor;

impl<'de> Visitor<'de> for EnvVisitor {
    type Value = Env;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one variable, and its options")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let mut env = None;
        let mut options = None;
        while let Some(key) = pairs.next_key::<String>()? {
            if key == "opts" {
                if options.replace(pairs.next_value::<IgnoredAny>()?).is_some() {
                    return Err(A::Error::custom("options twice in one entry"));
                }
                continue;
            }
            let Length(value_bytes) = pairs.next_value()?;
            if env.replace(Env { key, value_bytes }).is_some() {
                return Err(A::Error::custom("two variables in one entry"));
            }
        }
        env.ok_or_else(|| A::Error::custom("an entry without a variable"))
    }
}

/// The length of a scalar as envman prints it.
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LengthVisitor)
    }
}

struct LengthVisitor;

impl Visitor<'_> for LengthVisitor {
    type Value = Length;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_str<E>(self, value: &str) -> Result<Length, E> {
        Ok(Length(value.len()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Length, E> {
        Ok(Length(value.to_string().len()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Length, E> {
        Ok(Length(value.to_string().len()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Length, E> {
        Ok(Length(value.to_string().len()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Length, E> {
        Ok(Length(value.to_string().len()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Length, E> {
        Ok(Length(value.to_string().len()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Length, E> {
        Ok(Length(value.to_string().len()))
    }

    fn visit_unit<E>(self) -> Result<Length, E> {
        Ok(Length(0))
    }
}

/// Replaces the file at once where the system lets us, and in place where it does not.
fn replace(target: &Path, new: &[u8], old: Option<&Old>) -> Result<(), ReadError> {
    match (replace_by_rename(target, new, old.map(|old| &old.metadata)), old) {
        // A bind-mounted file is busy; a folder can be closed to us though the file is not, and a
        // file of another owner is not ours to make again.
        (Err(error), Some(old)) if is_refusal(&error) => write_in_place(target, new, &old.bytes),
        (result, _) => Ok(result?),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ResourceBusy
            | ErrorKind::CrossesDevices
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
    )
}

fn replace_by_rename(target: &Path, new: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        tempfile::Builder::new().prefix(".envstore-").tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(new)?;
    if let Some(old) = old {
        let own = file.as_file().metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().set_permissions(fs::Permissions::from_mode(old.permissions().mode()))?;
    }
    file.persist(target).map(drop).map_err(|error| error.error)
}

/// Overwrites the file, and puts the old text back when that fails half-way.
fn write_in_place(target: &Path, new: &[u8], old: &[u8]) -> Result<(), ReadError> {
    let overwrite = |bytes: &[u8]| -> Result<(), ReadError> {
        let mut file = regular_file::open(target, OpenOptions::new().write(true))?;
        file.write_all(bytes)?;
        Ok(file.set_len(bytes.len() as u64)?)
    };
    overwrite(new).inspect_err(|_| drop(overwrite(old)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result = std::result::Result<(), EnvstoreError>;

    const NO_LIMITS: Limits = Limits { env_bytes_limit_in_kb: 0, env_list_bytes_limit_in_kb: 0 };

    fn entry(key: &'static str, value: &str) -> Entry {
        Entry { key, value: Some(value.into()), is_sensitive: false }
    }

    fn merged(text: &str, entries: &[Entry]) -> std::result::Result<String, EnvstoreError> {
        Ok(merge(text, entries, NO_LIMITS)?.to_string())
    }

    #[test]
    fn an_entry_is_quoted_unexpanded_and_sensitive_only_when_secret() -> Result {
        let secret = Entry { key: "B", value: Some("p\"w".into()), is_sensitive: true };
        assert_eq!(
            merged("", &[entry("A", "no"), secret])?,
            concat!(
                "envs:\n",
                "- A: \"no\"\n  opts:\n    is_expand: false\n",
                "- B: \"p\\x22w\"\n  opts:\n    is_expand: false\n    is_sensitive: true\n",
            )
        );
        Ok(())
    }

    #[test]
    fn an_entry_without_a_value_unsets_the_variable() -> Result {
        let new = merged("envs:\n- A: old\n", &[Entry::unset("A"), Entry::unset("B")])?;
        assert_eq!(new, "envs:\n- A: \"\"\n  opts:\n    unset: true\n- B: \"\"\n  opts:\n    unset: true\n");
        Ok(())
    }

    #[test]
    fn an_empty_store_in_any_spelling_takes_entries() -> Result {
        let expected = merged("", &[entry("A", "1")])?;
        for text in ["envs: []\n", "envs:\n", "envs: []", "{}\n", "---\n", "\n"] {
            assert_eq!(merged(text, &[entry("A", "1")])?, expected, "{text:?}");
        }
        Ok(())
    }

    #[test]
    fn entries_already_there_are_kept_to_the_character_and_in_order() -> Result {
        // What YAML 1.1 and 1.2 read differently, block scalars, comments, other indents.
        let old = concat!(
            "# written by others\n",
            "envs:\n",
            "# and this\n",
            "- NO: no\n",
            "- OCTAL: 0123\n  opts:\n    is_expand: true\n",
            "- opts: {is_sensitive: true}\n  BLOCK: |\n    - not an entry\n\n    envs:\n",
            "- \"QUOTED\": 'it''s'   # comment\n",
            "- NOTHING:\n",
        );
        let new = merged(old, &[entry("A", "1")])?;
        assert_eq!(new.strip_prefix(old), Some("- A: \"1\"\n  opts:\n    is_expand: false\n"));
        Ok(())
    }

    #[test]
    fn an_indented_list_stays_indented() -> Result {
        let old = "envs:\n  - OLD: x\n    opts:\n      is_expand: false\n";
        let new = merged(old, &[entry("A", "1")])?;
        assert_eq!(new, format!("{old}  - A: \"1\"\n    opts:\n      is_expand: false\n"));
        Ok(())
    }

    #[test]
    fn a_key_already_there_is_replaced_where_it_stands_and_only_once() -> Result {
        let old = "envs:\n- A: old\n- B: kept\n- A: older\n- C: kept";
        let new = merged(old, &[entry("A", "new"), entry("D", "4")])?;
        assert_eq!(
            new,
            concat!(
                "envs:\n- A: \"new\"\n  opts:\n    is_expand: false\n- B: kept\n- C: kept\n",
                "- D: \"4\"\n  opts:\n    is_expand: false\n",
            )
        );
        Ok(())
    }

    #[test]
    fn what_envman_does_not_write_is_left_to_envman() {
        let unknown = [
            "envs: [{A: b}]\n",
            "{envs: [{A: b}]}\n",
            "envs:\n- &a {A: b}\n- *a\n",
            "envs:\n- A: b\nother: [\n",
            "envs:\n- A: b\n  C: d\n",
            "envs:\n- A: [1]\n",
            "envs:\n- A: b\n  A: b\n",
            "envs:\n- A: b\n  opts:\n  opts: {}\n",
            "envs: text\n",
            "- A: b\n",
            "envs:\n- A: b\n---\nenvs: []\n",
            "envs:\n- A: b\n...\n- C: d\n",
            "envs:\n- C: d\n\u{85}...\n",
            "envs:\n- C: |\n    d",
            "envs:\n- A: \"b\n- C: d\"\n",
            "envs:\n# c\r- A: b\n- C: d\n",
            "envs:\n- A: &a b\n- C: *a\n",
            "envs:\nx\n- A: b\n",
            "a: |\n  b\nenvs:\n- A: b\n",
            "\u{0}",
            "no yaml: [",
            "envs:\n- A: |\n    no newline at the end",
            "envs:\n- A: b\n...\n",
        ];
        for text in unknown {
            let result = merged(text, &[entry("A", "1")]);
            assert!(matches!(result, Err(EnvstoreError::UnknownForm)), "{text:?}: {result:?}");
        }
    }

    #[test]
    fn an_entry_that_could_be_a_bomb_is_left_to_envman() {
        let value = "x,".repeat(MAX_MARKS + 1);
        let long = format!("envs:\n- A: {value}\n");
        let many = format!("envs:\n{}", "- A: b\n".repeat(MAX_MERGED_BYTES / 7));
        for text in [long, many] {
            assert!(matches!(merged(&text, &[entry("A", "1")]), Err(EnvstoreError::UnknownForm)));
        }
        // Aliases in options are never followed.
        let values = "*a, ".repeat(7_000);
        let aliases = format!("envs:\n- A: b\n  opts: {{x: &a [{}], y: [{values}]}}\n", "a, ".repeat(7_000));
        assert!(merged(&aliases, &[entry("B", "1")]).is_ok());
    }

    #[test]
    fn what_is_too_large_for_an_envstore_is_not_read() -> Result {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("store.yml");
        fs::File::create(&path)?.set_len(MAX_BYTES as u64 + 1)?;
        let result = write(&path, &[entry("A", "1")], NO_LIMITS);
        assert!(matches!(result, Err(EnvstoreError::Oversize)), "{result:?}");
        assert_eq!(fs::metadata(&path)?.len(), MAX_BYTES as u64 + 1);
        Ok(())
    }

    #[test]
    fn the_limits_count_what_stays_and_name_the_output() {
        let limits = Limits { env_bytes_limit_in_kb: 1, env_list_bytes_limit_in_kb: 2 };
        let old = format!("envs:\n- OLD: {}\n- A: {}\n", "x".repeat(1024), "x".repeat(1024));
        let fits = [entry("A", &"y".repeat(1024))];
        assert!(merge(&old, &fits, limits).is_ok(), "the old value of A does not count");
        let long = [entry("A", &"y".repeat(1025))];
        let over = |entries: &[Entry]| match merge(&old, entries, limits) {
            Err(EnvstoreError::TooLarge(error)) => Some(error),
            _ => None,
        };
        assert_eq!(over(&long), Some(TooLarge::Value { key: "A", kib: 2, limit: 1 }));
        let many = [entry("A", &"y".repeat(1024)), entry("B", "z")];
        assert_eq!(over(&many), Some(TooLarge::List { key: "B", kib: 3, limit: 2 }));
    }

    #[test]
    fn the_file_keeps_its_mode_and_a_new_one_is_private() -> Result {
        let folder = tempfile::tempdir()?;
        let mode = |path: &Path| fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777);
        let path = folder.path().join("store.yml");
        write(&path, &[entry("A", "1")], NO_LIMITS)?;
        assert_eq!(mode(&path)?, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
        write(&path, &[entry("A", "2")], NO_LIMITS)?;
        assert_eq!(mode(&path)?, 0o640);
        assert_eq!(fs::read_dir(folder.path())?.count(), 1, "nothing is left beside it");
        Ok(())
    }

    #[test]
    fn a_link_to_the_store_stays_a_link() -> Result {
        let folder = tempfile::tempdir()?;
        let (store, link) = (folder.path().join("store.yml"), folder.path().join("link.yml"));
        fs::write(&store, "envs: []\n")?;
        std::os::unix::fs::symlink(&store, &link)?;
        write(&link, &[entry("A", "1")], NO_LIMITS)?;
        assert!(fs::symlink_metadata(&link)?.is_symlink());
        assert!(fs::read_to_string(&store)?.contains("- A: \"1\""));
        Ok(())
    }

    #[test]
    fn writing_in_place_shortens_the_file_too() -> Result {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("store.yml");
        fs::write(&path, "a longer text")?;
        write_in_place(&path, b"short", b"a longer text")?;
        assert_eq!(fs::read(&path)?, b"short");
        Ok(())
    }
}
