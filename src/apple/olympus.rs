//! The session check of App Store Connect's website, which fastlane makes too.
//!
//! Source: `olympus/v1/session` in <https://github.com/fastlane/fastlane/blob/master/spaceship/lib/spaceship/client.rb>

use serde::Deserialize;

/// The path of the check.
pub(crate) const SESSION: &[&str] = &["olympus", "v1", "session"];

/// What it answers with 200.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionStatus {
    /// The team that is selected; absent when the session is not logged in.
    pub(crate) provider: Option<Provider>,
    /// All teams of the account.
    #[serde(default)]
    pub(crate) available_providers: Option<Vec<Provider>>,
    /// Whose the session is.
    pub(crate) user: Option<User>,
}

/// A team in App Store Connect.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    pub(crate) provider_id: u64,
    pub(crate) name: String,
}

/// The account.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) email_address: Option<String>,
}
