//! Which credential a run uses, and where it comes from.

use std::fmt;

use secrecy::SecretString;

use crate::apple::api_key::ApiKey;
use crate::apple::session::Session;

/// What later Steps and tools authenticate with.
#[derive(Debug, Clone)]
pub enum Credential {
    ApiKey(ApiKey),
    AppleId(AppleId),
}

impl Credential {
    /// Its passwords and cookies.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let apple_id = match self {
            Self::ApiKey(_) => None,
            Self::AppleId(apple_id) => Some(apple_id),
        };
        apple_id.into_iter().flat_map(|apple_id| {
            let passwords = [&apple_id.password, &apple_id.app_password].into_iter().flatten();
            let cookies = apple_id.session.iter().flat_map(|session| &session.cookies);
            passwords.chain(cookies.map(|cookie| &cookie.value))
        })
    }
}

/// An Apple ID and what is known to log it in.
#[derive(Debug, Clone)]
pub struct AppleId {
    pub email: SecretString,
    pub password: Option<SecretString>,
    pub app_password: Option<SecretString>,
    pub session: Option<Session>,
}

/// The place that a credential comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Connection,
    Config,
}

/// The two kinds of credential, before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ApiKey,
    AppleId,
}

/// A credential with its provenance.
#[derive(Debug, Clone)]
pub struct ResolvedCredential {
    pub credential: Credential,
    pub source: Source,
}

/// The developer-connection toggle, input `connection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toggle {
    Automatic,
    ApiKey,
    AppleId,
    Off,
}

impl Toggle {
    /// What is tried, in this order; the first that exists is used.
    #[must_use]
    pub fn order(self) -> &'static [(Source, Kind)] {
        use Source::{Config, Connection};
        match self {
            Self::Automatic => &[
                (Connection, Kind::ApiKey),
                (Connection, Kind::AppleId),
                (Config, Kind::ApiKey),
                (Config, Kind::AppleId),
            ],
            Self::ApiKey => &[(Connection, Kind::ApiKey)],
            Self::AppleId => &[(Connection, Kind::AppleId)],
            Self::Off => &[(Config, Kind::ApiKey), (Config, Kind::AppleId)],
        }
    }

    /// As the user types it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::ApiKey => "api_key",
            Self::AppleId => "apple_id",
            Self::Off => "off",
        }
    }

    /// Whether a source takes part at all.
    #[must_use]
    pub fn uses(self, source: Source) -> bool {
        self.order().iter().any(|(used, _)| *used == source)
    }
}

impl crate::redact::Show for Toggle {}

impl fmt::Display for Toggle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Kind::{ApiKey, AppleId};
    use super::Source::{Config, Connection};
    use super::*;

    #[test]
    fn the_order_of_each_toggle_is_that_of_the_documentation() {
        let automatic = [(Connection, ApiKey), (Connection, AppleId), (Config, ApiKey), (Config, AppleId)];
        assert_eq!(Toggle::Automatic.order(), automatic);
        assert_eq!(Toggle::ApiKey.order(), [(Connection, ApiKey)]);
        assert_eq!(Toggle::AppleId.order(), [(Connection, AppleId)]);
        assert_eq!(Toggle::Off.order(), [(Config, ApiKey), (Config, AppleId)]);
    }
}
