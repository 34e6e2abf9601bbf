//! What to do, where more than one part of the Step says it. Each ends a sentence, or is one without its full stop.

/// Where a defect of the Step is reported.
pub const ISSUES: &str = "https://github.com/bitrise-steplib/steps-apple-services-connection/issues";

/// About a connected API key that is of no use, as a sentence of its own: a key that is added again
/// is another one to the project.
pub(crate) const RECONNECT: &str = "Add the right key in Workspace settings > Integrations > App Store Connect, then select it in Project settings > Integrations > Stores";

/// About a connected Apple ID whose session is of no use.
pub(crate) const RE_AUTHENTICATE: &str =
    "re-authenticate the Apple ID on Bitrise (Account settings > Apple Service connection > Re-authenticate)";

/// About a pasted session that is of no use.
pub(crate) const NEW_SESSION: &str =
    "make a new one with `fastlane spaceauth -u <Apple ID>` and paste all that it prints";
