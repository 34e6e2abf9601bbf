//! Collects the problems with the inputs.

use std::fmt::Display;

use crate::redact::{FatalError, Show, Text, text};

/// All problems with the inputs, in the order in which they were found. Each is a sentence, with the input that it is
/// about, or `None` if it is about several inputs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<(Option<&'static str>, Text)>);

impl Problems {
    /// Adds a problem with an input, unless that input already has one. The problem completes "`input` …",
    /// without a period, or is a whole sentence, which begins with a capital letter.
    pub(super) fn add(&mut self, input: &'static str, problem: impl Show + Display) {
        if self.0.iter().any(|(earlier, _)| *earlier == Some(input)) {
            return;
        }
        let problem = Text::of(&problem);
        let is_sentence = problem.as_str().starts_with(char::is_uppercase);
        let sentence = if is_sentence { problem } else { text!("`{}` {}.", input, problem) };
        self.0.push((Some(input), sentence));
    }

    /// Adds a conflict between several inputs, as a whole sentence.
    pub(super) fn add_conflict(&mut self, sentence: Text) {
        self.0.push((None, sentence));
    }

    /// Keeps only the problems with one of these inputs.
    pub(super) fn retain_about(&mut self, inputs: &[&str]) {
        self.0.retain(|(input, _)| input.is_some_and(|input| inputs.contains(&input)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problems> for FatalError {
    /// Puts all problems in the last error line, if it stays short. Otherwise the last error line has the first
    /// problem, and the lines above it have the others.
    fn from(problems: Problems) -> Self {
        let mut sentences: Vec<_> = problems.0.into_iter().map(|(_, sentence)| sentence).collect();
        let combined = text!("{} problems with the inputs. {}", sentences.len(), Text::join(&sentences, " "));
        if sentences.len() > 1 && combined.is_short() {
            return Self::new(combined);
        }
        let first = sentences.remove(0);
        fail_with_all(first, sentences, "problem")
    }
}

/// Makes one error out of several problems. Its last line has the first problem and, if it stays short, the number of the
/// other problems, which are in the lines above. `noun` is what a problem is called, in the singular.
pub(crate) fn fail_with_all(first: Text, others: Vec<Text>, noun: &'static str) -> FatalError {
    let note = match others.len() {
        0 => return FatalError::new(first),
        1 => text!("(There is one more {}.)", noun),
        count => text!("(There are {} more {}s.)", count, noun),
    };
    let with_note = text!("{} {}", first, note);
    FatalError { text: if with_note.is_short() { with_note } else { first }, details: others }
}

/// Lists names in backticks: ``"`a`, `b` and `c`"``.
pub(crate) fn quote_names(inputs: &[&'static str]) -> Text {
    Text::list(inputs.iter().map(|name| text!("`{}`", *name)), "and")
}
