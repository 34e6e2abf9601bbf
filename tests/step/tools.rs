//! Exports per tool, test devices, a token for scripts, individual keys.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use stand_in::Account;

use apple_services_connection::apple::api_key::KeyKind;
use apple_services_connection::credential::CredentialKind;
use apple_services_connection::tools::{TOOLS, Tool};
use test_support::snapshots::assert_messages;
use test_support::{
    CONNECTED_APP_PASSWORD, CONNECTED_KEY, CONNECTED_KEY_ID, CONNECTED_PASSWORD, INPUT_KEY, INPUT_KEY_ID,
    Outcome, SERVER, Step, account, account_of, all_tools_except, api_key, apple_id, claims, find_leak,
    merge, mode, names_in, spaceauth,
};

/// The outputs that no tool reads, in runs without `bundle_id`, test devices and a token.
const FOR_NO_TOOL: [&str; 5] = [
    "APPLE_AUTH_METHOD",
    "APPLE_AUTH_SOURCE",
    "APPLE_AUTH_VERIFIED",
    "APPLE_SESSION_EXPIRES_AT",
    "APPLE_CREDENTIALS_DIR",
];

fn run_for_tools(tools: &str) -> Outcome {
    Step::new().connected(&api_key()).set("export_for", tools).succeeds()
}

/// The outputs that tools read.
fn tool_outputs(outcome: &Outcome) -> BTreeMap<String, String> {
    let outputs = outcome.outputs().into_iter();
    outputs.filter(|(name, _)| !FOR_NO_TOOL.contains(&name.as_str())).collect()
}

fn list_credential_files(outcome: &Outcome) -> Vec<String> {
    let names = names_in(Path::new(&outcome.output("APPLE_CREDENTIALS_DIR")));
    names.into_iter().filter(|name| !name.starts_with('.')).collect()
}

#[test]
fn each_tool_gets_its_variables_and_only_their_files() {
    let mut messages = Vec::new();
    for tool in TOOLS {
        for (kind, step) in [
            ("a team key", Step::new().connected(&api_key())),
            ("an individual key", with_individual_key()),
            ("an Apple ID", with_apple_id_of_a_team()),
        ] {
            let outcome = step.set("export_for", tool.name).succeeds();
            let mut lines: Vec<_> = tool_outputs(&outcome)
                .iter()
                .map(|(name, value)| format!("{name}={}", without_secrets(value)))
                .collect();
            if outcome.get_output("APPLE_CREDENTIALS_DIR").is_some() {
                lines.push(format!("files: {}", list_credential_files(&outcome).join(", ")));
            }
            if lines.is_empty() {
                assert!(outcome.leftovers.is_empty(), "no file is needed: {:?}", outcome.leftovers);
                lines.push("nothing".to_owned());
            }
            messages.push((format!("{}, {kind}", tool.name), lines.join("\n")));
        }
    }
    assert_messages("tools/names", messages);
}

/// The value, or a placeholder for a secret.
fn without_secrets(value: &str) -> &str {
    match value {
        CONNECTED_PASSWORD => "[PASSWORD]",
        CONNECTED_APP_PASSWORD => "[APP_PASSWORD]",
        json if json.starts_with('{') => "[JSON]",
        yaml if yaml.starts_with("---") => "[SESSION]",
        plain => plain,
    }
}

#[test]
fn a_list_of_tools_is_separated_by_commas_semicolons_spaces_or_newlines() {
    let expected: Vec<String> = tool_outputs(&run_for_tools("asc,expo")).into_keys().collect();
    assert_eq!(expected.len(), 7, "the variables of asc and expo");
    for list in ["asc expo", "expo\nasc", " asc ,\n expo ,", "asc;expo", "; expo ;,asc;"] {
        assert_eq!(tool_outputs(&run_for_tools(list)).into_keys().collect::<Vec<_>>(), expected, "{list:?}");
    }
}

#[test]
fn aliases_and_capital_letters_name_the_same_tools() {
    for (alias, tool) in [
        ("cargo-packager", "tauri"),
        ("altool", "xcode"),
        ("notarytool", "bitrise"),
        ("XcodeBuild", "xcodebuild"),
        ("Electron-Builder", "electron"),
        ("EAS;altool", "expo xcode"),
    ] {
        let names = |tools| tool_outputs(&run_for_tools(tools)).into_keys().collect::<Vec<_>>();
        assert_eq!(names(alias), names(tool), "{alias}");
    }
}

/// fastlane rejects `api_key_path` if `api_key` is also set, so users can leave the path out.
#[test]
fn the_path_that_conflicts_with_api_key_is_exported_by_default_and_can_be_left_out() {
    const CONFLICTING: &str = "APP_STORE_CONNECT_API_KEY_PATH";
    let mut default_outputs = tool_outputs(&Step::new().connected(&api_key()).succeeds());
    assert!(default_outputs.remove(CONFLICTING).is_some());
    let without = run_for_tools("bitrise,fastlane,xcode");
    assert!(default_outputs.into_keys().eq(tool_outputs(&without).into_keys()));
    assert_eq!(list_credential_files(&without), [format!("AuthKey_{CONNECTED_KEY_ID}.p8")]);
}

#[test]
fn an_empty_list_or_an_unknown_tool_is_an_error_that_lists_or_suggests_tools() {
    let lists = [
        "",
        " , ;",
        "bitrise fastlan",
        "cargo-packer,Tauri,ascc",
        "canary-secret",
        "bitrise,canary-secret fastlan",
        "canary-a canary-b canary-c canary-d canary-e",
    ];
    let messages = lists.map(|list| {
        (format!("{list:?}"), Step::new().set("export_for", list).secret("canary").fails().error())
    });
    assert_messages("tools/unknown", messages);
}

#[test]
fn two_tools_that_expect_different_values_in_one_variable_are_an_error() {
    let error = Step::new().connected(&api_key()).set("export_for", "tauri,electron").fails().error();
    assert_messages("tools/one_name_two_values", [("export_for is tauri,electron", error)]);
    // No other two tools conflict. Some share a variable, but expect the same value in it.
    for other in ["tauri", "electron"] {
        run_for_tools(&all_tools_except(other));
    }
    // With an Apple ID, tauri and electron expect the same values.
    let both = with_apple_id_of_a_team().set("export_for", "tauri,electron").succeeds();
    let names: Vec<_> = tool_outputs(&both).into_keys().collect();
    assert_eq!(names, ["APPLE_APP_SPECIFIC_PASSWORD", "APPLE_ID", "APPLE_PASSWORD", "APPLE_TEAM_ID"]);
}

#[test]
fn a_tool_that_cannot_use_the_credential_gets_nothing_and_a_warning_names_it() {
    let tools = all_tools_except("electron");
    let of_an_apple_id = with_apple_id_of_a_team().set("export_for", &tools).succeeds();
    let of_an_individual_key = with_individual_key().set("export_for", &tools).succeeds();
    let electron = with_individual_key().set("export_for", "electron").succeeds();
    assert_eq!(tool_outputs(&electron), BTreeMap::new());
    let messages = [
        ("an Apple ID", &of_an_apple_id),
        ("an individual key", &of_an_individual_key),
        ("an individual key, for electron", &electron),
    ];
    let messages = messages.map(|(what, outcome)| (what, outcome.warnings().join("\n")));
    assert_messages("tools/cannot_use", messages);
    for (outcome, kind) in [
        (&of_an_apple_id, CredentialKind::AppleId),
        (&of_an_individual_key, CredentialKind::ApiKey(KeyKind::Individual)),
    ] {
        // Expects the variables of the tools that can use the credential, even if other tools read them too.
        let tools = TOOLS.iter().filter(|tool| tool.can_use(kind));
        let expected: Vec<_> = tools.flat_map(Tool::outputs).map(|(name, _)| name).collect();
        let names = tool_outputs(outcome).into_keys();
        let unexpected: Vec<_> = names.filter(|name| !expected.contains(&name.as_str())).collect();
        assert_eq!(unexpected, Vec::<String>::new());
    }
}

#[test]
fn the_default_of_export_for_causes_no_warning() {
    for step in [Step::new().connected(&apple_id()), with_individual_key(), Step::new().connected(&api_key())]
    {
        assert_eq!(step.succeeds().warnings(), Vec::<String>::new());
    }
}

// --- Apple IDs

const TEAM: &str = "TEAM123456";

/// A run with an Apple ID that has every part that a tool can need.
fn with_apple_id_of_a_team() -> Step {
    Step::new().connected(&apple_id()).set("team_id", TEAM)
}

#[test]
fn a_tool_gets_nothing_from_an_incomplete_apple_id_and_a_warning_names_the_missing_part() {
    let mut messages = Vec::new();
    let without = |field: &str| merge([apple_id(), json!({ field: "" })]);
    let session_alone = merge([without("password"), json!({"app_specific_password": ""})]);
    for (what, connection, team) in [
        ("no team ID", apple_id(), ""),
        ("no app-specific password", without("app_specific_password"), TEAM),
        ("no app-specific password, no team ID", without("app_specific_password"), ""),
        ("no password", without("password"), ""),
        ("a session alone", session_alone, TEAM),
    ] {
        for tool in ["tauri", "electron", "expo"] {
            let step = Step::new().connected(&connection).set("team_id", team).set("export_for", tool);
            let outcome = step.succeeds();
            let warnings = outcome.warnings().join("\n");
            let names: Vec<_> = tool_outputs(&outcome).into_keys().collect();
            assert_ne!(warnings.is_empty(), names.is_empty(), "exactly one is empty: {tool}, {what}");
            messages.push((format!("{tool}, {what}"), warnings));
        }
    }
    assert_messages("tools/apple_id_lacks", messages);
}

#[test]
fn eas_cli_also_gets_the_team_if_the_credential_is_an_api_key() {
    for (enterprise, kind) in [(false, "COMPANY_OR_ORGANIZATION"), (true, "IN_HOUSE")] {
        let connected = merge([api_key(), json!({"is_enterprise_account": enterprise})]);
        let outcome =
            Step::new().connected(&connected).set("team_id", TEAM).set("export_for", "expo").succeeds();
        assert_eq!(outcome.output("EXPO_APPLE_TEAM_ID"), TEAM);
        assert_eq!(outcome.output("EXPO_APPLE_TEAM_TYPE"), kind);
        assert_eq!(outcome.get_output("EXPO_APPLE_ID"), None);
    }
}

#[test]
fn without_fastlane_an_expired_session_causes_a_warning() {
    let expired = merge([apple_id(), json!({"connection_expiry_date": "2024-02-29T12:34:56Z"})]);
    let outcome = Step::new().connected(&expired).set("export_for", "connection").succeeds();
    assert_eq!(outcome.get_output("APPLE_SESSION_EXPIRES_AT"), None);
    Step::new().connected(&expired).set("export_for", "connection,fastlane").fails();
    let pasted = spaceauth(&[("DES1", "canary-value")])
        .replace("max_age: \\n", "max_age: 60\\n")
        .replace("2026-01-01", "2024-02-29");
    let step = Step::new().set("apple_id", "jane@example.com").set("password", "canary-pass");
    let pasted = step.set("fastlane_session", pasted).set("export_for", "connection").succeeds();
    let messages = [("in the connection", outcome), ("pasted", pasted)];
    assert_messages(
        "tools/expired_session",
        messages.map(|(what, outcome)| (what, outcome.warnings().join("\n"))),
    );
}

// --- The connection's format

/// A second run that reads the connection file of the first.
fn read_back(first: &Outcome, tools: &str) -> Outcome {
    let url = first.output("APPLE_CONNECTION_URL");
    Step::off_bitrise().set("build_url", url).set("export_for", tools).succeeds()
}

/// The outputs except the source, with the folder of the run replaced.
fn comparable_outputs(outcome: &Outcome) -> BTreeMap<String, String> {
    let folder = outcome.output("APPLE_CREDENTIALS_DIR");
    let outputs = outcome.outputs().into_iter();
    let outputs = outputs.map(|(name, value)| (name, value.replace(&folder, "FOLDER")));
    outputs.filter(|(name, _)| name != "APPLE_AUTH_SOURCE").collect()
}

#[test]
fn a_run_that_reads_the_connection_file_exports_the_same_outputs() {
    const EXPORT_FOR: &str = "connection,fastlane,bitrise";
    let devices = json!({"test_devices": [{"device_identifier": "00008030-001A2B3C4D5E6F70", "title": "One\ttwo", "device_type": "ios"}, {"device_identifier": "F00D", "title": "Mac", "device_type": "mac"}]});
    let pasted = spaceauth(&[("myacinfo", "0123"), ("DES1", "\"a:b\"")])
        .replace("max_age: \\n", "max_age: 99999999\\n")
        .replace("12:00:00.000000000", "12:00:00.123456789");
    let steps = [
        Step::new().connected(&merge([api_key(), devices.clone()])),
        Step::new().connected(&merge([apple_id(), devices])),
        Step::new().with_key_inputs().set("connection", "off"),
        Step::new()
            .with_apple_id_inputs()
            .set("fastlane_session", pasted)
            .set("app_password", "cana-ryap-ppas-swrd"),
    ];
    for step in steps {
        let first = step.set("export_for", EXPORT_FOR).succeeds();
        let second = read_back(&first, EXPORT_FOR);
        assert_eq!(comparable_outputs(&first), comparable_outputs(&second));
        let path = first.output("APPLE_CONNECTION_URL").replacen("file://", "", 1);
        assert_eq!(mode(&path), 0o600);
        let json = first.output("BITRISE_PORTAL_DATA_JSON");
        assert_eq!(std::fs::read_to_string(path).unwrap(), json);
        assert_eq!(json.lines().count(), 1, "Bitrise redacts each line on its own");
    }
}

/// ios-auto-provision can't read `true` as `for_domain`; see its `auth_helper.rb`.
#[test]
fn the_connection_file_has_for_domain_only_if_it_is_false() {
    let cookies = json!([
        {"name": "DES1", "value": "canary-a", "domain": "idmsa.apple.com", "for_domain": true},
        {"name": "itctx", "value": "canary-b", "domain": "apple.com", "for_domain": false},
    ]);
    let session = json!({"session_cookies": {"https://idmsa.apple.com": cookies}});
    let outcome =
        Step::new().connected(&merge([apple_id(), session])).set("export_for", "connection").succeeds();
    let connection: Value = serde_json::from_str(&outcome.output("BITRISE_PORTAL_DATA_JSON")).unwrap();
    let written = connection["session_cookies"]["https://idmsa.apple.com"].as_array().unwrap();
    let for_domain: Vec<_> = written.iter().map(|cookie| cookie.get("for_domain")).collect();
    assert_eq!(for_domain, [None, Some(&json!(false))]);
}

// --- Test devices

#[test]
fn test_devices_are_exported_with_every_credential() {
    let devices = json!({"test_devices": [
        {"id": 1, "user_id": 2, "device_identifier": " 00008030-001A2B3C4D5E6F70 ", "title": "Jane's\tiPhone", "device_type": "ios"},
        {"device_identifier": "00008030001a2b3c4d5e6f70", "title": "Copy", "device_type": "ios"},
        {"device_identifier": "F00D", "title": "Jo's 12.9\" iPad", "device_type": "mac"},
        {"device_identifier": "BEEF", "title": "", "device_type": "toaster"},
        {"device_identifier": "A1\u{200b}B2-C3\n", "title": " Jo's\niPhone\t 12", "device_type": ["mac"]},
        {"device_identifier": " -, ", "title": {}, "device_type": "mac"},
    ]});
    let mut messages = Vec::new();
    for credential in [api_key(), apple_id()] {
        let outcome = Step::new().connected(&merge([credential, devices.clone()])).succeeds();
        let read = |output| {
            let path = outcome.output(output);
            assert_eq!(mode(&path), 0o600);
            assert!(path.starts_with(&outcome.output("APPLE_CREDENTIALS_DIR")));
            std::fs::read_to_string(path).unwrap()
        };
        assert_eq!(
            read("APPLE_TEST_DEVICES_PATH"),
            "Device ID\tDevice Name\tDevice Platform\n00008030-001A2B3C4D5E6F70\tJane's iPhone\tios\nF00D\t\"Jo's 12.9\"\" iPad\"\tmac\nBEEF\t\tios\nA1B2-C3\tJo's iPhone 12\tios\n"
        );
        assert_eq!(read("APPLE_TEST_DEVICE_LIST_PATH"), "00008030-001A2B3C4D5E6F70,F00D,BEEF,A1B2-C3");
        messages.push((outcome.method_and_source().0, outcome.warnings().join("\n")));
    }
    assert_messages("tools/test_devices", messages);
    let with_inputs = Step::new().connected(&devices).with_key_inputs().succeeds();
    assert_eq!(with_inputs.method_and_source(), ("api_key".to_owned(), "inputs".to_owned()));
    assert!(with_inputs.get_output("APPLE_TEST_DEVICES_PATH").is_some());
}

#[test]
fn without_test_devices_their_outputs_are_missing() {
    for none in [json!({}), json!({"test_devices": []}), json!({"test_devices": null})] {
        let outcome = Step::new().connected(&merge([api_key(), none])).succeeds();
        assert_eq!(outcome.get_output("APPLE_TEST_DEVICES_PATH"), None);
        assert_eq!(outcome.get_output("APPLE_TEST_DEVICE_LIST_PATH"), None);
    }
}

// --- A token for scripts

/// Sends a request with the token, and returns whether App Store Connect accepts it.
fn app_store_connect_accepts(token: &str, account: Account) -> bool {
    use std::io::{Read as _, Write as _};
    let url = SERVER.app_store_connect(&test_support::unique_name(), account);
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path}/v1/apps?limit=1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response.starts_with("HTTP/1.1 200 ")
}

#[test]
fn apple_accepts_the_exported_token_and_its_expiry_is_exported() {
    for lifetime in ["60", "1140"] {
        let step = Step::new().connected(&api_key()).set("export_token", "yes");
        let outcome = step.set("token_lifetime_seconds", lifetime).succeeds();
        let token = outcome.output("APP_STORE_CONNECT_TOKEN");
        assert!(app_store_connect_accepts(&token, account(vec![])));
        let end = time::OffsetDateTime::parse(
            &outcome.output("APP_STORE_CONNECT_TOKEN_EXPIRES_AT"),
            &time::format_description::well_known::Rfc3339,
        )
        .unwrap();
        assert_eq!(claims(&token)["exp"], end.unix_timestamp());
        let lifetime: i64 = lifetime.parse().unwrap();
        assert_eq!(claims(&token)["iat"], end.unix_timestamp() - lifetime - 60, "backdated by 60 seconds");
        let left = (end - time::OffsetDateTime::now_utc()).whole_seconds();
        assert!((0..10).contains(&(lifetime - left)), "{left} of {lifetime} s are left");
        assert!(!outcome.stdout.contains(&token));
    }
}

#[test]
fn a_token_with_an_apple_id_is_an_error() {
    let error = Step::new().connected(&apple_id()).set("export_token", "yes").fails().error();
    assert_messages("tools/token_with_an_apple_id", [("export_token is yes", error)]);
}

#[test]
fn a_lifetime_out_of_range_is_an_error_only_if_a_token_is_exported() {
    let messages = ["59", "1141", "-60", "ten", ""].map(|wrong| {
        let step = || Step::new().connected(&api_key()).set("token_lifetime_seconds", wrong);
        step().succeeds();
        (format!("{wrong:?}"), step().set("export_token", "yes").fails().error())
    });
    assert_messages("tools/token_lifetime", messages);
}

// --- Individual keys

fn with_individual_key() -> Step {
    Step::new().set("connection", "off").with_individual_key_inputs()
}

#[test]
fn an_individual_key_has_no_issuer_anywhere() {
    let outcome = with_individual_key()
        .set("export_for", "bitrise,fastlane,fastlane_api_key_path,xcode,spaceship,asc,codemagic,expo")
        .set("export_token", "yes")
        .succeeds();
    assert!(!outcome.output_names().concat().contains("ISSUER"));
    let json = std::fs::read_to_string(outcome.output("APP_STORE_CONNECT_API_KEY_PATH")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["in_house", "key", "key_id"]);
    let token = outcome.output("APP_STORE_CONNECT_TOKEN");
    assert_eq!((claims(&token)["sub"].as_str(), claims(&token).get("iss")), (Some("user"), None));
    assert!(app_store_connect_accepts(&token, account_of(&INPUT_KEY, INPUT_KEY_ID, None, vec![])));
}

#[test]
fn an_individual_key_is_verified() {
    let step = with_individual_key().verified_by(account_of(&INPUT_KEY, INPUT_KEY_ID, None, vec![]));
    let outcome = step.succeeds();
    assert_eq!(outcome.output("APPLE_AUTH_VERIFIED"), "yes");
    assert_messages("tools/individual_key", [("api_key_type: individual", outcome.section("credential"))]);
}

#[test]
fn only_the_variable_for_connection_contains_the_private_key() {
    for (tool, is_connection) in TOOLS.iter().map(|tool| (tool.name, tool.name == "connection")) {
        let step = Step::new().connected(&api_key()).set("export_for", tool).set("export_token", "yes");
        let outputs = step.run_in_process().outputs().into_iter();
        let with_key = outputs.filter(|(_, value)| find_leak(value, &CONNECTED_KEY.private_pem).is_some());
        let names: Vec<_> = with_key.map(|(name, _)| name).collect();
        assert_eq!(names, if is_connection { vec!["BITRISE_PORTAL_DATA_JSON"] } else { vec![] }, "{tool}");
    }
}
