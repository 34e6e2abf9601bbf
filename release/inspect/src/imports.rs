//! The symbols that a macOS binary can import: `release/macos/imports.txt`.

use std::collections::HashMap;

use anyhow::{Context as _, bail};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../macos/imports.txt");

/// A macOS version, such as 10.14 or 11.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MacOs(pub(crate) u32, pub(crate) u32);

/// The first macOS version that has a symbol, by library and symbol.
pub(crate) struct Imports(HashMap<(String, String), MacOs>);

impl Imports {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let path = std::env::var("INSPECT_IMPORTS").unwrap_or_else(|_| TABLE.to_owned());
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let mut imports = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split(' ').collect();
            let [library, symbol, since] = *fields.as_slice() else {
                bail!("{path}: expected a library, a symbol and a version, found {line:?}");
            };
            let since = parse_version(since).with_context(|| format!("{path}: {line}"))?;
            imports.insert((library.to_owned(), symbol.to_owned()), since);
        }
        Ok(Self(imports))
    }

    /// The first macOS version that has the symbol, or `None` if the table lacks the symbol. `library` is a path on
    /// a Mac, and `symbol` is spelled as in the binary, with an underscore.
    pub(crate) fn since(&self, library: &str, symbol: &str) -> Option<MacOs> {
        let library = library.rsplit('/').next()?.split('.').next()?;
        let symbol = symbol.strip_prefix('_').unwrap_or(symbol);
        let symbol = symbol.split('$').next()?;
        self.0.get(&(library.to_owned(), symbol.to_owned())).copied()
    }
}

/// Parses a version. `-` stands for symbols that every version of macOS has.
fn parse_version(text: &str) -> anyhow::Result<MacOs> {
    if text == "-" {
        return Ok(MacOs(10, 0));
    }
    let (major, minor) = text.split_once('.').context("expected a version such as 11.0")?;
    Ok(MacOs(major.parse()?, minor.parse()?))
}
