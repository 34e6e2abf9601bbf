//! The inputs as they were given: the environment where it has them, else `step.yml`.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret as _, SecretString};

use super::BuildAnnotation;
use super::choice::{choice, is_word, no_choice};
use super::fields::Fields;
use super::problems::Problems;
use crate::bitrise::step_yml::{Declared, StepYml};
use crate::env::Env;
use crate::redact::ISSUES;
use crate::redact::text;
use crate::redact::{self, Text, sentences};

/// Leading and trailing blanks of this one are kept: they can be part of a password.
const UNTRIMMED: &str = "password";

sentences! {
    /// What only a defect of this program can cause.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum Defect {
        #[error("The Step has a defect: its own step.yml cannot be read. Please report this line at {ISSUES}.")]
        StepYml,
        #[error("The Step has a defect: its inputs are not those of step.yml ({0}). Please report this line at {ISSUES}.")]
        Fields(Text),
    }
}

/// All inputs, each read, and not yet held against each other.
pub(crate) struct RawInputs {
    pub(super) fields: Fields,
    pub(super) problems: Problems,
    pub(super) changed: BTreeSet<&'static str>,
    /// In the order of `step.yml`.
    pub lines: Vec<Line>,
}

/// An input for the log.
#[derive(Debug)]
pub(crate) struct Line {
    pub name: &'static str,
    pub value: Text,
    /// Whether it differs from its default.
    pub is_changed: bool,
}

impl RawInputs {
    /// Takes the inputs that `step.yml` declares from the environment, or their defaults.
    ///
    /// # Errors
    /// [`Defect`]
    pub(crate) fn read(env: &Env) -> Result<Self, Defect> {
        let step_yml = StepYml::embedded().map_err(|_| Defect::StepYml)?;
        let mut problems = Problems::default();
        let mut texts: BTreeMap<&'static str, SecretString> = BTreeMap::new();
        let mut lines = Vec::new();
        for input in step_yml.inputs() {
            let name = Fields::NAMES.iter().copied().find(|name| *name == input.name);
            let name = name.ok_or_else(|| Defect::Fields(text!("one of step.yml is unknown")))?;
            let default = expanded(name, &input, env, &mut problems);
            let value = match env.vars.get(name) {
                Some(value) => trimmed(name, value),
                None if env.is_not_utf8(name) => {
                    problems.add(name, text!("is not text in UTF-8: set it again"));
                    String::new().into()
                }
                None => default.clone(),
            };
            let is_changed = value.expose_secret() != default.expose_secret();
            let (value, shown) = if input.value_options.is_empty() {
                (value, Text::hidden())
            } else if let Some(option) = choice(value.expose_secret(), &input) {
                (option.into(), redact::checked(option, is_word))
            } else {
                problems.add(name, no_choice(value.expose_secret(), &input));
                // One wrong choice must not hide what is wrong with the other inputs.
                (default, Text::hidden())
            };
            let shown = if value.expose_secret().is_empty() { text!("<unset>") } else { shown };
            lines.push(Line { name, value: shown, is_changed });
            texts.insert(name, value);
        }
        let pairs = texts.iter().map(|(name, text)| ((*name).to_owned(), text.expose_secret().to_owned()));
        let fields: Fields = envy::from_iter(pairs).map_err(|error| Defect::Fields(redact::cause(&error)))?;
        for line in lines.iter_mut().filter(|line| line.value == Text::hidden()) {
            if let Some(shown) = fields.shown(line.name) {
                line.value = shown;
            }
        }
        let changed = lines.iter().filter(|line| line.is_changed).map(|line| line.name).collect();
        Ok(Self { fields, problems, changed, lines })
    }

    /// Input `build_annotation`.
    #[must_use]
    pub(crate) fn build_annotation(&self) -> BuildAnnotation {
        self.fields.build_annotation
    }

    /// Input `verbose_log`.
    #[must_use]
    pub(crate) fn is_verbose(&self) -> bool {
        self.fields.verbose_log
    }
}

/// The default, expanded as the Bitrise CLI expands it (`os.Expand`: an unknown name is empty).
fn expanded(name: &'static str, input: &Declared<'_>, env: &Env, problems: &mut Problems) -> SecretString {
    let is_given = env.vars.contains_key(name);
    let value = shellexpand::env_with_context_no_errors(input.default, |variable| {
        if !is_given && env.is_not_utf8(variable) {
            problems.add(
                name,
                text!("takes its default from a variable that is not text in UTF-8: correct that variable"),
            );
        }
        Some(env.vars.get(variable).map_or("", String::as_str))
    });
    trimmed(name, &value)
}

fn trimmed(name: &str, value: &str) -> SecretString {
    if name == UNTRIMMED { value.into() } else { value.trim().into() }
}
