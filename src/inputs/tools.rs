//! Input `export_for`.

use std::collections::BTreeSet;

use super::field::InputValue;
use crate::redaction::Text;
use crate::text;
use crate::tools::{self, Tool};

/// The tools that get variables of their own.
#[derive(Debug)]
pub(super) struct Tools(pub(super) BTreeSet<Tool>);

impl InputValue for Tools {
    fn parse(value: &str) -> Result<Self, Text> {
        tools::parse_list(value).map(Self).map_err(|position| {
            let names: Vec<_> = Tool::ALL.iter().map(|tool| text!("{}", tool.name())).collect();
            text!(
                "has an unknown tool (the name number {}): use a list of {}",
                position,
                Text::join(&names, ", ")
            )
        })
    }

    fn shown(&self) -> Text {
        names(&self.0)
    }
}

/// ``"fastlane, asc"``
pub(crate) fn names<'a>(tools: impl IntoIterator<Item = &'a Tool>) -> Text {
    let names: Vec<_> = tools.into_iter().map(|tool| text!("{}", tool.name())).collect();
    Text::join(&names, ", ")
}
