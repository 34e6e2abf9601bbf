//! Input `team_id`.

use super::field::InputValue;
use super::identifiers::{is_yaml_number, yaml_number};
use crate::apple::api_key::misplaced;
use crate::apple::private_key::strip_wrapping;
use crate::redaction::{self, Text};
use crate::text;

/// The team on Apple's developer portal: 10 upper-case letters and digits.
///
/// Source: <https://developer.apple.com/help/account/manage-your-team/locate-your-team-id/>
#[derive(Debug)]
pub(super) struct TeamId(pub(super) String);

impl InputValue for TeamId {
    fn parse(value: &str) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_team_id(value) {
            Ok(Self(value.to_owned()))
        } else if is_yaml_number(value) {
            Err(yaml_number())
        } else if let Some(found) = misplaced(value) {
            Err(text!("holds {}: put the team ID there, 10 upper-case letters and digits", found))
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
