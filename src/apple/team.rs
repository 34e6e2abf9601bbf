//! A team in App Store Connect, which calls it a provider.

use crate::redaction::{Text, sentences};

/// The number of a team in App Store Connect.
///
/// Source: `provider` in what `olympus/v1/session` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderId(u64);

sentences! {
    /// Why a value is not the number of a team. `Display` completes a sentence that begins with the
    /// field's name.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    pub enum WrongProvider {
        #[error("is not a number: use the one that the team has in App Store Connect, such as 118573544")]
        NoNumber,
        #[error("is a team ID of the developer portal: put it into `team_id`, and here the number that the team has in App Store Connect")]
        TeamId,
    }
}

impl ProviderId {
    /// # Errors
    /// [`WrongProvider`]
    pub fn parse(value: &str) -> Result<Self, WrongProvider> {
        // Not a sign, which Rust takes for a part of a number.
        let number = value.parse().ok().filter(|_| value.bytes().all(|b| b.is_ascii_digit()));
        let is_team_id =
            value.len() == 10 && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let otherwise = if is_team_id { WrongProvider::TeamId } else { WrongProvider::NoNumber };
        number.map(Self).ok_or(otherwise)
    }

    #[must_use]
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    #[must_use]
    pub(crate) fn shown(self) -> Text {
        crate::text!("{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_team_is_told_from_its_id() {
        assert_eq!(ProviderId::parse("118573544"), Ok(ProviderId(118_573_544)));
        assert_eq!(ProviderId::parse("ABCDE12345"), Err(WrongProvider::TeamId));
        for wrong in ["", "+7", "-7", "7.0", "Example Ltd", "99999999999999999999"] {
            assert_eq!(ProviderId::parse(wrong), Err(WrongProvider::NoNumber), "{wrong}");
        }
    }
}
