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
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::bitrise::envman::Limits;
use crate::yaml;

/// A value on its way to later Steps.
#[derive(Debug)]
pub struct Entry {
    pub key: &'static str,
    /// `None` takes the variable away from later Steps.
    pub value: Option<SecretString>,
    /// Whether the Bitrise CLI redacts it in later Steps' logs.
    pub is_sensitive: bool,
}

impl Entry {
    #[must_use]
    pub fn unset(key: &'static str) -> Self {
        Self { key, value: None, is_sensitive: false }
    }

    /// How much of envman's limits it takes.
    #[must_use]
    pub fn value_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.expose_secret().len())
    }

    fn push_yaml(&self, text: &mut Zeroizing<String>, indent: &str) {
        let value = self.value.as_ref().map_or("", |value| value.expose_secret());
        let value = Zeroizing::new(yaml::quoted(value));
        for part in [indent, "- ", self.key, ": ", value.as_str(), "\n", indent, "  opts:\n"] {
            text.push_str(part);
        }
        let options = [
            (self.value.is_some(), "    is_expand: false\n"),
            (self.is_sensitive, "    is_sensitive: true\n"),
            (self.value.is_none(), "    unset: true\n"),
        ];
        for (_, option) in options.into_iter().filter(|(applies, _)| *applies) {
            text.push_str(indent);
            text.push_str(option);
        }
    }
}

/// Why outputs did not get into the file.
#[derive(Debug, thiserror::Error)]
pub enum EnvstoreError {
    /// Not as envman writes it; envman itself may still read it.
    #[error("it is not in the form that envman writes")]
    UnknownForm,
    #[error(transparent)]
    TooLarge(#[from] crate::bitrise::envman::TooLarge),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Puts all entries into the file at `path` in one atomic replacement.
///
/// Entries already there stay as they are, in order; one with the same key is replaced where it
/// stands. The file keeps its mode; a new one gets 0600.
///
/// # Errors
/// [`EnvstoreError`]; the file is then as it was.
pub fn write(path: &Path, entries: &[Entry], limits: Limits) -> Result<(), EnvstoreError> {
    // A link is followed, so that the rename replaces the file and not the link; also one to a
    // file that is not there yet.
    let target = fs::canonicalize(path)
        .or_else(|_| fs::read_link(path).map(|to| path.parent().unwrap_or(path).join(to)))
        .unwrap_or_else(|_| path.to_owned());
    let old = match fs::read(&target) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let text = std::str::from_utf8(old.as_deref().map_or(&[], Vec::as_slice))
        .map_err(|_| EnvstoreError::UnknownForm)?;
    let new = merge(text, entries, limits)?;
    replace(&target, new.as_bytes(), old.as_deref().map(Vec::as_slice))?;
    Ok(())
}

/// The text of the file with `entries` in it.
fn merge(text: &str, entries: &[Entry], limits: Limits) -> Result<Zeroizing<String>, EnvstoreError> {
    let store = Store::parse(text)?;
    let replaced: BTreeSet<&str> = entries.iter().map(|entry| entry.key).collect();
    let kept = store.items.iter().filter(|item| !replaced.contains(item.key.as_str()));
    limits.check(kept.map(|item| item.value_bytes).sum(), entries)?;

    let mut out = Zeroizing::new(String::with_capacity(text.len() + 1024));
    out.push_str(store.head);
    let mut unplaced: BTreeMap<&str, &Entry> = entries.iter().map(|entry| (entry.key, entry)).collect();
    for item in &store.items {
        if let Some(entry) = unplaced.remove(item.key.as_str()) {
            entry.push_yaml(&mut out, store.indent);
        } else if !replaced.contains(item.key.as_str()) {
            out.push_str(item.text);
            if !item.text.ends_with('\n') {
                out.push('\n');
            }
        }
    }
    for entry in entries.iter().filter(|entry| unplaced.contains_key(entry.key)) {
        entry.push_yaml(&mut out, store.indent);
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

/// The whole file as serde sees it, to hold the cut against.
#[derive(Deserialize)]
struct File {
    envs: Option<Vec<Env>>,
}

/// A one-key map, `opts` aside.
type Env = BTreeMap<String, serde_yaml::Value>;

const EMPTY: Store<'static> = Store { head: "envs:\n", indent: "", items: Vec::new() };

impl<'a> Store<'a> {
    fn parse(text: &'a str) -> Result<Self, EnvstoreError> {
        let file: Option<File> = serde_yaml::from_str(text).map_err(|_| EnvstoreError::UnknownForm)?;
        let envs = file.and_then(|file| file.envs).unwrap_or_default();
        if envs.is_empty() {
            return Ok(EMPTY);
        }
        let store = Self::cut(text).ok_or(EnvstoreError::UnknownForm)?;
        if store.items.len() != envs.len() {
            return Err(EnvstoreError::UnknownForm);
        }
        for (item, env) in store.items.iter().zip(&envs) {
            // An item that means the same on its own does not lean on an anchor or a block elsewhere.
            let alone: Vec<Env> = serde_yaml::from_str(item.text).map_err(|_| EnvstoreError::UnknownForm)?;
            if alone.first() != Some(env) {
                return Err(EnvstoreError::UnknownForm);
            }
        }
        Ok(store)
    }

    /// Cuts at the lines that begin an entry: `- ` at the indent of the first one.
    fn cut(text: &'a str) -> Option<Self> {
        let mut lines = Lines { rest: text, at: 0 };
        lines.find(|(_, line)| line.trim_end() == "envs:")?;
        let (first_at, first) = lines.find(|(_, line)| line.trim_start().starts_with('-'))?;
        let (head, list) = text.split_at_checked(first_at)?;
        let (indent, _) = first.split_once('-')?;

        let begins_item = |line: &str| {
            let after_dash = line.strip_prefix(indent).and_then(|rest| rest.strip_prefix('-'));
            after_dash.is_some_and(|rest| rest.starts_with([' ', '\n', '\r']))
        };
        let starts = Lines { rest: list, at: 0 }.filter(|(_, line)| begins_item(line)).map(|(at, _)| at);
        let starts: Vec<usize> = starts.collect();
        let ends = starts.iter().copied().skip(1).chain([list.len()]);
        let ranges = starts.iter().copied().zip(ends);
        let items = ranges.map(|(start, end)| Item::parse(list.get(start..end)?));
        Some(Self { head, indent, items: items.collect::<Option<_>>()? })
    }
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
        let envs: Vec<Env> = serde_yaml::from_str(text).ok()?;
        let [env] = envs.as_slice() else { return None };
        let mut pairs = env.iter().filter(|(key, _)| *key != "opts");
        let (Some((key, value)), None) = (pairs.next(), pairs.next()) else { return None };
        let value_bytes = match value {
            serde_yaml::Value::Null => 0,
            serde_yaml::Value::Bool(value) => value.to_string().len(),
            serde_yaml::Value::Number(value) => value.to_string().len(),
            serde_yaml::Value::String(value) => value.len(),
            _ => return None,
        };
        Some(Self { key: key.clone(), value_bytes, text })
    }
}

/// Replaces the file at once where the system lets us, and in place where it does not.
fn replace(target: &Path, new: &[u8], old: Option<&[u8]>) -> io::Result<()> {
    match replace_by_rename(target, new, old.is_some()) {
        // A bind-mounted file is busy; a folder can be closed to us though the file is not.
        Err(error) if is_refusal(&error) && old.is_some() => {
            write_in_place(target, new, old.unwrap_or_default())
        }
        result => result,
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

fn replace_by_rename(target: &Path, new: &[u8], keep_mode: bool) -> io::Result<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        tempfile::Builder::new().prefix(".envstore-").tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(new)?;
    if keep_mode {
        let mode = fs::metadata(target)?.permissions().mode();
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.persist(target).map(drop).map_err(|error| error.error)
}

/// Overwrites the file, and puts the old text back when that fails half-way.
fn write_in_place(target: &Path, new: &[u8], old: &[u8]) -> io::Result<()> {
    let overwrite = |bytes: &[u8]| -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).mode(0o600).open(target)?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)
    };
    overwrite(new).inspect_err(|_| drop(overwrite(old)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

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
            "envs: text\n",
            "- A: b\n",
            "envs:\n- A: b\n---\nenvs: []\n",
            "\u{0}",
            "no yaml: [",
        ];
        for text in unknown {
            let result = merged(text, &[entry("A", "1")]);
            assert!(matches!(result, Err(EnvstoreError::UnknownForm)), "{text:?}: {result:?}");
        }
    }

    #[test]
    fn the_limits_count_what_stays_and_name_the_output() {
        let limits = Limits { env_bytes_limit_in_kb: 1, env_list_bytes_limit_in_kb: 2 };
        let old = format!("envs:\n- OLD: {}\n- A: {}\n", "x".repeat(1024), "x".repeat(1024));
        let fits = [entry("A", &"y".repeat(1024))];
        assert!(merge(&old, &fits, limits).is_ok(), "the old value of A does not count");
        let long = [entry("A", &"y".repeat(1025))];
        let error = merge(&old, &long, limits).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("output A has 2 KiB") && error.contains("at most 1 KiB"), "{error}");
        let many = [entry("A", &"y".repeat(1024)), entry("B", "z")];
        let error = merge(&old, &many, limits).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            error.contains("output B") && error.contains("3 KiB") && error.contains("at most 2 KiB"),
            "{error}"
        );
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
