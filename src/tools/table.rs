//! The tools and the environment variables that they read, according to their documentation and sources.
//!
//! To add a tool, see `CONTRIBUTING.md`.

use super::Names::{AllOrNone, Any, Extra};
use super::output_value::OutputValue::{
    ApiKeyFalse, AppId, AppPassword, AppleIdOne, ConnectionJson, ConnectionUrl, CredentialSource,
    CredentialsFolder, DeviceList, Devices, Email, EnterpriseTrueFalse, EnterpriseYesNo, FastlaneKeyPath,
    IndividualWord, IssuerId, ItcTeamId, KeyFileReference, KeyFolder, KeyId, KeyPath, KeyUrl, Method,
    Password, PhoneNumber, RcodesignKeyPath, SessionCookies, SessionEnd, TeamId, TeamType, Token, TokenEnd,
    Verified,
};
use super::{Output, Tool};

/// The result of a run. `action: check` exports nothing else.
pub const RESULT: &[Output] = &[
    ("APPLE_AUTH_METHOD", Method),
    ("APPLE_AUTH_SOURCE", CredentialSource),
    ("APPLE_AUTH_VERIFIED", Verified),
    ("APPLE_APP_ID", AppId),
    ("APPLE_SESSION_EXPIRES_AT", SessionEnd),
];

/// For the workflow itself, independent of `export_for`.
pub const WORKFLOW: &[Output] = &[
    ("APPLE_TEST_DEVICES_PATH", Devices),
    ("APPLE_TEST_DEVICE_LIST_PATH", DeviceList),
    ("APP_STORE_CONNECT_TOKEN", Token),
    ("APP_STORE_CONNECT_TOKEN_EXPIRES_AT", TokenEnd),
    ("APPLE_CREDENTIALS_DIR", CredentialsFolder),
];

/// All tools, in the order of `step.yml`.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "bitrise",
        aliases: &["notarytool"],
        readers: "Bitrise Steps with inputs for an API key, notarytool, scripts",
        names: &[Any(&[
            ("APPLE_API_KEY_PATH", KeyPath),
            ("APPLE_API_KEY_URL", KeyUrl),
            ("APPLE_API_KEY_ID", KeyId),
            ("APPLE_API_ISSUER", IssuerId),
            ("APPLE_API_KEY_ENTERPRISE", EnterpriseYesNo),
        ])],
    },
    Tool {
        name: "xcodebuild",
        aliases: &[],
        readers: "xcodebuild",
        names: &[AllOrNone(&[
            ("APPLE_API_KEY_PATH", KeyPath),
            ("APPLE_API_KEY_ID", KeyId),
            ("APPLE_API_ISSUER", IssuerId),
        ])],
    },
    Tool {
        name: "xcode",
        aliases: &["altool"],
        readers: "altool",
        names: &[Any(&[("API_PRIVATE_KEYS_DIR", KeyFolder)])],
    },
    // Separate from fastlane, because fastlane rejects it in lanes that pass `api_key`.
    Tool {
        name: "fastlane_api_key_path",
        aliases: &[],
        readers: "fastlane's actions with the option `api_key_path`, in lanes that do not pass `api_key`",
        names: &[Any(&[("APP_STORE_CONNECT_API_KEY_PATH", FastlaneKeyPath)])],
    },
    Tool {
        name: "fastlane",
        aliases: &[],
        readers: "fastlane",
        names: &[
            Any(&[
                ("APP_STORE_CONNECT_API_KEY_KEY_ID", KeyId),
                ("APP_STORE_CONNECT_API_KEY_ISSUER_ID", IssuerId),
                ("APP_STORE_CONNECT_API_KEY_KEY_FILEPATH", KeyPath),
                ("APP_STORE_CONNECT_API_KEY_IN_HOUSE", EnterpriseTrueFalse),
                ("PRECHECK_INCLUDE_IN_APP_PURCHASES", ApiKeyFalse),
                ("FASTLANE_USER", Email),
                ("FASTLANE_PASSWORD", Password),
                ("FASTLANE_SESSION", SessionCookies),
                ("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD", AppPassword),
                ("SPACESHIP_SKIP_2FA_UPGRADE", AppleIdOne),
            ]),
            Extra(&[
                ("SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER", PhoneNumber),
                ("FASTLANE_TEAM_ID", TeamId),
                ("FASTLANE_ITC_TEAM_ID", ItcTeamId),
            ]),
        ],
    },
    Tool {
        name: "connection",
        aliases: &[],
        readers: "Bitrise Steps that only know the connection",
        names: &[Any(&[
            ("APPLE_CONNECTION_URL", ConnectionUrl),
            ("BITRISE_PORTAL_DATA_JSON", ConnectionJson),
        ])],
    },
    Tool {
        name: "spaceship",
        aliases: &[],
        readers: "fastlane's library spaceship, without lanes",
        names: &[Any(&[
            ("SPACESHIP_CONNECT_API_KEY_ID", KeyId),
            ("SPACESHIP_CONNECT_API_ISSUER_ID", IssuerId),
            ("SPACESHIP_CONNECT_API_KEY_FILEPATH", KeyPath),
            ("SPACESHIP_CONNECT_API_IN_HOUSE", EnterpriseTrueFalse),
        ])],
    },
    Tool {
        name: "asc",
        aliases: &[],
        readers: "asc (App Store Connect CLI)",
        names: &[Any(&[
            ("ASC_KEY_ID", KeyId),
            ("ASC_ISSUER_ID", IssuerId),
            ("ASC_PRIVATE_KEY_PATH", KeyPath),
            ("ASC_KEY_TYPE", IndividualWord),
        ])],
    },
    Tool {
        name: "codemagic",
        aliases: &[],
        readers: "Codemagic CLI tools",
        names: &[AllOrNone(&[
            ("APP_STORE_CONNECT_KEY_IDENTIFIER", KeyId),
            ("APP_STORE_CONNECT_ISSUER_ID", IssuerId),
            ("APP_STORE_CONNECT_PRIVATE_KEY", KeyFileReference),
        ])],
    },
    // It treats a key without an issuer as an individual key:
    // https://github.com/expo/eas-cli/blob/main/packages/eas-cli/src/credentials/ios/appstore/resolveCredentials.ts
    Tool {
        name: "expo",
        aliases: &["eas"],
        readers: "EAS CLI (Expo)",
        names: &[
            Any(&[
                ("EXPO_ASC_KEY_ID", KeyId),
                ("EXPO_ASC_ISSUER_ID", IssuerId),
                ("EXPO_ASC_API_KEY_PATH", KeyPath),
            ]),
            AllOrNone(&[("EXPO_APPLE_ID", Email), ("EXPO_APPLE_PASSWORD", Password)]),
            AllOrNone(&[("EXPO_APPLE_ID", Email), ("EXPO_APPLE_APP_SPECIFIC_PASSWORD", AppPassword)]),
            Extra(&[("EXPO_APPLE_TEAM_ID", TeamId), ("EXPO_APPLE_TEAM_TYPE", TeamType)]),
        ],
    },
    Tool {
        name: "tauri",
        aliases: &["cargo-packager"],
        readers: "Tauri, cargo-packager",
        names: &[
            AllOrNone(&[
                ("APPLE_API_KEY", KeyId),
                ("APPLE_API_ISSUER", IssuerId),
                ("APPLE_API_KEY_PATH", KeyPath),
            ]),
            AllOrNone(&[("APPLE_ID", Email), ("APPLE_PASSWORD", AppPassword), ("APPLE_TEAM_ID", TeamId)]),
        ],
    },
    Tool {
        name: "electron",
        aliases: &["electron-builder"],
        readers: "electron-builder",
        names: &[
            AllOrNone(&[
                ("APPLE_API_KEY", KeyPath),
                ("APPLE_API_KEY_ID", KeyId),
                ("APPLE_API_ISSUER", IssuerId),
            ]),
            AllOrNone(&[
                ("APPLE_ID", Email),
                ("APPLE_APP_SPECIFIC_PASSWORD", AppPassword),
                ("APPLE_TEAM_ID", TeamId),
            ]),
        ],
    },
    // It reads no variables. These are the names in the templates of its documentation.
    Tool {
        name: "goreleaser",
        aliases: &[],
        readers: "GoReleaser",
        names: &[AllOrNone(&[
            ("MACOS_NOTARY_KEY", KeyPath),
            ("MACOS_NOTARY_KEY_ID", KeyId),
            ("MACOS_NOTARY_ISSUER_ID", IssuerId),
        ])],
    },
    // Without an issuer, it signs a token that Apple rejects.
    Tool {
        name: "quill",
        aliases: &[],
        readers: "quill",
        names: &[AllOrNone(&[
            ("QUILL_NOTARY_KEY", KeyPath),
            ("QUILL_NOTARY_KEY_ID", KeyId),
            ("QUILL_NOTARY_ISSUER", IssuerId),
        ])],
    },
    // It reads no variables: `rcodesign notary-submit --api-key-file "$APPLE_RCODESIGN_API_KEY_PATH"`.
    Tool {
        name: "rcodesign",
        aliases: &[],
        readers: "rcodesign",
        names: &[Any(&[("APPLE_RCODESIGN_API_KEY_PATH", RcodesignKeyPath)])],
    },
];
