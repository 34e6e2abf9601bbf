//! The two IDs of a team: on Apple's developer portal, and in App Store Connect.

/// Team IDs on the developer portal have the usual format of key IDs.
pub(crate) use crate::redact::is_usual_key_id as is_team_id;
use crate::redact::{self, Text, error_messages};

/// The ID of a team on the developer portal: 10 upper-case letters and digits.
///
/// Source: <https://developer.apple.com/help/account/manage-your-team/locate-your-team-id/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamId(String);

/// The number of a team in App Store Connect, whose API calls teams "providers".
///
/// Source: `provider` in the response of `olympus/v1/session`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderId(u64);

error_messages! {
    /// Why a value is not the ID of a team. `Display` completes a sentence that begins with the field's name.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    pub enum InvalidTeamId {
        #[error("is not a team ID: use the 10 upper-case letters and digits in developer.apple.com > Account > Membership details")]
        NotATeamId,
        #[error("is a number, so it is the team's number in App Store Connect: move it to `itc_team_id`, and set `team_id` to the 10 letters and digits in developer.apple.com > Account > Membership details")]
        ProviderAsTeamId,
        #[error("is not a number: use the team's number in App Store Connect, such as 118573544")]
        NotAProviderId,
        #[error("is a team ID of the developer portal: move it to `team_id`, and set `itc_team_id` to the team's number in App Store Connect")]
        TeamAsProviderId,
    }
}

impl TeamId {
    /// # Errors
    /// [`InvalidTeamId`]
    pub fn parse(value: &str) -> Result<Self, InvalidTeamId> {
        if is_team_id(value) {
            Ok(Self(value.to_owned()))
        } else if is_number(value) {
            Err(InvalidTeamId::ProviderAsTeamId)
        } else {
            Err(InvalidTeamId::NotATeamId)
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For the log and errors.
    pub(crate) fn to_text(&self) -> Text {
        redact::checked(&self.0, is_team_id)
    }
}

impl ProviderId {
    /// # Errors
    /// [`InvalidTeamId`]
    pub fn parse(value: &str) -> Result<Self, InvalidTeamId> {
        let number = value.parse().ok().filter(|_| is_number(value));
        let error =
            if is_team_id(value) { InvalidTeamId::TeamAsProviderId } else { InvalidTeamId::NotAProviderId };
        number.map(Self).ok_or(error)
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// For the log and errors. Hides a number of an unusual length, because people paste six-digit codes and
    /// passwords into the wrong field.
    pub(crate) fn to_text(self) -> Text {
        redact::checked(&self.0.to_string(), is_usual_provider_id)
    }
}

/// Whether a value is a number of 7 to 10 digits, like all known team numbers in App Store Connect.
pub(crate) fn is_usual_provider_id(value: &str) -> bool {
    (7..=10).contains(&value.len()) && is_number(value)
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit())
}
