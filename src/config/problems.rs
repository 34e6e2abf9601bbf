//! Everything that is wrong with the inputs, told in one go.

use std::fmt;

use crate::redact::text;
use crate::redact::{Failed, Show, Text};

/// All problems with the inputs, in the order in which they were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// The inputs that it is about, as the user typed them.
    inputs: Vec<&'static str>,
    /// A whole sentence, or what completes one that begins with the input's name.
    text: Text,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [input] = self.inputs.as_slice() {
            write!(f, "`{input}` ")?;
        }
        let end = if self.text.as_str().ends_with('?') { "" } else { "." };
        write!(f, "{}{end}", self.text)
    }
}

impl Show for Problem {}

impl Problems {
    /// Notes what is wrong with one input. The text completes "`input` …", without a full stop.
    pub(super) fn add(&mut self, input: &'static str, text: Text) {
        self.0.push(Problem { inputs: vec![input], text });
    }

    /// Notes what is wrong with several inputs together. The text is a sentence without its full stop.
    pub(super) fn add_to_all(&mut self, inputs: Vec<&'static str>, text: Text) {
        self.0.push(Problem { inputs, text });
    }

    /// Keeps those about one input.
    pub(super) fn retain_about(&mut self, input: &str) {
        self.0.retain(|problem| problem.inputs == [input]);
    }

    /// Each of them in a sentence.
    #[must_use]
    pub(crate) fn sentences(&self) -> Vec<Text> {
        self.0.iter().map(Text::of).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problems> for Failed {
    /// All of them in the last red line when it stays short. Otherwise that is the first problem, whose
    /// remedy is then at hand where only this line is shown, and the others are red lines above it.
    fn from(problems: Problems) -> Self {
        let sentences = problems.sentences();
        let count = sentences.len();
        if count == 1 {
            return Self::new(Text::join(&sentences, ""));
        }
        let together = text!("{} problems with the inputs. {}", count, Text::join(&sentences, " "));
        if together.is_short() {
            return Self::new(together);
        }
        let mut sentences = sentences.into_iter();
        let first = Text::join(sentences.next().as_ref(), "");
        Self::with_details(sentences.collect(), first).mention(&match count - 1 {
            1 => text!("(One more problem is in the red line above.)"),
            more => text!("({} more problems are in the red lines above.)", more),
        })
    }
}

/// ``"`a`, `b`"``
#[must_use]
pub(crate) fn names(inputs: &[&'static str]) -> Text {
    let quoted: Vec<_> = inputs.iter().map(|name| text!("`{}`", *name)).collect();
    Text::join(&quoted, ", ")
}
