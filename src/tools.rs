//! The tools that outputs are exported for, input `export_for`, and the names that each reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::credential::Kind;

use Fact::{
    ApiKeyFalse, AppPassword, AppleIdOne, ConnectionJson, ConnectionUrl, CredentialSource, CredentialsFolder,
    DeviceList, Devices, Email, EnterpriseTrueFalse, EnterpriseYesNo, FastlaneKeyPath, IssuerId,
    KeyFileReference, KeyFolder, KeyId, KeyPath, KeyUrl, Method, Password, PhoneNumber, SessionCookies,
    SessionEnd, Token, TokenEnd, Verified,
};

/// A tool, or a group of tools that read the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    Bitrise,
    Fastlane,
    Xcode,
    Connection,
    Spaceship,
    Asc,
    Codemagic,
    Expo,
    Tauri,
    Electron,
}

impl Tool {
    pub const ALL: [Self; 10] = [
        Self::Bitrise,
        Self::Fastlane,
        Self::Xcode,
        Self::Connection,
        Self::Spaceship,
        Self::Asc,
        Self::Codemagic,
        Self::Expo,
        Self::Tauri,
        Self::Electron,
    ];

    /// As the user types it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// Who reads its names.
    #[must_use]
    pub fn readers(self) -> &'static str {
        self.about().readers
    }

    /// Whether it can log in with an Apple ID; with a team's API key, all can.
    #[must_use]
    pub fn takes_apple_id(self) -> bool {
        self.about().apple_id
    }

    /// Whether it can use a key without an issuer.
    #[must_use]
    pub fn takes_individual_key(self) -> bool {
        self.about().individual_key
    }

    /// One row a tool.
    fn about(self) -> About {
        let about = |name, readers| About { name, readers, apple_id: false, individual_key: true };
        match self {
            Self::Bitrise => about("bitrise", "Bitrise Steps, notarytool, xcodebuild, scripts"),
            Self::Fastlane => About { apple_id: true, ..about("fastlane", "fastlane") },
            Self::Xcode => about("xcode", "altool"),
            // The connection's format has no key without an issuer.
            Self::Connection => About {
                apple_id: true,
                individual_key: false,
                ..about("connection", "Bitrise Steps that only know the connection")
            },
            Self::Spaceship => about("spaceship", "fastlane spaceship"),
            Self::Asc => about("asc", "asc (App Store Connect CLI)"),
            Self::Codemagic => about("codemagic", "Codemagic CLI tools"),
            Self::Expo => about("expo", "EAS CLI (Expo)"),
            Self::Tauri => about("tauri", "Tauri"),
            Self::Electron => about("electron", "electron-builder, @electron/notarize"),
        }
    }
}

struct About {
    name: &'static str,
    readers: &'static str,
    apple_id: bool,
    individual_key: bool,
}

/// Reads a list separated by commas, blanks or newlines.
///
/// # Errors
/// The place in the list, from 1, of the first name that is no tool's.
pub fn parse_list(list: &str) -> Result<BTreeSet<Tool>, usize> {
    let names = list.split(|c: char| c == ',' || c.is_whitespace()).filter(|name| !name.is_empty());
    names
        .zip(1..)
        .map(|(name, place)| Tool::ALL.into_iter().find(|tool| tool.name() == name).ok_or(place))
        .collect()
}

/// One row: a name that later Steps see, for which tool, and what it says.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub name: &'static str,
    /// `None`: for the workflow itself, always exported where it applies.
    pub tool: Option<Tool>,
    pub fact: Fact,
}

/// What an output can say. Each is there or not, depending on the credential in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
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
    EnterpriseYesNo,
    EnterpriseTrueFalse,
    FastlaneKeyPath,
    /// With any API key.
    ApiKeyFalse,
    Email,
    Password,
    SessionCookies,
    AppPassword,
    /// With any Apple ID.
    AppleIdOne,
    PhoneNumber,
    SessionEnd,
    ConnectionUrl,
    ConnectionJson,
    Devices,
    DeviceList,
    Token,
    TokenEnd,
}

/// All outputs, in the order of `step.yml`. A tool is added by adding rows.
pub const TABLE: &[Output] = &[
    always("APPLE_AUTH_METHOD", Method),
    always("APPLE_AUTH_SOURCE", CredentialSource),
    always("APPLE_AUTH_VERIFIED", Verified),
    row(Tool::Bitrise, "APPLE_API_KEY_PATH", KeyPath),
    row(Tool::Bitrise, "APPLE_API_KEY_URL", KeyUrl),
    row(Tool::Bitrise, "APPLE_API_KEY_ID", KeyId),
    row(Tool::Bitrise, "APPLE_API_ISSUER", IssuerId),
    row(Tool::Bitrise, "APPLE_API_KEY_ENTERPRISE", EnterpriseYesNo),
    row(Tool::Xcode, "API_PRIVATE_KEYS_DIR", KeyFolder),
    row(Tool::Fastlane, "APP_STORE_CONNECT_API_KEY_PATH", FastlaneKeyPath),
    row(Tool::Fastlane, "APP_STORE_CONNECT_API_KEY_KEY_ID", KeyId),
    row(Tool::Fastlane, "APP_STORE_CONNECT_API_KEY_ISSUER_ID", IssuerId),
    row(Tool::Fastlane, "APP_STORE_CONNECT_API_KEY_KEY_FILEPATH", KeyPath),
    row(Tool::Fastlane, "APP_STORE_CONNECT_API_KEY_IN_HOUSE", EnterpriseTrueFalse),
    row(Tool::Fastlane, "PRECHECK_INCLUDE_IN_APP_PURCHASES", ApiKeyFalse),
    row(Tool::Fastlane, "FASTLANE_USER", Email),
    row(Tool::Fastlane, "FASTLANE_PASSWORD", Password),
    row(Tool::Fastlane, "FASTLANE_SESSION", SessionCookies),
    row(Tool::Fastlane, "FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD", AppPassword),
    row(Tool::Fastlane, "SPACESHIP_SKIP_2FA_UPGRADE", AppleIdOne),
    row(Tool::Fastlane, "SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER", PhoneNumber),
    always("APPLE_SESSION_EXPIRES_AT", SessionEnd),
    row(Tool::Connection, "APPLE_CONNECTION_URL", ConnectionUrl),
    row(Tool::Connection, "BITRISE_PORTAL_DATA_JSON", ConnectionJson),
    row(Tool::Spaceship, "SPACESHIP_CONNECT_API_KEY_ID", KeyId),
    row(Tool::Spaceship, "SPACESHIP_CONNECT_API_ISSUER_ID", IssuerId),
    row(Tool::Spaceship, "SPACESHIP_CONNECT_API_KEY_FILEPATH", KeyPath),
    row(Tool::Spaceship, "SPACESHIP_CONNECT_API_IN_HOUSE", EnterpriseTrueFalse),
    row(Tool::Asc, "ASC_KEY_ID", KeyId),
    row(Tool::Asc, "ASC_ISSUER_ID", IssuerId),
    row(Tool::Asc, "ASC_PRIVATE_KEY_PATH", KeyPath),
    row(Tool::Codemagic, "APP_STORE_CONNECT_KEY_IDENTIFIER", KeyId),
    row(Tool::Codemagic, "APP_STORE_CONNECT_ISSUER_ID", IssuerId),
    row(Tool::Codemagic, "APP_STORE_CONNECT_PRIVATE_KEY", KeyFileReference),
    row(Tool::Expo, "EXPO_ASC_KEY_ID", KeyId),
    row(Tool::Expo, "EXPO_ASC_ISSUER_ID", IssuerId),
    row(Tool::Expo, "EXPO_ASC_API_KEY_PATH", KeyPath),
    row(Tool::Tauri, "APPLE_API_KEY", KeyId),
    row(Tool::Tauri, "APPLE_API_ISSUER", IssuerId),
    row(Tool::Tauri, "APPLE_API_KEY_PATH", KeyPath),
    row(Tool::Electron, "APPLE_API_KEY", KeyPath),
    row(Tool::Electron, "APPLE_API_KEY_ID", KeyId),
    row(Tool::Electron, "APPLE_API_ISSUER", IssuerId),
    always("APPLE_TEST_DEVICES_PATH", Devices),
    always("APPLE_TEST_DEVICE_LIST_PATH", DeviceList),
    always("APP_STORE_CONNECT_TOKEN", Token),
    always("APP_STORE_CONNECT_TOKEN_EXPIRES_AT", TokenEnd),
    always("APPLE_CREDENTIALS_DIR", CredentialsFolder),
];

const fn row(tool: Tool, name: &'static str, fact: Fact) -> Output {
    Output { name, tool: Some(tool), fact }
}

const fn always(name: &'static str, fact: Fact) -> Output {
    Output { name, tool: None, fact }
}

impl Fact {
    /// The kind of credential that it leads to, if it leads to one: to the secret itself, and not
    /// only to what describes it. What holds either kind leads to that of the run that set it.
    #[must_use]
    pub(crate) fn leads_to(self) -> Option<Kind> {
        match self {
            KeyPath | KeyUrl | KeyFolder | KeyFileReference | FastlaneKeyPath | Token => Some(Kind::ApiKey),
            Password | SessionCookies | AppPassword => Some(Kind::AppleId),
            _ => None,
        }
    }

    /// Whether the Bitrise CLI redacts it in later Steps' logs. Nothing else is: a redacted
    /// `false` or path makes logs unreadable.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Password | SessionCookies | AppPassword | ConnectionJson | Token)
    }
}

/// The rows for the chosen tools.
pub fn chosen(tools: &BTreeSet<Tool>) -> impl Iterator<Item = &'static Output> {
    TABLE.iter().filter(|output| output.tool.is_none_or(|tool| tools.contains(&tool)))
}

/// A name that two of the tools want with different values, with the two.
#[must_use]
pub fn conflict(tools: &BTreeSet<Tool>) -> Option<(&'static str, Tool, Tool)> {
    let mut first: BTreeMap<&str, (Tool, Fact)> = BTreeMap::new();
    for output in chosen(tools) {
        let Some(tool) = output.tool else { continue };
        let (other, fact) = *first.entry(output.name).or_insert((tool, output.fact));
        if fact != output.fact {
            return Some((output.name, other, tool));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitrise::step_yml::StepYml;

    #[test]
    fn step_yml_declares_exactly_the_outputs_of_the_table_in_its_order() -> Result<(), serde_yaml::Error> {
        let step_yml = StepYml::embedded()?;
        let declared: Vec<_> = step_yml.outputs().map(|output| (output.name, output.is_sensitive)).collect();
        let mut exported: Vec<(&str, bool)> = Vec::new();
        for output in TABLE {
            if !exported.iter().any(|(name, _)| *name == output.name) {
                exported.push((output.name, output.fact.is_secret()));
            }
        }
        assert_eq!(declared, exported);
        Ok(())
    }

    #[test]
    fn only_tauri_and_electron_want_one_name_with_different_values() {
        for (at, one) in Tool::ALL.into_iter().enumerate() {
            for other in Tool::ALL.into_iter().skip(at + 1) {
                let conflict = conflict(&BTreeSet::from([one, other]));
                let expected = ((one, other) == (Tool::Tauri, Tool::Electron)).then_some((
                    "APPLE_API_KEY",
                    Tool::Tauri,
                    Tool::Electron,
                ));
                assert_eq!(conflict, expected, "{} and {}", one.name(), other.name());
            }
        }
    }

    #[test]
    fn a_list_is_separated_by_commas_blanks_or_newlines() {
        let expected = Ok(BTreeSet::from([Tool::Asc, Tool::Expo, Tool::Tauri]));
        for list in ["asc,expo,tauri", " tauri expo\nasc ", "asc,\n expo,, tauri,"] {
            assert_eq!(parse_list(list), expected, "{list:?}");
        }
        assert_eq!(parse_list("asc fastlan"), Err(2));
        assert_eq!(parse_list(" , "), Ok(BTreeSet::new()));
    }
}
