//! `step.yml`, the user's interface, as this binary needs it: names, defaults, allowed values.
//!
//! The file is embedded, so that it stays the one place that holds them. Its format:
//! <https://github.com/bitrise-io/bitrise/blob/master/_docs/step-development-guideline.md>

use std::collections::BTreeMap;

use serde::Deserialize;

const STEP_YML: &str = include_str!("../../step.yml");

/// The parts of `step.yml` that a run needs.
#[derive(Debug, Deserialize)]
pub struct StepYml {
    inputs: Vec<Item>,
    #[serde(default)]
    outputs: Vec<Item>,
}

/// A one-key map from name to default value, with options beside it.
#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default)]
    opts: Options,
    #[serde(flatten)]
    name_and_default: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    value_options: Vec<String>,
    #[serde(default)]
    is_sensitive: bool,
}

/// One declared input.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub name: &'a str,
    /// As written, `$NAME` not yet expanded.
    pub default: &'a str,
    /// Empty when any value is allowed.
    pub value_options: &'a [String],
    pub is_sensitive: bool,
}

impl StepYml {
    /// The `step.yml` that this binary was built with.
    ///
    /// # Errors
    /// When that file is not one; a test keeps it from being built.
    pub fn embedded() -> Result<Self, serde_yaml::Error> {
        serde_yaml::from_str(STEP_YML)
    }

    /// The inputs, in the order of the Workflow Editor.
    pub fn inputs(&self) -> impl Iterator<Item = Input<'_>> {
        self.inputs.iter().filter_map(|item| {
            let (name, default) = item.name_and_default.iter().next()?;
            Some(Input {
                name,
                default: default.as_deref().unwrap_or_default(),
                value_options: &item.opts.value_options,
                is_sensitive: item.opts.is_sensitive,
            })
        })
    }

    /// The names of the declared outputs, in order.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().filter_map(|item| item.name_and_default.keys().next().map(String::as_str))
    }
}
