//! Credentials, Apple accounts, and server behaviours.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use apple_services_connection::tools::TOOLS;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkcs8::der::Decode as _;
use pkcs8::der::pem::LineEnding;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};
use sec1::{EcParameters, EcPrivateKey};
use serde_json::{Value, json};
use stand_in::keys::P256;
use stand_in::{Account, Behaviour, PublicKey, Session, StandIn};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::Outcome;

/// The build's API token, which Bitrise expects in requests for the connection.
pub const BUILD_API_TOKEN: &str = "Canary-build-token_0123456789";

/// The token that Bitrise expects in requests to the build's page.
pub const PAGE_TOKEN: &str = "Canary-services-token_0123456789";
pub const BUILD_SLUG: &str = "5b1ee94e-3a5f-4b0e-9d5c-2c1f0a7c9d11";

// The credentials in the connection.
pub const CONNECTED_KEY_ID: &str = "CONNECTED1";
pub const CONNECTED_ISSUER: &str = "11111111-96fe-1a63-e053-0824d011072a";
pub const CONNECTED_APPLE_ID: &str = "connected.canary@example.com";
pub const CONNECTED_PASSWORD: &str = "canary-connected-password";
pub const CONNECTED_APP_PASSWORD: &str = "cana-ryco-nnec-tapp";
pub const COOKIE: &str = "canary-connected-cookie-value";

// The credentials in the inputs.
pub const INPUT_KEY_ID: &str = "FROMINPUT1";
pub const INPUT_ISSUER: &str = "22222222-96fe-1a63-e053-0824d011072a";
pub const INPUT_APPLE_ID: &str = "inputs.canary@example.org";
pub const INPUT_PASSWORD: &str = "canary-inputs-password";
pub const INPUT_APP_PASSWORD: &str = "cana-ryin-puts-appp";

/// One server for all tests. Each run has its own scenario, with a unique name.
pub static SERVER: LazyLock<StandIn> = LazyLock::new(|| StandIn::start().expect("a stand-in on loopback"));

/// The key pair whose private key is in the connection.
pub static CONNECTED_KEY: LazyLock<P256> = LazyLock::new(|| P256::generate().expect("a key"));

/// The key pair whose private key is in the inputs.
pub static INPUT_KEY: LazyLock<P256> = LazyLock::new(|| P256::generate().expect("a key"));

pub fn unique_name() -> String {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    format!("run {}", LAST.fetch_add(1, Ordering::Relaxed))
}

/// The private key in the inputs, as PEM.
pub fn pem() -> &'static str {
    &INPUT_KEY.private_pem
}

/// Asserts that the run exports the key in the inputs, in its canonical form.
#[track_caller]
pub fn assert_key(outcome: &Outcome) {
    assert_eq!(outcome.output("APPLE_API_KEY_ID"), INPUT_KEY_ID, "{}", outcome.stdout);
    assert_eq!(fs::read_to_string(outcome.output("APPLE_API_KEY_PATH")).unwrap(), pem());
}

/// A value for `export_for` that lists all tools except this one.
pub fn all_tools_except(name: &str) -> String {
    let names: Vec<_> = TOOLS.iter().map(|tool| tool.name).filter(|tool| *tool != name).collect();
    names.join(",")
}

/// The claims of a token for App Store Connect.
pub fn claims(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

/// Waits up to 40 seconds for something that another process does.
#[track_caller]
pub fn wait_until(is_done: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_done() {
        assert!(began.elapsed() < std::time::Duration::from_secs(40), "still waiting after 40 seconds");
        thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// The base64 between the header and the footer of a key.
pub fn pem_body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

/// Converts a P-256 key from PKCS#8 to SEC1. `openssl ec` includes the curve in its SEC1 keys.
pub fn sec1_pem(pkcs8: &str, with_curve: bool) -> String {
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    let (_, document) = SecretDocument::from_pem(pkcs8).unwrap();
    let info = PrivateKeyInfoRef::try_from(document.as_bytes()).unwrap();
    let mut key = EcPrivateKey::from_der(info.private_key.as_bytes()).unwrap();
    key.parameters = with_curve.then_some(EcParameters::NamedCurve(P256));
    SecretDocument::encode_msg(&key).unwrap().to_pem("EC PRIVATE KEY", LineEnding::LF).unwrap().to_string()
}

/// Breaks the text into lines of this length, as a narrow terminal does.
pub fn wrapped(text: &str, columns: usize) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(columns).map(String::from_utf8_lossy).collect();
    lines.join("\n")
}

/// The date and time this many days from now.
pub fn in_days(days: i64) -> String {
    (OffsetDateTime::now_utc() + Duration::days(days)).format(&Rfc3339).unwrap()
}

/// The account that the connected API key belongs to.
pub fn account(behaviours: Vec<Behaviour>) -> Account {
    account_of(&CONNECTED_KEY, CONNECTED_KEY_ID, Some(CONNECTED_ISSUER), behaviours)
}

/// The account that this API key belongs to. An individual key has no issuer.
pub fn account_of(key: &P256, key_id: &str, issuer: Option<&str>, behaviours: Vec<Behaviour>) -> Account {
    Account {
        public_key: PublicKey::from_spki_pem(&key.public_pem).unwrap(),
        key_id: key_id.to_owned(),
        issuer_id: issuer.map(str::to_owned),
        enterprise: false,
        clock_skew_seconds: 0,
        behaviours,
    }
}

/// The fields of a connected API key.
pub fn api_key() -> Value {
    json!({
        "key_id": CONNECTED_KEY_ID,
        "issuer_id": CONNECTED_ISSUER,
        "private_key": CONNECTED_KEY.private_pem,
    })
}

/// The fields of a connected Apple ID, including all optional ones.
pub fn apple_id() -> Value {
    json!({
        "apple_id": CONNECTED_APPLE_ID,
        "password": CONNECTED_PASSWORD,
        "app_specific_password": CONNECTED_APP_PASSWORD,
        "connection_expiry_date": in_days(20),
        "session_cookies": {"https://idmsa.apple.com": [cookie("myacinfo", COOKIE)]},
    })
}

pub fn cookie(name: &str, value: &str) -> Value {
    json!({
        "name": name, "value": value, "domain": "apple.com", "path": "/",
        "secure": true, "httponly": true,
    })
}

/// The fields of a connected Apple ID whose session has a cookie for the stand-in and one for Apple.
pub fn connected_session() -> Value {
    // The stand-in uses plain http, so its cookie is not `secure`.
    let for_stand_in = json!({
        "name": "myacinfo", "value": "canary-session", "domain": "127.0.0.1", "for_domain": false,
        "path": "/", "secure": false,
    });
    let for_apple = json!({"name": "DES1", "value": "canary-des", "domain": "idmsa.apple.com"});
    merge([apple_id(), json!({"session_cookies": {"https://idmsa.apple.com": [for_stand_in, for_apple]}})])
}

/// A session for the stand-in, as `fastlane spaceauth` prints it.
pub fn pasted_session() -> String {
    spaceauth(&[("myacinfo", "canary-session")])
        .replace("idmsa.apple.com", "127.0.0.1")
        .replace("secure: true", "secure: false")
}

/// The session of Apple's website that the cookies of [`connected_session`] and [`pasted_session`] belong to.
pub fn website_session(behaviours: Vec<Behaviour>) -> Session {
    let cookies = BTreeMap::from([("myacinfo".to_owned(), "canary-session".to_owned())]);
    let email_address = CONNECTED_APPLE_ID.to_owned();
    Session { cookies, email_address, behaviours, ..Session::default() }
}

/// Merges the fields of several documents into one. If a field occurs twice, the later value wins.
pub fn merge(parts: impl IntoIterator<Item = Value>) -> Value {
    let fields = parts.into_iter().flat_map(|part| part.as_object().expect("an object").clone());
    Value::Object(fields.collect())
}

/// Answers all requests with this status and asks to retry at once.
pub fn always_busy(code: u16) -> Vec<Behaviour> {
    vec![busy(code).forever()]
}

/// Answers one request with this status and asks to retry at once.
pub fn busy(code: u16) -> Behaviour {
    status(code, &[("Retry-After", "0")])
}

pub fn status(code: u16, headers: &[(&str, &str)]) -> Behaviour {
    let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Behaviour::Status { code, headers, body: String::new() }
}

pub fn redirect(to: impl Into<String>) -> Behaviour {
    Behaviour::Redirect { code: 302, to: to.into() }
}

/// A session as `fastlane spaceauth` prints it, with newlines written `\n`.
pub fn spaceauth(cookies: &[(&str, &str)]) -> String {
    let cookies = cookies.iter().map(|(name, value)| {
        format!(
            "- !ruby/object:HTTP::Cookie\\n  name: {name}\\n  value: {value}\\n  domain: idmsa.apple.com\\n  \
             for_domain: true\\n  path: \"/\"\\n  secure: true\\n  httponly: true\\n  expires: \\n  max_age: \\n  \
             created_at: 2026-01-01 12:00:00.000000000 +01:00\\n  accessed_at: 2026-01-01 12:00:01.000000000 +01:00\\n"
        )
    });
    format!("---\\n{}", cookies.collect::<String>())
}

/// The cookies in a value of `FASTLANE_SESSION`, loaded as fastlane loads them.
pub fn load_session(session: &str) -> Vec<BTreeMap<String, serde_yaml::Value>> {
    serde_yaml::from_str(&session.replace("\\n", "\n")).expect("fastlane can load the session")
}
