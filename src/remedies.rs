//! What to do, where more than one part of the Step says it. Each ends a sentence.

macro_rules! key_settings {
    () => {
        "Workspace settings > Integrations > App Store Connect"
    };
}

/// Where an API key is connected on Bitrise.
pub(crate) const KEY_SETTINGS: &str = key_settings!();

/// About a connected API key that is of no use.
pub(crate) const RECONNECT: &str = concat!("connect the API key again on Bitrise (", key_settings!(), ")");

/// About a connected Apple ID whose session is of no use.
pub(crate) const RE_AUTHENTICATE: &str =
    "re-authenticate the Apple ID on Bitrise (Account settings > Apple Service connection > Re-authenticate)";

/// About a pasted session that is of no use.
pub(crate) const NEW_SESSION: &str =
    "make a new one with `fastlane spaceauth -u <Apple ID>` and paste all that it prints";
