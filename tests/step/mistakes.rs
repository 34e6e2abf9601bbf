//! Mistakes that people make with the inputs: the Step accepts what they mean, or says what is wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stand_in::keys::P256;

use test_support::snapshots::assert_messages;
use test_support::{
    INPUT_APP_PASSWORD, INPUT_APPLE_ID, INPUT_ISSUER, INPUT_KEY, INPUT_KEY_ID, INPUT_PASSWORD, SERVER, Step,
    account_of, api_key, assert_key, errors_of, merge, pasted_session, pem, unique_name,
};

/// A run with a key file of this name and without `api_key_id`.
fn with_file(name: &str) -> Step {
    let step = Step::off_bitrise().file(&format!("work/{name}"), pem());
    step.set("api_key_path", name).set("api_issuer", INPUT_ISSUER)
}

fn with_apple_id() -> Step {
    Step::off_bitrise().set("apple_id", INPUT_APPLE_ID)
}

/// fastlane's API key JSON, with some fields replaced.
fn key_json(fields: Value) -> String {
    let key = json!({"key_id": INPUT_KEY_ID, "issuer_id": INPUT_ISSUER, "key": pem(), "in_house": false});
    merge([key, fields]).to_string()
}

fn with_key_json(fields: Value) -> Step {
    Step::off_bitrise().file("work/key.json", key_json(fields)).set("api_key_path", "key.json").secret(pem())
}

#[test]
fn a_choice_that_yaml_made_a_boolean_is_accepted_in_any_case() {
    for off in ["false", "False", "Off", "OFF"] {
        let outcome = Step::new().with_key_inputs().set("connection", off).succeeds();
        assert_eq!((outcome.method_and_source().1.as_str(), outcome.requests.len()), ("inputs", 0), "{off}");
    }
    for (no, yes) in [("false", "true"), ("No", "Yes"), ("NO", "YES")] {
        let run = |value| Step::new().with_key_inputs().set("api_key_enterprise_account", value).succeeds();
        assert_eq!(run(no).output("APPLE_API_KEY_ENTERPRISE"), "no");
        assert_eq!(run(yes).output("APPLE_API_KEY_ENTERPRISE"), "yes");
    }
}

#[test]
fn the_error_says_that_yaml_made_a_key_id_a_number() {
    let error = |id: &str| Step::off_bitrise().with_key_inputs().set("api_key_id", id).fails().error();
    let numbers = ["1.234567e+18", "1.234567E+18", "21913025", "1e+22"];
    assert_messages("mistakes/yaml_numbers", numbers.map(|id| (id, error(id))));
    let team = Step::off_bitrise().with_key_inputs().set("team_id", "1.234567e+18").fails().error();
    assert_eq!(team.replace("team_id", "api_key_id"), error("1.234567e+18"));
    for id in ["1234567E12", "0123456701", "1234567890"] {
        let outcome = Step::off_bitrise().with_key_inputs().set("api_key_id", id).succeeds();
        assert_eq!(outcome.output("APPLE_API_KEY_ID"), id, "an ID in quotes is used as written");
    }
}

#[test]
fn the_error_for_an_unexpanded_variable_names_the_variable_and_the_input() {
    let mut rows = Vec::new();
    for value in ["$CUSTOMER_API_KEY", "${X}", "$(x)"] {
        for input in ["connection", "if_missing", "api_key_path", "api_key_id", "api_issuer", "build_url"] {
            rows.push((format!("{input} is {value}"), Step::new().with_key_inputs().set(input, value)));
        }
        for input in ["apple_id", "app_password", "fastlane_session", "sms_default_phone_number"] {
            // The name of a variable is not secret.
            let step = Step::new().with_apple_id_inputs().set_as_plain(input, value);
            rows.push((format!("{input} is {value}"), step));
        }
    }
    assert_messages("mistakes/variables", errors_of(rows));
}

#[test]
fn a_password_that_looks_like_a_variable_is_used_with_a_warning_that_hides_it() {
    for password in ["$CUSTOMER_PASSWORD", "${canary_word}"] {
        let outcome = with_apple_id().set("password", password).succeeds();
        assert_eq!(outcome.output("FASTLANE_PASSWORD"), password);
        assert_messages("mistakes/password_like_a_variable", [("a password", outcome.warnings().join("\n"))]);
    }
    let outcome = with_apple_id().set("password", "canary$word").succeeds();
    assert_eq!(outcome.warnings(), Vec::<String>::new());
}

#[test]
fn empty_secrets_of_a_pull_request_are_explained() {
    let rows = [
        ("an API key", Step::new().set("api_key_id", INPUT_KEY_ID).set("api_issuer", INPUT_ISSUER)),
        ("an Apple ID", Step::new().set("apple_id", INPUT_APPLE_ID)),
    ];
    let mut errors =
        errors_of(rows.map(|(what, step)| (what, step.set("api_key_path", "").set("password", ""))));
    let skipped = Step::new().set("api_issuer", INPUT_ISSUER).set("if_missing", "skip").succeeds();
    assert_eq!(skipped.method_and_source().0, "none");
    errors.push(("if_missing is skip", skipped.warnings().join("\n")));
    assert_messages("mistakes/empty_secrets", errors);
}

#[test]
fn quotes_around_a_value_are_removed() {
    for quote in ["'", "\""] {
        let quoted = |value: &str| format!("{quote}{value}{quote}");
        let step = with_file("AuthKey_FROMINPUT1.p8").set("api_key_path", quoted("AuthKey_FROMINPUT1.p8"));
        let outcome = step.set("api_issuer", quoted(INPUT_ISSUER)).succeeds();
        assert_key(&outcome);
        assert_eq!(outcome.output("APPLE_API_ISSUER"), INPUT_ISSUER);
        let outcome = with_file("key.p8").set("api_key_id", quoted(INPUT_KEY_ID)).succeeds();
        assert_key(&outcome);
        let step = Step::off_bitrise().set("apple_id", quoted(INPUT_APPLE_ID)).set("password", "canary");
        assert_eq!(step.succeeds().output("FASTLANE_USER"), INPUT_APPLE_ID);
    }
}

#[test]
fn the_file_name_of_an_individual_key_contains_its_id_and_is_checked_against_api_key_type() {
    let step = || with_file("ApiKey_FROMINPUT1.p8");
    let as_individual_key = step().unset("api_issuer").set("api_key_type", "individual").succeeds();
    assert_eq!(as_individual_key.output("APPLE_API_KEY_ID"), INPUT_KEY_ID);
    assert_eq!(as_individual_key.get_output("APPLE_API_ISSUER"), None);
    let as_team_key = step().succeeds();
    assert_eq!(as_team_key.output("APPLE_API_KEY_ID"), INPUT_KEY_ID);
    let messages = [
        ("api_key_type is team", as_team_key.warnings().join("\n")),
        ("api_key_type is team, without an issuer", step().unset("api_issuer").fails().error()),
        (
            "api_key_type is individual, with an issuer",
            step().set("api_key_type", "individual").fails().error(),
        ),
    ];
    assert_messages("mistakes/individual_key", messages);
}

#[test]
fn the_error_says_that_a_key_is_an_in_app_purchase_key() {
    let name = "SubscriptionKey_FROMINPUT1.p8";
    let url = format!("https://localhost:1/{name}?x");
    let rows = [
        ("without api_key_id", with_file(name)),
        ("with api_key_id", with_file(name).set("api_key_id", INPUT_KEY_ID)),
        ("a URL", with_file(name).set("api_key_path", url)),
    ];
    let errors = rows.map(|(what, step)| (what, step.fails().error()));
    assert_messages("mistakes/in_app_purchase_key", errors);
}

/// The unit tests of `formats::key_json` cover JSON that people write by hand.
#[test]
fn the_json_of_an_api_key_needs_no_other_input() {
    let text = key_json(json!({}));
    let url = SERVER.file(&unique_name(), "key.json", text.as_bytes(), vec![]);
    let encoded = key_json(json!({"key": STANDARD.encode(pem())}));
    let on_disk = with_key_json(json!({}));
    let file_url = format!("file://{}", on_disk.path("work/key.json").display());
    let steps = [
        with_key_json(json!({})),
        on_disk.set("api_key_path", file_url),
        Step::off_bitrise().set("api_key_path", url),
        Step::off_bitrise().set("api_key_path", &text).secret(pem()),
        Step::off_bitrise().set("api_key_path", format!("'{text}'")).secret(pem()),
        Step::off_bitrise().set("api_key_path", encoded).secret(STANDARD.encode(pem())),
        Step::off_bitrise()
            .set("api_key_path", STANDARD.encode(&text))
            .secret(pem())
            .secret(STANDARD.encode(&text)),
        Step::off_bitrise()
            .file("work/key.json", STANDARD.encode(&text))
            .set("api_key_path", "key.json")
            .secret(pem()),
        // The content decides, not the name of the file.
        Step::off_bitrise().file("work/key.txt", &text).set("api_key_path", "key.txt").secret(pem()),
        Step::off_bitrise().set("api_key_path", SERVER.file(&unique_name(), "key", text.as_bytes(), vec![])),
        with_key_json(json!({}))
            .set("api_key_id", INPUT_KEY_ID)
            .set("api_issuer", INPUT_ISSUER.to_uppercase()),
    ];
    for step in steps {
        let outcome = step.succeeds();
        assert_key(&outcome);
        assert_eq!(outcome.output("APPLE_API_ISSUER"), INPUT_ISSUER);
        assert_eq!(outcome.output("APPLE_API_KEY_ENTERPRISE"), "no");
    }
}

#[test]
fn the_json_of_an_api_key_decides_its_type_and_whether_it_is_an_enterprise_key() {
    let enterprise = with_key_json(json!({"in_house": true})).succeeds();
    assert_eq!(enterprise.output("APPLE_API_KEY_ENTERPRISE"), "yes");
    let by_input =
        with_key_json(json!({"in_house": null})).set("api_key_enterprise_account", "yes").succeeds();
    assert_eq!(by_input.output("APPLE_API_KEY_ENTERPRISE"), "yes");
    for issuer in [json!(null), json!("")] {
        let individual = with_key_json(json!({"issuer_id": issuer})).succeeds();
        assert_eq!(individual.output("APPLE_API_KEY_ID"), INPUT_KEY_ID);
        assert_eq!(individual.get_output("APPLE_API_ISSUER"), None);
        let team = with_key_json(json!({"issuer_id": issuer})).set("api_issuer", INPUT_ISSUER).succeeds();
        assert_eq!(team.output("APPLE_API_ISSUER"), INPUT_ISSUER, "the input completes the JSON");
    }
}

#[test]
fn invalid_json_of_an_api_key_and_inputs_that_contradict_it_are_errors() {
    let step = || with_key_json(json!({}));
    let other_issuer = "33333333-96fe-1a63-e053-0824d011072a";
    let rows = [
        ("a key ID other than the JSON's", step().set("api_key_id", "OTHERKEY12")),
        ("an issuer ID other than the JSON's", step().set("api_issuer", other_issuer)),
        ("individual, with an issuer in the JSON", step().set("api_key_type", "individual")),
        ("enterprise, and not in_house", step().set("api_key_enterprise_account", "yes")),
        ("an e-mail address as key_id", with_key_json(json!({"key_id": "jane@example.com"}))),
        ("the key as key_id", with_key_json(json!({"key_id": pem()}))),
        ("a number as key_id", with_key_json(json!({"key_id": 1}))),
        ("text as in_house", with_key_json(json!({"in_house": "false"}))),
        ("a number as in_house", with_key_json(json!({"in_house": 0}))),
        ("null as key", with_key_json(json!({"key": null}))),
        ("no key", step().file("work/key.json", "{\"key_id\": \"X\"}")),
        ("a missing comma", step().file("work/key.json", "{\n  \"key_id\": \"X\"\n  \"key\": \"Y\"\n}")),
        ("a damaged key", with_key_json(json!({"key": "canary-key"}))),
        ("half a document", step().file("work/key.json", &key_json(json!({}))[..80])),
        ("an unrelated document", step().file("work/key.json", "{\"project\": \"x\"}")),
    ];
    assert_messages("mistakes/fastlane_json", rows.map(|(what, step)| (what, step.fails().error())));
}

#[test]
fn a_folder_with_one_key_or_with_the_key_of_api_key_id_is_accepted() {
    let step = |path: &str| {
        let step =
            Step::off_bitrise().file("work/keys/AuthKey_FROMINPUT1.p8", pem()).file("work/keys/x.txt", "x");
        let step = step.file("work/empty/x.txt", "x").file("home/AuthKey_FROMINPUT1.p8", pem());
        step.set("api_key_path", path).set("api_issuer", INPUT_ISSUER)
    };
    for path in ["keys", "keys/", "./keys", "~", "~/"] {
        assert_key(&step(path).succeeds());
    }
    let individual = || step("./individual").file("work/individual/ApiKey_FROMINPUT1.p8", pem());
    let several = || {
        let others = ["AuthKey_AAAAAAAAA1.p8", "AuthKey_AAAAAAAAA2.p8", "AuthKey_AAAAAAAAA3.p8"];
        others.iter().fold(step("./keys"), |step, name| step.file(&format!("work/keys/{name}"), "x"))
    };
    let with_copy = several().file("work/keys/AuthKey_FROMINPUT1 (1).p8", "half a download");
    assert_key(&with_copy.set("api_key_id", INPUT_KEY_ID).succeeds());
    let errors = [
        ("no key", step("./empty").fails().error()),
        ("several keys", several().fails().error()),
        ("five keys", several().file("work/keys/AuthKey_AAAAAAAAA4.p8", "x").fails().error()),
        (
            "several keys, none of them with the wanted ID",
            several().set("api_key_id", "OTHERKEY12").fails().error(),
        ),
        ("a file without an ID in its name", step("./key").file("work/key", pem()).fails().error()),
        ("the name of an individual key", individual().set("api_issuer", "").fails().error()),
    ];
    assert_messages("mistakes/folder", errors);
    let warnings = individual().succeeds().warnings();
    assert!(warnings.iter().any(|warning| warning.contains("like individual keys")), "{warnings:?}");
}

#[test]
fn the_error_recognizes_values_that_are_not_the_expected_id() {
    let values = [
        ("an e-mail address", "jane@example.com"),
        ("a URL", "https://appstoreconnect.apple.com/access/integrations/api"),
        ("a path", "/keys/AuthKey"),
        ("a file's name", "AuthKey_FROMINPUT1.p8"),
        ("a Team ID", "A1B2C3D4E5"),
        ("an issuer ID", INPUT_ISSUER),
    ];
    let with_inputs = |input: &str, value: &str| Step::off_bitrise().with_key_inputs().set(input, value);
    let mut rows = Vec::new();
    for input in ["api_key_id", "api_issuer"] {
        for (what, value) in values {
            // A Team ID has the form of a key ID, and an issuer ID belongs in `api_issuer`.
            if ![("api_key_id", "a Team ID"), ("api_issuer", "an issuer ID")].contains(&(input, what)) {
                rows.push((format!("{input} is {what}"), with_inputs(input, value)));
            }
        }
    }
    for (what, value) in values.iter().filter(|(what, _)| *what != "a Team ID") {
        rows.push((format!("team_id is {what}"), with_inputs("team_id", value)));
    }
    assert_messages("mistakes/ids", errors_of(rows));
}

#[test]
fn the_error_says_that_a_password_is_of_the_other_kind() {
    let rows = [
        ("password is an app-specific one", "password", INPUT_APP_PASSWORD),
        ("app_password is the account's", "app_password", INPUT_PASSWORD),
        ("app_password without dashes", "app_password", "canaryabcdefghij"),
        ("app_password in capitals", "app_password", "CANA-ryab-cdef-ghij"),
    ];
    let errors = rows.map(|(what, input, value)| (what, with_apple_id().set(input, value).fails().error()));
    assert_messages("mistakes/passwords", errors);
    for padding in ["", " ", "\"", "'"] {
        let typed = format!("{padding}{INPUT_APP_PASSWORD}{padding}");
        let outcome = with_apple_id().set("app_password", typed).succeeds();
        assert_eq!(outcome.output("FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD"), INPUT_APP_PASSWORD);
    }
}

#[test]
fn an_apple_id_is_an_email_address_or_a_phone_number() {
    let step = |user: &str| Step::off_bitrise().set("apple_id", user).set("password", INPUT_PASSWORD);
    for user in ["jane@example.com", "jane+ci@mail.example.co.uk", "+81-80-1234-5678", "+436501234567"] {
        assert_eq!(step(user).succeeds().output("FASTLANE_USER"), user);
    }
    let wrong = [
        ("a name", "Jane Doe"),
        ("a word", "canary-jane"),
        ("a Team ID", "A1B2C3D4E5"),
        ("a number without country code", "080-1234-5678"),
        ("an address without a domain", "jane@example"),
        ("a URL with a user", "https://jane:canary@example.com/x"),
        ("a key", pem()),
        ("a session", &pasted_session()),
    ];
    assert_messages("mistakes/apple_id", wrong.map(|(what, user)| (what, step(user).fails().error())));
}

#[test]
fn the_error_for_a_rejected_key_depends_on_its_source() {
    let rejected = |step: Step, issuer| {
        let other_key = P256::generate().unwrap();
        step.verified_by(account_of(&other_key, INPUT_KEY_ID, issuer, vec![]))
    };
    let individual = Step::off_bitrise().with_individual_key_inputs();
    let other_name = with_file("AuthKey_OTHERKEY12.p8").set("api_key_id", INPUT_KEY_ID);
    let errors = errors_of([
        ("in the inputs", rejected(Step::off_bitrise().with_key_inputs(), Some(INPUT_ISSUER))),
        ("an individual key", rejected(individual, None)),
        ("a file that is named for another key", rejected(other_name, Some(INPUT_ISSUER))),
        ("a connected key", rejected(Step::new().connected(&api_key()), Some(INPUT_ISSUER))),
    ]);
    assert_messages("mistakes/refused_key", errors);
    let same_name = with_file("AuthKey_FROMINPUT1.p8").set("api_key_id", INPUT_KEY_ID);
    same_name.verified_by(account_of(&INPUT_KEY, INPUT_KEY_ID, Some(INPUT_ISSUER), vec![])).succeeds();
}
