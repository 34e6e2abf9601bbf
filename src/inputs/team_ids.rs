//! Input `team_id`.

use super::field::InputValue;
use crate::redaction::{self, Text};
use crate::text;

/// The team on Apple's developer portal: 10 upper-case letters and digits.
///
/// Source: <https://developer.apple.com/help/account/manage-your-team/locate-your-team-id/>
#[derive(Debug)]
pub(super) struct TeamId(pub(super) String);

impl InputValue for TeamId {
    fn parse(value: &str) -> Result<Self, Text> {
        if is_team_id(value) {
            Ok(Self(value.to_owned()))
        } else {
            Err(text!(
                "is not a team ID, which is 10 upper-case letters and digits: copy it from Membership details on developer.apple.com/account"
            ))
        }
    }

    fn shown(&self) -> Text {
        redaction::checked(&self.0, is_team_id)
    }
}

fn is_team_id(value: &str) -> bool {
    value.len() == 10 && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}
