//! The values that outputs can have.

use crate::apple::api_key::{KeyKind, is_uuid};
use crate::apple::bundle_id::is_app_id;
use crate::apple::team::{is_team_id, is_usual_provider_id};
use crate::credential::CredentialKind;
use crate::redact::{self, Text, is_usual_key_id};

/// The files that outputs point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `AuthKey_<ID>.p8`, or `ApiKey_<ID>.p8`
    PrivateKey,
    FastlaneKey,
    RcodesignKey,
    /// The credential in the connection's format.
    Connection,
    /// For fastlane's `register_devices`.
    FastlaneDevices,
    /// UDIDs separated by commas, for Bitrise's input `test_device_list_path`.
    UdidList,
}

/// The value of an output. [`Self::kinds`] and [`Self::condition`] say when it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputValue {
    Method,
    CredentialSource,
    Verified,
    CredentialsFolder,
    Path(FileKind),
    /// `file://<path>`
    Url(FileKind),
    KeyFolder,
    /// `@file:<path>`, the form in which Codemagic's tools read a secret from a file.
    KeyFileReference,
    KeyId,
    IssuerId,
    /// `individual`, for an individual key.
    IndividualKeyType,
    EnterpriseYesNo,
    EnterpriseTrueFalse,
    /// `IN_HOUSE` or `COMPANY_OR_ORGANIZATION`: EAS CLI treats all of its team types except `IN_HOUSE` alike.
    TeamType,
    /// `false`, for any API key.
    FalseForApiKey,
    Email,
    Password,
    SessionCookies,
    AppPassword,
    /// `1`, for any Apple ID.
    OneForAppleId,
    /// Input `team_id`.
    TeamId,
    /// Input `itc_team_id`.
    ItcTeamId,
    /// The App Store Connect number of the app in input `bundle_id`.
    AppId,
    PhoneNumber,
    SessionExpiry,
    ConnectionJson,
    Token,
    TokenExpiry,
}

/// Whether and how logs show a value.
#[derive(Debug, Clone, Copy)]
enum Visibility {
    /// The Bitrise CLI redacts it in the logs of later Steps, and the Step's own log hides it.
    Secret,
    /// A path or URL that leads to the secret of a credential.
    LeadsToSecret,
    /// The log and the summary show the text that the function returns.
    Public(fn(&str) -> Text),
}

const TEAM_KEY: &[CredentialKind] = &[CredentialKind::ApiKey(KeyKind::Team)];
const INDIVIDUAL_KEY: &[CredentialKind] = &[CredentialKind::ApiKey(KeyKind::Individual)];
const ANY_KEY: &[CredentialKind] =
    &[CredentialKind::ApiKey(KeyKind::Team), CredentialKind::ApiKey(KeyKind::Individual)];
const APPLE_ID: &[CredentialKind] = &[CredentialKind::AppleId];
/// The kinds that can be in a connection, whose format has no individual keys.
const CONNECTABLE: &[CredentialKind] = &[CredentialKind::ApiKey(KeyKind::Team), CredentialKind::AppleId];
const ANY_KIND: &[CredentialKind] = &CredentialKind::ALL;

impl OutputValue {
    /// How logs show the value, the kinds of credentials that can have it, and what it needs besides the
    /// credential.
    fn properties(self) -> (Visibility, &'static [CredentialKind], Option<&'static str>) {
        use Visibility::{LeadsToSecret, Public, Secret};
        // For the Step's own words, dates, and a phone number, whose form is checked elsewhere.
        let verbatim = Public(|value| redact::checked(value, |_| true));
        match self {
            Self::Method | Self::CredentialSource | Self::Verified => (verbatim, ANY_KIND, None),
            Self::CredentialsFolder => {
                (Public(redact::own_path), ANY_KIND, Some("an output that points to a file"))
            }
            Self::Path(file) | Self::Url(file) => match file {
                FileKind::PrivateKey | FileKind::FastlaneKey => (LeadsToSecret, ANY_KEY, None),
                FileKind::RcodesignKey => (LeadsToSecret, TEAM_KEY, None),
                FileKind::Connection => (LeadsToSecret, CONNECTABLE, None),
                FileKind::FastlaneDevices | FileKind::UdidList => {
                    (Public(redact::own_path), ANY_KIND, Some("test devices in the connection"))
                }
            },
            Self::KeyFolder | Self::KeyFileReference => (LeadsToSecret, ANY_KEY, None),
            Self::KeyId => (Public(|id| redact::checked(id, is_usual_key_id)), ANY_KEY, None),
            Self::IssuerId => (Public(|id| redact::checked(id, is_uuid)), TEAM_KEY, None),
            Self::IndividualKeyType => (verbatim, INDIVIDUAL_KEY, None),
            Self::EnterpriseYesNo | Self::EnterpriseTrueFalse | Self::TeamType | Self::FalseForApiKey => {
                (verbatim, ANY_KEY, None)
            }
            Self::Email => (Public(redact::email), APPLE_ID, None),
            Self::Password => (Secret, APPLE_ID, Some("a password (`password`)")),
            Self::SessionCookies => (Secret, APPLE_ID, Some("a session (`fastlane_session`)")),
            Self::AppPassword => (Secret, APPLE_ID, Some("an app-specific password (`app_password`)")),
            Self::OneForAppleId => (verbatim, APPLE_ID, None),
            Self::SessionExpiry => (verbatim, APPLE_ID, Some("a session whose expiry is known")),
            Self::TeamId => (Public(|id| redact::checked(id, is_team_id)), ANY_KIND, Some("`team_id`")),
            Self::ItcTeamId => {
                (Public(|id| redact::checked(id, is_usual_provider_id)), ANY_KIND, Some("`itc_team_id`"))
            }
            Self::AppId => {
                (Public(|id| redact::checked(id, is_app_id)), ANY_KEY, Some("`bundle_id`, if the app exists"))
            }
            Self::PhoneNumber => (verbatim, ANY_KIND, Some("`sms_default_phone_number`")),
            Self::ConnectionJson => (Secret, CONNECTABLE, None),
            Self::Token => (Secret, ANY_KEY, Some("`export_token`")),
            Self::TokenExpiry => (verbatim, ANY_KEY, Some("`export_token`")),
        }
    }

    /// Whether the Bitrise CLI redacts the value in the logs of later Steps.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self.properties(), (Visibility::Secret, ..))
    }

    /// Whether the value is the secret of a credential, or leads to it.
    pub(crate) fn leads_to_secret(self) -> bool {
        !matches!(self.properties(), (Visibility::Public(_), ..))
    }

    /// How the log and the summary show the value.
    pub(crate) fn shown(self, value: &str) -> Text {
        match self.properties() {
            (Visibility::Secret, ..) => Text::hidden(),
            (Visibility::LeadsToSecret, ..) => redact::own_path(value),
            (Visibility::Public(to_text), ..) => to_text(value),
        }
    }

    /// The kinds of credentials that can have the value: all kinds, if it doesn't depend on the credential.
    #[must_use]
    pub fn kinds(self) -> &'static [CredentialKind] {
        let (_, kinds, _) = self.properties();
        kinds
    }

    /// What the value needs besides the credential, and where to set it.
    #[must_use]
    pub fn condition(self) -> Option<&'static str> {
        let (_, _, condition) = self.properties();
        condition
    }
}
