//! The session check of App Store Connect's website, which fastlane also uses.
//!
//! Source: `olympus/v1/session` in <https://github.com/fastlane/fastlane/blob/master/spaceship/lib/spaceship/client.rb>

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::app_store_connect::Object;

pub(crate) const SESSION_PATH: &[&str] = &["olympus", "v1", "session"];

/// The account that a session is logged in to, and its teams.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionStatus {
    provider: Option<Object<Provider>>,
    available_providers: Option<Vec<Object<Provider>>>,
    user: Option<Object<User>>,
    errors: Option<IgnoredAny>,
}

/// A team in App Store Connect, whose API calls teams "providers".
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    pub(crate) provider_id: u64,
    pub(crate) name: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    email_address: Option<String>,
}

impl SessionStatus {
    /// Reads the body of a response with status 200. Returns `None` if it isn't in Apple's format, which contains a
    /// team, or an account and its teams.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let status = serde_json::from_slice::<Object<Self>>(body).ok()?.fields;
        let has_account = status.email_address().is_some() && status.available_providers.is_some();
        (status.errors.is_none() && (status.provider.is_some() || has_account)).then_some(status)
    }

    pub(crate) fn email_address(&self) -> Option<&str> {
        self.user.as_ref()?.fields.email_address.as_deref()
    }

    /// The selected team; `None` if the session is not logged in to one.
    pub(crate) fn provider(&self) -> Option<&Provider> {
        self.provider.as_ref().map(|team| &team.fields)
    }

    /// Whether the response lists the account's teams.
    pub(crate) fn lists_providers(&self) -> bool {
        self.available_providers.iter().flatten().next().is_some()
    }

    /// All teams of the account. The selected team is the first one, even if it is missing from the response's list.
    pub(crate) fn providers(&self) -> Vec<&Provider> {
        let selected = self.provider();
        let listed = self.available_providers.iter().flatten().map(|team| &team.fields);
        let selected_id = selected.map(|team| team.provider_id);
        let others = listed.filter(|team| Some(team.provider_id) != selected_id);
        selected.into_iter().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_in_another_format_is_not_a_session_status() {
        let is_accepted = |body: &str| SessionStatus::read(body.as_bytes()).is_some();
        assert!(is_accepted(r#"{"provider": {"providerId": 7, "name": "x"}}"#));
        assert!(is_accepted(r#"{"user": {"emailAddress": "a@b.c"}, "availableProviders": []}"#));
        for foreign in [
            "{}",
            r#"{"user": {"emailAddress": "a@b.c"}}"#,
            r#"{"provider": [7, "x"]}"#,
            r#"{"provider": {"providerId": 7, "name": "x"}, "user": ["a@b.c"]}"#,
            r#"{"provider": {"providerId": 7, "name": "x"}, "errors": []}"#,
            r#"[{"providerId": 7, "name": "x"}, null, null, null]"#,
        ] {
            assert!(!is_accepted(foreign), "{foreign}");
        }
    }
}
