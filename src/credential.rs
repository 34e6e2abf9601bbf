//! Credentials, their kinds and sources, and the order in which the sources are tried.

use secrecy::SecretString;

use crate::apple::api_key::{ApiKey, KeyKind};
use crate::apple::session::Session;

/// Authenticates later Steps and tools with Apple.
#[derive(Debug, Clone)]
pub enum Credential {
    ApiKey(ApiKey),
    AppleId(AppleId),
}

impl Credential {
    #[must_use]
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::ApiKey(key) => CredentialKind::ApiKey(key.kind()),
            Self::AppleId(_) => CredentialKind::AppleId,
        }
    }

    /// The passwords and cookies of an Apple ID. A private key isn't needed: untrusted text that may hold one is hidden.
    pub(crate) fn secrets(&self) -> Vec<&SecretString> {
        let Self::AppleId(apple_id) = self else { return Vec::new() };
        let passwords = [&apple_id.password, &apple_id.app_password].into_iter().flatten();
        let cookies = apple_id.session.iter().flat_map(|session| &session.cookies);
        passwords.chain(cookies.map(|cookie| &cookie.value)).collect()
    }
}

/// An Apple ID with its passwords and its session.
#[derive(Debug, Clone)]
pub struct AppleId {
    pub email: SecretString,
    pub password: Option<SecretString>,
    pub app_password: Option<SecretString>,
    pub session: Option<Session>,
}

impl AppleId {
    /// Whether it has the account's own password or an app-specific one.
    pub(crate) fn has_password(&self) -> bool {
        self.password.is_some() || self.app_password.is_some()
    }
}

/// The kinds of credentials that tools distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    ApiKey(KeyKind),
    AppleId,
}

impl CredentialKind {
    pub const ALL: [Self; 3] =
        [Self::ApiKey(KeyKind::Team), Self::ApiKey(KeyKind::Individual), Self::AppleId];
}

/// How later Steps authenticate. Output `APPLE_AUTH_METHOD` has this value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    ApiKey,
    AppleId,
}

/// Where a credential comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Connection,
    Inputs,
}

/// The credential that a run uses.
#[derive(Debug, Clone)]
pub struct ResolvedCredential {
    pub credential: Credential,
    pub source: Source,
}

/// Input `connection`: whether to use the credential that is connected on Bitrise, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionMode {
    Automatic,
    ApiKey,
    AppleId,
    Off,
}

impl ConnectionMode {
    /// Where to search for which kind of credential, in order. The search ends at the first usable credential.
    #[must_use]
    pub fn order(self) -> &'static [(Source, Method)] {
        use Source::{Connection, Inputs};
        match self {
            Self::Automatic => &[
                (Connection, Method::ApiKey),
                (Connection, Method::AppleId),
                (Inputs, Method::ApiKey),
                (Inputs, Method::AppleId),
            ],
            Self::ApiKey => &[(Connection, Method::ApiKey)],
            Self::AppleId => &[(Connection, Method::AppleId)],
            Self::Off => &[(Inputs, Method::ApiKey), (Inputs, Method::AppleId)],
        }
    }

    /// The value of the input that selects this mode.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::ApiKey => "api_key",
            Self::AppleId => "apple_id",
            Self::Off => "off",
        }
    }

    /// Whether the search includes a source.
    #[must_use]
    pub fn uses(self, source: Source) -> bool {
        self.order().iter().any(|(used, _)| *used == source)
    }
}
