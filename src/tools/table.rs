//! The tools and the environment variables that they read, according to their documentation and sources.
//!
//! To add a tool, see `CONTRIBUTING.md`.

use super::FileKind::{Connection, FastlaneDevices, FastlaneKey, PrivateKey, RcodesignKey, UdidList};
use super::OutputValue::{
    AppId, AppPassword, ConnectionJson, CredentialSource, CredentialsFolder, Email, EnterpriseTrueFalse,
    EnterpriseYesNo, FalseForApiKey, IndividualKeyType, IssuerId, ItcTeamId, KeyFileReference, KeyFolder,
    KeyId, Method, OneForAppleId, Password, Path, PhoneNumber, SessionCookies, SessionExpiry, TeamId,
    TeamType, Token, TokenExpiry, Url, Verified,
};
use super::VariableGroup::{AllOrNone, Any, Extra};
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
    ("APPLE_TEST_DEVICES_PATH", Path(FastlaneDevices)),
    ("APPLE_TEST_DEVICE_LIST_PATH", Path(UdidList)),
    ("APP_STORE_CONNECT_TOKEN", Token),
    ("APP_STORE_CONNECT_TOKEN_EXPIRES_AT", TokenExpiry),
    ("APPLE_CREDENTIALS_DIR", CredentialsFolder),
];

/// All tools, in the order of `step.yml`.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "bitrise",
        aliases: &["notarytool"],
        variables: &[Any(&[
            ("APPLE_API_KEY_PATH", Path(PrivateKey)),
            ("APPLE_API_KEY_URL", Url(PrivateKey)),
            ("APPLE_API_KEY_ID", KeyId),
            ("APPLE_API_ISSUER", IssuerId),
            ("APPLE_API_KEY_ENTERPRISE", EnterpriseYesNo),
        ])],
    },
    Tool {
        name: "xcodebuild",
        aliases: &[],
        variables: &[AllOrNone(&[
            ("APPLE_API_KEY_PATH", Path(PrivateKey)),
            ("APPLE_API_KEY_ID", KeyId),
            ("APPLE_API_ISSUER", IssuerId),
        ])],
    },
    Tool { name: "xcode", aliases: &["altool"], variables: &[Any(&[("API_PRIVATE_KEYS_DIR", KeyFolder)])] },
    // Separate from fastlane, which rejects this variable in lanes that pass `api_key`.
    Tool {
        name: "fastlane_api_key_path",
        aliases: &[],
        variables: &[Any(&[("APP_STORE_CONNECT_API_KEY_PATH", Path(FastlaneKey))])],
    },
    Tool {
        name: "fastlane",
        aliases: &[],
        variables: &[
            Any(&[
                ("APP_STORE_CONNECT_API_KEY_KEY_ID", KeyId),
                ("APP_STORE_CONNECT_API_KEY_ISSUER_ID", IssuerId),
                ("APP_STORE_CONNECT_API_KEY_KEY_FILEPATH", Path(PrivateKey)),
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
        variables: &[Any(&[
            ("APPLE_CONNECTION_URL", Url(Connection)),
            ("BITRISE_PORTAL_DATA_JSON", ConnectionJson),
        ])],
    },
    Tool {
        name: "spaceship",
        aliases: &[],
        variables: &[Any(&[
            ("SPACESHIP_CONNECT_API_KEY_ID", KeyId),
            ("SPACESHIP_CONNECT_API_ISSUER_ID", IssuerId),
            ("SPACESHIP_CONNECT_API_KEY_FILEPATH", Path(PrivateKey)),
            ("SPACESHIP_CONNECT_API_IN_HOUSE", EnterpriseTrueFalse),
        ])],
    },
    Tool {
        name: "asc",
        aliases: &[],
        variables: &[Any(&[
            ("ASC_KEY_ID", KeyId),
            ("ASC_ISSUER_ID", IssuerId),
            ("ASC_PRIVATE_KEY_PATH", Path(PrivateKey)),
            ("ASC_KEY_TYPE", IndividualKeyType),
        ])],
    },
    Tool {
        name: "codemagic",
        aliases: &[],
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
        variables: &[
            Any(&[
                ("EXPO_ASC_KEY_ID", KeyId),
                ("EXPO_ASC_ISSUER_ID", IssuerId),
                ("EXPO_ASC_API_KEY_PATH", Path(PrivateKey)),
            ]),
            AllOrNone(&[("EXPO_APPLE_ID", Email), ("EXPO_APPLE_PASSWORD", Password)]),
            AllOrNone(&[("EXPO_APPLE_ID", Email), ("EXPO_APPLE_APP_SPECIFIC_PASSWORD", AppPassword)]),
            Extra(&[("EXPO_APPLE_TEAM_ID", TeamId), ("EXPO_APPLE_TEAM_TYPE", TeamType)]),
        ],
    },
    Tool {
        name: "tauri",
        aliases: &["cargo-packager"],
        variables: &[
            AllOrNone(&[
                ("APPLE_API_KEY", KeyId),
                ("APPLE_API_ISSUER", IssuerId),
                ("APPLE_API_KEY_PATH", Path(PrivateKey)),
            ]),
            AllOrNone(&[("APPLE_ID", Email), ("APPLE_PASSWORD", AppPassword), ("APPLE_TEAM_ID", TeamId)]),
        ],
    },
    Tool {
        name: "electron",
        aliases: &["electron-builder"],
        variables: &[
            AllOrNone(&[
                ("APPLE_API_KEY", Path(PrivateKey)),
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
        variables: &[AllOrNone(&[
            ("MACOS_NOTARY_KEY", Path(PrivateKey)),
            ("MACOS_NOTARY_KEY_ID", KeyId),
            ("MACOS_NOTARY_ISSUER_ID", IssuerId),
        ])],
    },
    // Without an issuer, quill signs a token that Apple rejects.
    Tool {
        name: "quill",
        aliases: &[],
        variables: &[AllOrNone(&[
            ("QUILL_NOTARY_KEY", Path(PrivateKey)),
            ("QUILL_NOTARY_KEY_ID", KeyId),
            ("QUILL_NOTARY_ISSUER", IssuerId),
        ])],
    },
    // rcodesign reads no variables: `rcodesign notary-submit --api-key-file "$APPLE_RCODESIGN_API_KEY_PATH"`.
    Tool {
        name: "rcodesign",
        aliases: &[],
        variables: &[Any(&[("APPLE_RCODESIGN_API_KEY_PATH", Path(RcodesignKey))])],
    },
];
