//! Input `export_for`.

use super::field::InputValue;
use super::given::{is_slip, is_word};
use crate::redaction::{self, Text};
use crate::text;
use crate::tools::{TOOLS, Tool, called, split_list};

/// The tools that get variables of their own, in the order of the table.
#[derive(Debug)]
pub(super) struct Tools(pub(super) Vec<&'static Tool>);

/// So many unknown names are told; the rest will be wrong for the same reason.
const MAX_UNKNOWN: usize = 2;

impl InputValue for Tools {
    fn parse(value: &str) -> Result<Self, Text> {
        let unknown: Vec<_> = split_list(value)
            .zip(1_usize..)
            .filter(|(name, _)| called(name).is_none())
            .map(|(name, place)| unknown(name, place))
            .take(MAX_UNKNOWN)
            .collect();
        if !unknown.is_empty() {
            let (count, unknown) = (unknown.len(), Text::join(&unknown, " and "));
            let what = if count == 1 { "which is no tool" } else { "which are no tools" };
            return Err(text!(
                "names {}, {} that this Step knows: use a list of {}",
                unknown,
                what,
                names(TOOLS)
            ));
        }
        let chosen: Vec<_> = split_list(value).filter_map(called).collect();
        if chosen.is_empty() {
            return Err(text!("names no tool: use a list of {}", names(TOOLS)));
        }
        Ok(Self(TOOLS.iter().filter(|tool| chosen.contains(tool)).collect()))
    }

    fn shown(&self) -> Text {
        names(self.0.iter().copied())
    }
}

/// By its place in the list, from 1. A name that is nearly a known one is a slip; any other may be
/// meant for another field, maybe a secret one.
fn unknown(name: &str, place: usize) -> Text {
    let known = TOOLS.iter().flat_map(Tool::called).find(|known| is_slip(name, known));
    match known {
        Some(known) => text!("\"{}\" (did you mean {}?)", redaction::checked(name, is_word), known),
        None => text!("a word (number {} in the list)", place),
    }
}

/// ``"fastlane, asc"``
pub(crate) fn names<'a>(tools: impl IntoIterator<Item = &'a Tool>) -> Text {
    let names: Vec<_> = tools.into_iter().map(|tool| text!("{}", tool.name)).collect();
    Text::join(&names, ", ")
}
