//! One input, typed where it comes in.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use super::problems::Problems;
use super::unfilled;
use crate::redact::Text;

/// The type of an input that is more than a choice among the values that `step.yml` lists.
pub(super) trait InputValue: Sized {
    /// Whether a value like `$NAME` may be meant as it is, and is no variable that was not filled in.
    const MAY_LOOK_LIKE_A_VARIABLE: bool = false;

    /// Understands a value that is not empty.
    ///
    /// # Errors
    /// What completes the sentence "`input` …", without a full stop and without the value.
    fn parse(value: &str) -> Result<Self, Text>;

    /// As the log may show it: whole, or hidden.
    fn shown(&self) -> Text;
}

/// An input as it was found. Problems with it are told only where it is used.
#[derive(Debug)]
pub(super) enum Field<T> {
    Empty,
    Set(T),
    Wrong(Text),
}

impl<'de, T: InputValue> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Whatever it is for, people paste secrets into it.
        let value = SecretString::deserialize(deserializer)?;
        Ok(match value.expose_secret() {
            "" => Self::Empty,
            value => match unfilled::problem(value) {
                Some(problem) if !T::MAY_LOOK_LIKE_A_VARIABLE => Self::Wrong(problem),
                _ => T::parse(value).map_or_else(Self::Wrong, Self::Set),
            },
        })
    }
}

impl<T> Field<T> {
    /// Whether something stands there, right or wrong.
    pub(super) fn is_set(&self) -> bool {
        !matches!(self, Self::Empty)
    }

    /// Takes the value out; nothing when it is empty, or wrong, which is then noted.
    pub(super) fn take(&mut self, input: &'static str, problems: &mut Problems) -> Option<T> {
        match std::mem::replace(self, Self::Empty) {
            Self::Empty => None,
            Self::Set(value) => Some(value),
            Self::Wrong(problem) => {
                problems.add(input, problem);
                None
            }
        }
    }

    /// Like [`Field::take`], where empty is wrong too.
    pub(super) fn require(&mut self, input: &'static str, problems: &mut Problems) -> Option<T> {
        if !self.is_set() {
            problems.add(input, crate::redact::text!("is empty: leave it at its default"));
        }
        self.take(input, problems)
    }
}

/// How the log shows an input.
pub(super) trait Shown {
    /// `None`: as it was given, since it is one of the values in `step.yml`.
    fn shown(&self) -> Option<Text>;
}

impl<T: InputValue> Shown for Field<T> {
    fn shown(&self) -> Option<Text> {
        Some(match self {
            Self::Set(value) => value.shown(),
            // Nobody knows what it is.
            Self::Empty | Self::Wrong(_) => Text::hidden(),
        })
    }
}

impl InputValue for SecretString {
    fn parse(value: &str) -> Result<Self, Text> {
        Ok(value.into())
    }

    fn shown(&self) -> Text {
        Text::hidden()
    }
}
