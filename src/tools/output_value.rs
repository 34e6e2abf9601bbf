//! What an output can say.

use crate::credential::Credential;

use OutputValue::{
    ApiKeyFalse, AppId, AppPassword, AppleIdOne, ConnectionJson, ConnectionUrl, CredentialSource,
    CredentialsFolder, DeviceList, Devices, Email, EnterpriseTrueFalse, EnterpriseYesNo, FastlaneKeyPath,
    IndividualWord, IssuerId, ItcTeamId, KeyFileReference, KeyFolder, KeyId, KeyPath, KeyUrl, Method,
    Password, PhoneNumber, RcodesignKeyPath, SessionCookies, SessionEnd, TeamId, TeamType, Token, TokenEnd,
    Verified,
};

/// What an output can say. Each is there or not, depending on the credential in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputValue {
    Method,
    CredentialSource,
    Verified,
    CredentialsFolder,
    KeyPath,
    KeyUrl,
    KeyFolder,
    /// `@file:<path>`, as Codemagic's tools take a secret from a file.
    KeyFileReference,
    KeyId,
    IssuerId,
    /// `individual`, with a key that is.
    IndividualWord,
    EnterpriseYesNo,
    EnterpriseTrueFalse,
    /// `IN_HOUSE` or `COMPANY_OR_ORGANIZATION`: of its team types, EAS CLI only tells the first
    /// from the others.
    TeamType,
    FastlaneKeyPath,
    RcodesignKeyPath,
    /// With any API key.
    ApiKeyFalse,
    Email,
    Password,
    SessionCookies,
    AppPassword,
    /// With any Apple ID.
    AppleIdOne,
    /// Input `team_id`.
    TeamId,
    /// Input `itc_team_id`.
    ItcTeamId,
    /// The number of the app that input `bundle_id` names.
    AppId,
    PhoneNumber,
    SessionEnd,
    ConnectionUrl,
    ConnectionJson,
    Devices,
    DeviceList,
    Token,
    TokenEnd,
}

/// What a tool logs in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    TeamKey,
    /// A key without an issuer.
    IndividualKey,
    AppleId,
}

impl Login {
    pub const ALL: [Self; 3] = [Self::TeamKey, Self::IndividualKey, Self::AppleId];

    /// What this credential is.
    #[must_use]
    pub fn of(credential: &Credential) -> Self {
        match credential {
            Credential::ApiKey(key) if key.issuer().is_some() => Self::TeamKey,
            Credential::ApiKey(_) => Self::IndividualKey,
            Credential::AppleId(_) => Self::AppleId,
        }
    }
}

impl OutputValue {
    /// The credentials that can have it; all of them, for what is no credential's.
    #[must_use]
    pub fn logins(self) -> &'static [Login] {
        match self {
            KeyPath | KeyUrl | KeyFolder | KeyFileReference | KeyId | EnterpriseYesNo
            | EnterpriseTrueFalse | TeamType | FastlaneKeyPath | ApiKeyFalse | AppId | Token | TokenEnd => {
                &[Login::TeamKey, Login::IndividualKey]
            }
            IssuerId | RcodesignKeyPath => &[Login::TeamKey],
            IndividualWord => &[Login::IndividualKey],
            // The connection's format has no key without an issuer.
            ConnectionUrl | ConnectionJson => &[Login::TeamKey, Login::AppleId],
            Email | Password | SessionCookies | AppPassword | AppleIdOne | SessionEnd => &[Login::AppleId],
            Method | CredentialSource | Verified | CredentialsFolder | TeamId | ItcTeamId | PhoneNumber
            | Devices | DeviceList => &Login::ALL,
        }
    }

    /// What has to be there for it beside the credential as such, and where to set it.
    #[must_use]
    pub fn condition(self) -> Option<&'static str> {
        match self {
            Password => Some("a password (`password`)"),
            AppPassword => Some("an app-specific password (`app_password`)"),
            SessionCookies => Some("a session (`fastlane_session`)"),
            SessionEnd => Some("a session whose end is known"),
            TeamId => Some("`team_id`"),
            ItcTeamId => Some("`itc_team_id`"),
            AppId => Some("`bundle_id`, where Apple has such an app"),
            PhoneNumber => Some("`sms_default_phone_number`"),
            Devices | DeviceList => Some("test devices in the connection"),
            Token | TokenEnd => Some("`export_token`"),
            CredentialsFolder => Some("a file in it"),
            _ => None,
        }
    }

    /// Whether who reads it has the secret of a credential, or the place where it is, and not only
    /// what describes one.
    #[must_use]
    pub(crate) fn leads_to_secret(self) -> bool {
        match self {
            KeyPath | KeyUrl | KeyFolder | KeyFileReference | FastlaneKeyPath | RcodesignKeyPath
            | ConnectionUrl => true,
            fact => fact.is_secret(),
        }
    }

    /// Whether the Bitrise CLI redacts it in later Steps' logs. Nothing else is: a redacted
    /// `false` or path makes logs unreadable.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Password | SessionCookies | AppPassword | ConnectionJson | Token)
    }
}
