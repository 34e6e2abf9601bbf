//! Generated outputs, which `tests/round_trip` reads with envman, and generated envstores.

use std::fs;

use apple_services_connection::bitrise::entry::Entry;
use apple_services_connection::bitrise::envstore::{self, EnvstoreError};
use apple_services_connection::bitrise::limits::Limits;
use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;
use serde_yaml::Value;

use test_support::strategies::text;

/// In envman's settings, 0 means no limit.
const NO_LIMITS: Limits = Limits { env_bytes_limit_in_kb: Some(0), env_list_bytes_limit_in_kb: Some(0) };

const KEYS: [&str; 4] = ["A", "B", "C", "D"];

#[derive(Debug, Deserialize)]
struct Store {
    envs: Option<Vec<Value>>,
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let value = prop_oneof![8 => text().prop_map(Some), 1 => Just(None)];
    prop::collection::vec((value, any::<bool>()), KEYS.len()).prop_map(|values| {
        let entries = KEYS.into_iter().zip(values);
        entries
            .map(|(key, (value, is_sensitive))| Entry {
                key: key.into(),
                value: value.map(Into::into),
                is_sensitive,
            })
            .collect()
    })
}

/// Short parts of envstores, and of texts that a parser could mistake for an envstore.
const SHORT_PARTS: &[&str] = &[
    "envs:\n", "- A: b\n", "- ", "  ", "- W: |\n", "\n", "\r", "\r\n", "\u{85}", "\u{2028}", "\t", "# c\n",
    "#", "---\n", "...\n", "\"", "'", "{", "}", "[", "]", ": ", ",", "&a ", "*a", "<<: *a\n", "? ", "!!str ",
    "|", ">", "x", "X", "- T:\n", "b\"\n", "\u{feff}",
];

/// Longer parts, most of them whole lines.
const LONG_PARTS: &[&str] = &[
    "envs: []\n",
    "- X: no\n",
    "- Y: 'it''s'\n",
    "- Z: \"x\\n\"\n",
    "  - I: x\n",
    "    block\n",
    "- A: |-\n    - B: x\n    envs:\n",
    "  opts:\n",
    "    is_expand: false\n",
    "  opts: {is_sensitive: true}\n",
    "- opts: {}\n  V: 1\n",
    "%YAML 1.1\n",
    "  continued\n",
    "- U: a\n  continued\n",
    "- S: \"a\n",
    "other: 1\n",
];

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn any_outputs_are_read_back_from_the_envstore_unchanged(entries in entries()) {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("store.yml");
        envstore::write(&path, &entries, NO_LIMITS).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        let envs = parse(&fs::read_to_string(&path)?).ok_or_else(|| TestCaseError::fail("not an envstore"))?;
        prop_assert_eq!(envs, entries.iter().map(as_value).collect::<Vec<_>>());
    }

    #[test]
    fn an_envstore_keeps_its_other_entries_or_is_left_unchanged(
        pieces in prop::collection::vec(prop_oneof![2 => select(SHORT_PARTS), 1 => select(LONG_PARTS)], 0..12),
        starts_with_envs in any::<bool>(),
        entries in entries(),
    ) {
        let old = format!("{}{}", if starts_with_envs { "envs:\n" } else { "" }, pieces.concat());
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("store.yml");
        fs::write(&path, &old)?;
        let result = envstore::write(&path, &entries, NO_LIMITS);
        let new = fs::read_to_string(&path)?;
        if result.is_err() {
            prop_assert!(matches!(result, Err(EnvstoreError::UnknownFormat)), "{:?}", result);
            prop_assert_eq!(new, old);
            return Ok(());
        }
        let before = parse(&old).ok_or_else(|| TestCaseError::fail(format!("accepted, but not an envstore: {old:?}")))?;
        let after = parse(&new).ok_or_else(|| TestCaseError::fail(format!("damaged: {new:?}")))?;
        let is_ours = |env: &Value| KEYS.iter().any(|key| env.get(key).is_some());
        let kept = |envs: &[Value]| envs.iter().filter(|env| !is_ours(env)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(kept(&before), kept(&after), "{:?} {:?}", old, new);
        let mut ours: Vec<Value> = after.iter().filter(|env| is_ours(env)).cloned().collect();
        ours.sort_by_key(|env| KEYS.iter().position(|key| env.get(key).is_some()));
        prop_assert_eq!(ours, entries.iter().map(as_value).collect::<Vec<_>>(), "{:?} {:?}", old, new);
    }

    #[test]
    fn an_envstore_of_any_bytes_is_merged_or_left_unchanged(bytes in prop::collection::vec(any::<u8>(), 0..200), entries in entries()) {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("store.yml");
        fs::write(&path, &bytes)?;
        if envstore::write(&path, &entries, NO_LIMITS).is_err() {
            prop_assert_eq!(fs::read(&path)?, bytes);
        }
    }
}

/// The entries, as another YAML parser reads them.
fn parse(text: &str) -> Option<Vec<Value>> {
    let store: Option<Store> = serde_yaml::from_str(text).ok()?;
    Some(store.and_then(|store| store.envs).unwrap_or_default())
}

fn as_value(entry: &Entry) -> Value {
    use secrecy::ExposeSecret as _;
    let mut options = serde_yaml::Mapping::new();
    if entry.value.is_some() {
        options.insert("is_expand".into(), false.into());
    }
    if entry.is_sensitive {
        options.insert("is_sensitive".into(), true.into());
    }
    if entry.value.is_none() {
        options.insert("unset".into(), true.into());
    }
    let value = entry.value.as_ref().map_or("", |value| value.expose_secret());
    let pairs = [(entry.key.as_ref().into(), value.into()), ("opts".into(), Value::Mapping(options))];
    Value::Mapping(pairs.into_iter().collect())
}
