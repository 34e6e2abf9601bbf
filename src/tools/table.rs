//! The tools and the environment variables that they read, according to their documentation and sources.
//!
//! To add a tool, see `CONTRIBUTING.md`.

use super::VariableGroup::{AllOrNone, Any, Extra};
use super::output_value::OutputValue::{
    AppId, AppPassword, ConnectionJson, ConnectionUrl, CredentialSource, CredentialsFolder, Email,
    EnterpriseTrueFalse, EnterpriseYesNo, FalseForApiKey, FastlaneDevicesPath, FastlaneKeyPath,
    IndividualKeyType, IssuerId, ItcTeamId, KeyFileReference, KeyFolder, KeyId, KeyPath, KeyUrl, Method,
    OneForAppleId, Password, PhoneNumber, RcodesignKeyPath, SessionCookies, SessionExpiry, TeamId, TeamType,
    Token, TokenExpiry, UdidListPath, Verified,
};
use super::{Output, Tool};

/// The result of a run. `action: check` exports nothing else.
pub const RESULT: &[Output] = &[
    ("APPLE_AUTH_METHOD", Method),
    ("APPLE_AUTH_SOURCE", CredentialSource),
    ("APPLE_AUTH_VERIFIED", Verified),
    ("APPLE_APP_ID", AppId),
    ("APPLE_SESSION_EXPIRES_AT", SessionExpiry),
];

/// For the workflow itself, independent of `export_for`.
pub const WORKFLOW: &[Output] = &[
    ("APPLE_TEST_DEVICES_PATH", FastlaneDevicesPath),
    ("APPLE_TEST_DEVICE_LIST_PATH", UdidListPath),
    ("APP_STORE_CONNECT_TOKEN", Token),
    ("APP_STORE_CONNECT_TOKEN_EXPIRES_AT", TokenExpiry),
    ("APPLE_CREDENTIALS_DIR", CredentialsFolder),
];

/// All tools, in the order of `step.yml`.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "bitrise",
        aliases: &["notarytool"],
        readers: "Bitrise Steps with inputs for an API key, notarytool, scripts",
        variables: &[Any(&[
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
        variables: &[AllOrNone(&[
            ("APPLE_API_KEY_PATH", KeyPath),
            ("APPLE_API_KEY_ID", KeyId),
            ("APPLE_API_ISSUER", IssuerId),
        ])],
    },
    Tool {
        name: "xcode",
        aliases: &["altool"],
        readers: "altool",
        variables: &[Any(&[("API_PRIVATE_KEYS_DIR", KeyFolder)])],
    },
    // Separate from fastlane, which rejects this variable in lanes that pass `api_key`.
    Tool {
        name: "fastlane_api_key_path",
        aliases: &[],
        readers: "fastlane's actions with the option `api_key_path`, in lanes that do not pass `api_key`",
        variables: &[Any(&[("APP_STORE_CONNECT_API_KEY_PATH", FastlaneKeyPath)])],
    },
    Tool {
        name: "fastlane",
        aliases: &[],
        readers: "fastlane",
        variables: &[
            Any(&[
                ("APP_STORE_CONNECT_API_KEY_KEY_ID", KeyId),
                ("APP_STORE_CONNECT_API_KEY_ISSUER_ID", IssuerId),
                ("APP_STORE_CONNECT_API_KEY_KEY_FILEPATH", KeyPath),
                ("APP_STORE_CONNECT_API_KEY_IN_HOUSE", EnterpriseTrueFalse),
                ("PRECHECK_INCLUDE_IN_APP_PURCHASES", FalseForApiKey),
                ("FASTLANE_USER", Email),
                ("FASTLANE_PASSWORD", Password),
                ("FASTLANE_SESSION", SessionCookies),
                ("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD", AppPassword),
                ("SPACESHIP_SKIP_2FA_UPGRADE", OneForAppleId),
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
        variables: &[Any(&[
            ("APPLE_CONNECTION_URL", ConnectionUrl),
            ("BITRISE_PORTAL_DATA_JSON", ConnectionJson),
        ])],
    },
    Tool {
        name: "spaceship",
        aliases: &[],
        readers: "fastlane's library spaceship, without lanes",
        variables: &[Any(&[
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
        variables: &[Any(&[
            ("ASC_KEY_ID", KeyId),
            ("ASC_ISSUER_ID", IssuerId),
            ("ASC_PRIVATE_KEY_PATH", KeyPath),
            ("ASC_KEY_TYPE", IndividualKeyType),
        ])],
    },
    Tool {
        name: "codemagic",
        aliases: &[],
        readers: "Codemagic CLI tools",
        variables: &[AllOrNone(&[
            ("APP_STORE_CONNECT_KEY_IDENTIFIER", KeyId),
            ("APP_STORE_CONNECT_ISSUER_ID", IssuerId),
            ("APP_STORE_CONNECT_PRIVATE_KEY", KeyFileReference),
        ])],
    },
    // EAS CLI treats a key without an issuer as an individual key:
    // https://github.com/expo/eas-cli/blob/main/packages/eas-cli/src/credentials/ios/appstore/resolveCredentials.ts
    Tool {
        name: "expo",
        aliases: &["eas"],
        readers: "EAS CLI (Expo)",
        variables: &[
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
        variables: &[
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
        variables: &[
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
    // GoReleaser reads no variables itself. These are the names in the templates of its documentation.
    Tool {
        name: "goreleaser",
        aliases: &[],
        readers: "GoReleaser",
        variables: &[AllOrNone(&[
            ("MACOS_NOTARY_KEY", KeyPath),
            ("MACOS_NOTARY_KEY_ID", KeyId),
            ("MACOS_NOTARY_ISSUER_ID", IssuerId),
        ])],
    },
    // Without an issuer, quill signs a token that Apple rejects.
    Tool {
        name: "quill",
        aliases: &[],
        readers: "quill",
        variables: &[AllOrNone(&[
            ("QUILL_NOTARY_KEY", KeyPath),
            ("QUILL_NOTARY_KEY_ID", KeyId),
            ("QUILL_NOTARY_ISSUER", IssuerId),
        ])],
    },
    // rcodesign reads no variables: `rcodesign notary-submit --api-key-file "$APPLE_RCODESIGN_API_KEY_PATH"`.
    Tool {
        name: "rcodesign",
        aliases: &[],
        readers: "rcodesign",
        variables: &[Any(&[("APPLE_RCODESIGN_API_KEY_PATH", RcodesignKeyPath)])],
    },
];
