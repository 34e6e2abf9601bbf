//! `step.yml`, embedded so that the code doesn't repeat its names, defaults and allowed values.
//!
//! Its format:
//! <https://github.com/bitrise-io/bitrise/blob/master/_docs/step-development-guideline.md>

use std::collections::BTreeMap;

use serde::Deserialize;

const STEP_YML: &str = include_str!("../../step.yml");

/// The parts of `step.yml` that a run needs.
#[derive(Debug, Deserialize)]
pub struct StepYml {
    inputs: Vec<Item>,
    outputs: Vec<Item>,
}

/// An input or output as the file holds it: its name as the key of its default, and its options.
#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default)]
    opts: Options,
    #[serde(flatten)]
    name_and_default: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    value_options: Vec<String>,
    is_sensitive: bool,
}

/// An input or output that `step.yml` declares.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    pub name: &'a str,
    /// As in the file: `$NAME` is not expanded.
    pub default: &'a str,
    /// Empty when any value is allowed.
    pub value_options: &'a [String],
    pub is_sensitive: bool,
}

impl StepYml {
    /// The `step.yml` that this binary was built with.
    ///
    /// # Errors
    /// If the file is invalid. A test ensures that it isn't.
    pub fn embedded() -> Result<Self, serde_yaml::Error> {
        serde_yaml::from_str(STEP_YML)
    }

    /// The inputs, in the order of the file.
    pub fn inputs(&self) -> impl Iterator<Item = Declared<'_>> {
        self.inputs.iter().filter_map(Item::declared)
    }

    /// The outputs, in order. Their defaults are empty.
    pub fn outputs(&self) -> impl Iterator<Item = Declared<'_>> {
        self.outputs.iter().filter_map(Item::declared)
    }
}

impl Item {
    fn declared(&self) -> Option<Declared<'_>> {
        let (name, default) = self.name_and_default.iter().next()?;
        Some(Declared {
            name,
            default: default.as_deref().unwrap_or_default(),
            value_options: &self.opts.value_options,
            is_sensitive: self.opts.is_sensitive,
        })
    }
}
