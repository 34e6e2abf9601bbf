//! `step.yml`, embedded so that the code doesn't repeat its defaults.
//!
//! Its format:
//! <https://github.com/bitrise-io/bitrise/blob/master/_docs/step-development-guideline.md>

use std::collections::BTreeMap;

use serde::Deserialize;

const STEP_YML: &str = include_str!("../../step.yml");

/// The parts of `step.yml` that a run needs, in the order of the file.
#[derive(Debug, Deserialize)]
pub struct StepYml {
    pub inputs: Vec<Declaration>,
    pub outputs: Vec<Declaration>,
}

/// An input or output that `step.yml` declares.
#[derive(Debug, Deserialize)]
#[serde(from = "Item")]
pub struct Declaration {
    pub name: String,
    /// As in the file: `$NAME` is not expanded. Empty for an output.
    pub default: String,
    /// Empty when any value is allowed.
    pub value_options: Vec<String>,
    pub is_sensitive: bool,
}

/// An input or output as in the file: a map with `opts` and one more pair, the name and the default.
#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    opts: Options,
    #[serde(flatten)]
    name_and_default: BTreeMap<String, Option<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Options {
    value_options: Vec<String>,
    is_sensitive: bool,
}

impl From<Item> for Declaration {
    fn from(Item { opts: Options { value_options, is_sensitive }, name_and_default }: Item) -> Self {
        let (name, default) = name_and_default.into_iter().next().unwrap_or_default();
        Self { name, default: default.unwrap_or_default(), value_options, is_sensitive }
    }
}

impl StepYml {
    /// The `step.yml` that this binary was built with.
    ///
    /// # Errors
    /// If the file is invalid, which a test rules out.
    pub fn embedded() -> Result<Self, serde_yaml::Error> {
        serde_yaml::from_str(STEP_YML)
    }
}
