//! Puts secrets into every input: whole, in part, and in other encodings. None reaches the log or the summary.
//!
//! Secrets that the Step cannot recognize are left out, such as a secret that looks like a path, or a UUID in
//! `api_issuer`.

use apple_services_connection::bitrise::step_yml::StepYml;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use test_support::{
    Step, api_key, apple_id, cookie, find_leak, hex, in_parallel, merge, pem, pem_body, spaceauth, wrapped,
};

const API_TOKEN: &str = "canary0tokenQ7wX2zK9mB4vT1yR8nL5";
const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJjYW5hcnkifQ.Q2FuYXJ5U2lnbmF0dXJlMDEyMzQ1Njc4OQ";
const PASSWORD: &str = "canary-Passw0rd!";
const SIGNATURE: &str = "c0ffee1234567890abcdefc0ffee1234567890abcdefc0ffee1234567890abcd";

fn inputs() -> Vec<String> {
    let step_yml = StepYml::embedded().expect("a valid file");
    step_yml.inputs.into_iter().map(|input| input.name).collect()
}

/// Secrets in the forms in which people paste them: the name of the form, the pasted text, and the secrets in it.
fn forms() -> Vec<(&'static str, String, Vec<String>)> {
    let key = pem().to_owned();
    let body = pem_body(pem());
    let der = STANDARD.decode(&body).expect("base64");
    let hex_der = hex(&der);
    let private_number = URL_SAFE_NO_PAD.encode(&der[36..68]); // its position in PKCS#8
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "d": private_number, "x": private_number, "y": private_number})
            .to_string();
    let session = spaceauth(&[("myacinfo", "canary-DAWTKNcookie0123"), ("DES1", "canary-HSARMcookie4567")]);
    let cookies = || vec!["canary-DAWTKNcookie0123".to_owned(), "canary-HSARMcookie4567".to_owned()];
    let owned = |secrets: &[&str]| secrets.iter().map(|secret| (*secret).to_owned()).collect::<Vec<_>>();
    let key_and_body = || vec![key.clone(), body.clone()];
    let signed = format!("files.example.com/AuthKey_FROMINPUT1.p8?X-Amz-Signature={SIGNATURE}");
    let user = format!("canaryuser:{PASSWORD}@files.example.com/AuthKey_FROMINPUT1.p8");
    let user_and_password = || owned(&[PASSWORD, "canaryuser"]);
    vec![
        ("PEM", key.clone(), key_and_body()),
        ("PEM on one line", key.replace('\n', " "), key_and_body()),
        ("PEM with \\n", key.replace('\n', "\\n"), key_and_body()),
        ("PEM in quotes", format!("'{key}'"), key_and_body()),
        ("half a PEM", key[..120].to_owned(), key_and_body()),
        ("PEM without its header", key.lines().skip(1).collect::<Vec<_>>().join("\n"), key_and_body()),
        ("the second line of the body", key.lines().nth(2).expect("a line").to_owned(), key_and_body()),
        ("body", body.clone(), key_and_body()),
        ("body in lines of 76", wrapped(&body, 76), key_and_body()),
        ("body in lines of 20", wrapped(&body, 20), key_and_body()),
        ("URL-safe body", body.replace('+', "-").replace('/', "_"), key_and_body()),
        ("base64 of PEM", STANDARD.encode(&key), vec![STANDARD.encode(&key), key.clone()]),
        ("base64 of the body", STANDARD.encode(&body), vec![STANDARD.encode(&body), body.clone()]),
        ("hex of the DER", hex_der.clone(), vec![hex_der.clone()]),
        ("uppercase hex of the DER", hex_der.to_uppercase(), vec![hex_der.to_uppercase()]),
        ("hex of PEM", hex(&key), vec![hex(&key), key.clone()]),
        ("percent-encoded PEM", utf8_percent_encode(&key, NON_ALPHANUMERIC).to_string(), key_and_body()),
        ("JWK", jwk.clone(), vec![private_number.clone()]),
        ("base64 of a JWK", STANDARD.encode(&jwk), vec![STANDARD.encode(&jwk), private_number.clone()]),
        ("the number of a JWK", private_number.clone(), vec![private_number]),
        ("fastlane's JSON", json!({"key_id": "FROMINPUT1", "key": key}).to_string(), key_and_body()),
        ("URL with a password, https", format!("https://{user}"), user_and_password()),
        ("URL with a password, http", format!("http://{user}"), user_and_password()),
        ("URL with a password, no scheme", user.clone(), user_and_password()),
        ("URL with a password, ftp", format!("ftp://{user}"), user_and_password()),
        ("pre-signed URL", format!("https://127.0.0.1:1/{signed}"), owned(&[SIGNATURE])),
        ("pre-signed URL, http", format!("http://{signed}"), owned(&[SIGNATURE])),
        ("pre-signed URL, no scheme", signed.clone(), owned(&[SIGNATURE])),
        ("pre-signed URL, s3", format!("s3://{signed}"), owned(&[SIGNATURE])),
        ("pre-signed URL, file", format!("file:///{signed}"), owned(&[SIGNATURE])),
        ("pre-signed URL, invalid host", format!("https://[{signed}"), owned(&[SIGNATURE])),
        ("pre-signed URL, space in the host", format!("https://host {signed}"), owned(&[SIGNATURE])),
        ("pre-signed URL, invalid port", format!("https://host:port/?X={SIGNATURE}"), owned(&[SIGNATURE])),
        ("pre-signed URL, no host", format!("https:///?X={SIGNATURE}"), owned(&[SIGNATURE])),
        ("session", session.clone(), cookies()),
        ("session on several lines", session.replace("\\n", "\n"), cookies()),
        ("session as printed", format!("export FASTLANE_SESSION='{session}'"), cookies()),
        ("base64 of a session", STANDARD.encode(&session), vec![STANDARD.encode(&session)]),
        ("a cookie", "myacinfo=canary-DAWTKNcookie0123".to_owned(), cookies()),
        ("password", PASSWORD.to_owned(), owned(&[PASSWORD])),
        ("password of letters and digits", "canaryhunter22".to_owned(), owned(&["canaryhunter22"])),
        ("password of letters", "canaryhorsebattery".to_owned(), owned(&["canaryhorsebattery"])),
        ("password with spaces", "canary horse Battery".to_owned(), owned(&["canary horse Battery"])),
        ("password like a variable", "$canaryWord".to_owned(), owned(&["canaryWord"])),
        ("password like a number", "123456789012".to_owned(), owned(&["123456789012"])),
        ("password like an option", "Canary_yes".to_owned(), owned(&["Canary_yes"])),
        ("password like a URL", "canary://word".to_owned(), owned(&["canary://word"])),
        ("app-specific password", "cana-ryhi-dden-word".to_owned(), owned(&["cana-ryhi-dden-word"])),
        ("six digits", "918273".to_owned(), owned(&["918273"])),
        ("e-mail address", "canary.person@example.com".to_owned(), owned(&["canary.person"])),
        ("token", API_TOKEN.to_owned(), owned(&[API_TOKEN])),
        ("GitHub token", format!("ghp_{API_TOKEN}"), owned(&[API_TOKEN])),
        (
            "AWS key",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARYKEY".to_owned(),
            owned(&["wJalrXUtnFEMI", "CANARYKEY"]),
        ),
        ("JWT", JWT.to_owned(), owned(&[JWT])),
        ("bearer token", format!("Bearer {JWT}"), owned(&[JWT])),
    ]
}

/// A verbose run with this value of an input, and valid values of the inputs that it needs.
fn with_value(input: &str, value: &str) -> Step {
    let step = match input {
        "apple_id" | "password" | "app_password" | "fastlane_session" | "sms_default_phone_number" => {
            Step::new().with_apple_id_inputs()
        }
        "build_url" | "build_api_token" => Step::new().connected(&api_key()),
        "token_lifetime_seconds" => Step::new().with_key_inputs().set("export_token", "yes"),
        _ => Step::new().with_key_inputs(),
    };
    // `set` would make the run panic at the first leak, and these tests list all leaks.
    step.set("verbose_log", "yes").set_as_plain(input, value)
}

/// Whether the input shows values of this form on purpose, such as a number of seconds.
fn is_shown_on_purpose(input: &str, form: &str) -> bool {
    matches!(
        (input, form),
        ("token_lifetime_seconds" | "session_expiry_warning_days", "six digits" | "password like a number")
    )
}

/// Runs the Step, one time in 16 as a process, and returns the first secret that leaks into the log or summary.
fn run_and_search(step: Step, value: &str, secrets: &[String]) -> Option<String> {
    // A proxy that does not exist keeps requests on this machine.
    let step = step.set("HTTPS_PROXY", "http://127.0.0.1:1");
    let is_sample = value.len().is_multiple_of(16);
    let outcome = if is_sample { step.run() } else { step.run_in_process() };
    assert!(!outcome.stdout.contains("Please report this"), "{}", outcome.stdout);
    let shown = format!("{}\n{}", outcome.stdout, outcome.summary().unwrap_or_default());
    secrets.iter().find_map(|secret| find_leak(&shown, secret))
}

#[test]
fn a_secret_in_any_input_stays_out_of_the_log_and_the_summary() {
    let forms = forms();
    let check = |input: &str| {
        let forms = forms.iter().filter(|(form, ..)| !is_shown_on_purpose(input, form));
        let leaks = forms.filter_map(|(form, value, secrets)| {
            run_and_search(with_value(input, value), value, secrets)
                .map(|leak| format!("{form} in {input}: {leak}"))
        });
        leaks.collect::<Vec<_>>()
    };
    assert_eq!(in_parallel(inputs(), |input| check(&input)).concat(), [""; 0]);
}

#[test]
fn a_secret_in_any_field_of_the_connection_stays_out_of_the_log_and_the_summary() {
    const FIELDS: [&str; 8] = [
        "key_id",
        "issuer_id",
        "private_key",
        "apple_id",
        "password",
        "app_specific_password",
        "connection_expiry_date",
        "session_cookies",
    ];
    let forms = forms();
    let check = |field: &str| {
        let apple_id_fields = ["apple_id", "password", "app_specific_password", "session_cookies"];
        let connection = if apple_id_fields.contains(&field) { "apple_id" } else { "automatic" };
        let leaks = forms.iter().filter_map(|(form, value, secrets)| {
            let change = if field == "session_cookies" {
                json!({field: {"https://idmsa.apple.com": [cookie("myacinfo", value), cookie(value, "x")]}})
            } else {
                json!({ field: value })
            };
            let step =
                Step::new().connected_as_text(merge([api_key(), apple_id(), change]).to_string(), vec![]);
            let step = step.set("connection", connection).set("verbose_log", "yes");
            run_and_search(step, value, secrets).map(|leak| format!("{form} in {field}: {leak}"))
        });
        leaks.collect::<Vec<_>>()
    };
    assert_eq!(in_parallel(FIELDS, check).concat(), [""; 0]);
}

/// Texts before and after a secret.
const CONTEXTS: &[(&str, &str)] = &[
    ("", ""),
    ("key=", ""),
    ("AuthKey_FROMINPUT1.p8: ", ""),
    ("data:application/x-pem-file;base64,", ""),
    ("api_key: ", "\n"),
    ("\"", "\""),
    ("{\"key\": \"", "\"}"),
    ("/keys/", ""),
    ("~/", "/AuthKey_FROMINPUT1.p8"),
    ("./AuthKey_", ".p8"),
    ("AuthKey_", ".p8"),
    ("file:///", ""),
    ("file:///keys/", ".p8"),
    ("https://127.0.0.1:1/", "/AuthKey_FROMINPUT1.p8"),
    ("https://127.0.0.1:1/key.p8?token=", ""),
    ("https://127.0.0.1:1/key.p8#", ""),
    ("https://", "@127.0.0.1:1/key.p8"),
    ("https://user:", "@127.0.0.1:1/key.p8"),
    ("$", ""),
    ("${", "}"),
    ("jane@", ".com"),
    ("", "@example.com"),
    ("fastlane ", ""),
    ("+", ""),
];

const ENCODINGS: &[fn(&str) -> String] = &[
    str::to_owned,
    |part| STANDARD.encode(part),
    |part| URL_SAFE_NO_PAD.encode(part),
    |part| hex(part),
    |part| hex(part).to_uppercase(),
    |part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string(),
];

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn a_part_of_a_key_in_any_context_stays_out_of_the_log_and_the_summary(
        start in any::<Index>(),
        length in 64_usize..150,
        encode in select(ENCODINGS),
        (before, after) in select(CONTEXTS),
        input in any::<Index>(),
    ) {
        // In a path, a slash would split the key into names that are too short to be recognized.
        let body = pem_body(pem()).replace('/', if before.ends_with('/') { "x" } else { "/" });
        let start = start.index(body.len() - 64);
        let part = &body[start..(start + length).min(body.len())];
        let encoded = encode(part);
        let value = format!("{before}{encoded}{after}");
        let step = with_value(input.get::<String>(&inputs()), &value);
        prop_assert_eq!(run_and_search(step, &value, &[part.to_owned(), encoded]), None);
    }
}
