//! What to do, where more than one part of the Step says it. Each ends a sentence.

/// About a connected API key that is of no use.
pub const RECONNECT: &str =
    "connect the API key again on Bitrise (Workspace settings > Integrations > App Store Connect)";

/// About a connected Apple ID whose session is of no use.
pub const RE_AUTHENTICATE: &str =
    "re-authenticate the Apple ID on Bitrise (Account settings > Apple Service connection > Re-authenticate)";

/// About a pasted session that is of no use.
pub const NEW_SESSION: &str = "make a new one with `fastlane spaceauth -u <Apple ID>` and paste what it prints; when that ends in Spaceship::UnauthorizedAccessError, first set SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER to the trusted phone number in the form +81-80-1234-5678";
