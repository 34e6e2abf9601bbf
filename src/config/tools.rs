//! Input `export_for`.

use super::choice::{is_slip, is_word};
use super::field::InputValue;
use crate::redact::text;
use crate::redact::{self, Text};
use crate::tools::{TOOLS, Tool, called, split_list};

/// The tools that get variables of their own, in the order of the table.
#[derive(Debug)]
pub(super) struct Tools(pub(super) Vec<&'static Tool>);

/// So many unknown names are told: with more, it is not a list of tools.
const MAX_UNKNOWN: usize = 2;

impl InputValue for Tools {
    fn parse(value: &str) -> Result<Self, Text> {
        let unknown: Vec<_> = split_list(value)
            .zip(1..)
            .filter(|(name, _)| called(name).is_none())
            .map(|(name, place)| Unknown { name, place, meant: nearly(name) })
            .take(MAX_UNKNOWN)
            .collect();
        if !unknown.is_empty() {
            return Err(describe(&unknown));
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

/// A name in the list that is no tool's.
struct Unknown<'a> {
    name: &'a str,
    /// From 1.
    place: u32,
    /// The name or alias that is nearly this one.
    meant: Option<&'static str>,
}

fn nearly(name: &str) -> Option<&'static str> {
    TOOLS.iter().flat_map(Tool::called).find(|known| is_slip(name, known))
}

fn describe(unknown: &[Unknown<'_>]) -> Text {
    let found: Vec<_> = unknown
        .iter()
        .map(|unknown| match unknown.meant {
            Some(_) => text!("\"{}\"", redact::checked(unknown.name, is_word)),
            // It may be meant for another field, maybe a secret one.
            None => text!("a word (number {} in the list)", unknown.place),
        })
        .collect();
    let found = Text::join(&found, " and ");
    let what = if unknown.len() == 1 { "which is no tool" } else { "which are no tools" };
    let meant: Option<Vec<_>> =
        unknown.iter().map(|unknown| unknown.meant.map(|meant| text!("{}", meant))).collect();
    match meant {
        Some(meant) => {
            text!("has {}, {} that this Step knows: write {}", found, what, Text::join(&meant, " and "))
        }
        None => text!("has {}, {} that this Step knows: use a list of {}", found, what, names(TOOLS)),
    }
}

/// ``"fastlane, asc"``
pub(crate) fn names<'a>(tools: impl IntoIterator<Item = &'a Tool>) -> Text {
    let names: Vec<_> = tools.into_iter().map(|tool| text!("{}", tool.name)).collect();
    Text::join(&names, ", ")
}
