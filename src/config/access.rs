//! Input `required_access`.

use std::collections::BTreeSet;

use super::field::InputValue;
use crate::apple::app_store_connect::Access;
use crate::redact::Text;
use crate::redact::text;

/// What an API key must be allowed to do.
#[derive(Debug)]
pub(super) struct RequiredAccess(pub(super) BTreeSet<Access>);

impl InputValue for RequiredAccess {
    fn parse(value: &str) -> Result<Self, Text> {
        let words = value.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let access = words.zip(1_usize..).map(|(word, place)| {
            let known = Access::ALL.into_iter().find(|access| access.name() == word);
            known.ok_or_else(|| {
                text!(
                    "has an unknown word (the word number {}): use a list of {}",
                    place,
                    names(&Access::ALL)
                )
            })
        });
        access.collect::<Result<_, _>>().map(Self)
    }

    fn shown(&self) -> Text {
        names(&self.0)
    }
}

/// ``"provisioning, admin"``
fn names<'a>(access: impl IntoIterator<Item = &'a Access>) -> Text {
    let names: Vec<_> = access.into_iter().map(|access| text!("{}", access.name())).collect();
    Text::join(&names, ", ")
}
