//! Collects the problems with the inputs.

use crate::redact::{FatalError, Text, text};

/// All problems with the inputs, in the order in which they were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// `None` if the problem is between several inputs.
    input: Option<&'static str>,
    sentence: Text,
}

impl Problem {
    /// A problem with one input. The text completes "`input` …", without a full stop.
    pub(super) fn new(input: &'static str, text: &Text) -> Self {
        let end = if text.as_str().ends_with('?') { "" } else { "." };
        Self::from_sentence(input, text!("`{}` {}{}", input, text, end))
    }

    /// A problem with one input, as a whole sentence.
    pub(super) fn from_sentence(input: &'static str, sentence: Text) -> Self {
        Self { input: Some(input), sentence }
    }
}

impl Problems {
    /// Adds a problem with one input. The text completes "`input` …", without a full stop.
    pub(super) fn add(&mut self, input: &'static str, text: &Text) {
        self.push(Problem::new(input, text));
    }

    /// Adds a problem, unless another problem with the same input was found before.
    pub(super) fn push(&mut self, problem: Problem) {
        if problem.input.is_none() || self.0.iter().all(|earlier| earlier.input != problem.input) {
            self.0.push(problem);
        }
    }

    /// Adds a problem between several inputs, as a whole sentence.
    pub(super) fn add_between(&mut self, sentence: Text) {
        self.0.push(Problem { input: None, sentence });
    }

    /// Keeps only the problems with one of these inputs.
    pub(super) fn retain_about(&mut self, inputs: &[&str]) {
        self.0.retain(|problem| problem.input.is_some_and(|input| inputs.contains(&input)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problems> for FatalError {
    /// Puts all problems in the last error line, if it stays short. Otherwise the last error line has the first
    /// problem, and the lines above it have the others.
    fn from(problems: Problems) -> Self {
        let mut sentences: Vec<_> = problems.0.into_iter().map(|problem| problem.sentence).collect();
        let combined = text!("{} problems with the inputs. {}", sentences.len(), Text::join(&sentences, " "));
        if sentences.len() > 1 && combined.is_short() {
            return Self::new(combined);
        }
        let first = sentences.remove(0);
        let note = match sentences.len() {
            0 => return Self::new(first),
            1 => text!("(There is one more problem.)"),
            more => text!("(There are {} more problems.)", more),
        };
        Self::with_details(sentences, first).mention(&note)
    }
}

/// Lists names in quotes: ``"`a`, `b`"``.
#[must_use]
pub(crate) fn quote_names(inputs: &[&'static str]) -> Text {
    let quoted: Vec<_> = inputs.iter().map(|name| text!("`{}`", *name)).collect();
    Text::join(&quoted, ", ")
}
