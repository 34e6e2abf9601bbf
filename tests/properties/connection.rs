//! Generated connections.

use apple_services_connection::apple::device;
use apple_services_connection::bitrise::connection::Connection;
use apple_services_connection::formats::fastlane_session::to_variable;
use apple_services_connection::log::RunLog;
use apple_services_connection::sources::connection::{api_key, apple_id};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use test_support::strategies::text;

const TEXT_FIELDS: &[&str] = &[
    "key_id",
    "issuer_id",
    "private_key",
    "apple_id",
    "password",
    "app_specific_password",
    "connection_expiry_date",
];

const OTHER_FIELDS: &[&str] = &[
    "is_enterprise_account",
    "session_cookies",
    "test_devices",
    "https://idmsa.apple.com",
    "name",
    "value",
    "domain",
    "for_domain",
    "path",
    "secure",
    "httponly",
    "expires",
    "max_age",
    "created_at",
    "device_identifier",
    "title",
    "device_type",
];

const VALUES: &[&str] = &[
    "2X9R4HXF34",
    "57246542-96fe-1a63-e053-0824d011072a",
    "2031-01-02T03:04:05Z",
    "+262142-12-31T00:00:00Z",
    "myacinfo",
    "/",
    "-----BEGIN PRIVATE KEY-----",
    "apple.com",
    "0000-00-00T00:00:00+99:99",
];

/// Any JSON, most often with names and values that the Step reads.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(VALUES).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 12, |inner| {
        let name = prop_oneof![2 => select(TEXT_FIELDS).prop_map(str::to_owned), 4 => select(OTHER_FIELDS).prop_map(str::to_owned), 1 => text()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..12)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A connection whose fields have the right types and any content.
fn connection() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![1 => Just(Value::Null), 2 => select(VALUES).prop_map(Value::from), 3 => text().prop_map(Value::from)];
    let number = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from)];
    let cookie = (prop::collection::vec(text(), 6), number).prop_map(|(texts, max_age)| {
        let names = ["name", "value", "domain", "path", "expires", "created_at"].map(str::to_owned);
        let mut cookie: Map<_, _> = names.into_iter().zip(texts).collect();
        cookie.insert("max_age".to_owned(), max_age);
        Value::Object(cookie)
    });
    let device = prop::collection::vec(text(), 3).prop_map(|texts| {
        let names = ["device_identifier", "title", "device_type"].map(str::to_owned);
        Value::Object(names.into_iter().zip(texts).collect())
    });
    let lists = (prop::collection::vec(cookie, 0..4), prop::collection::vec(device, 0..4));
    (prop::collection::vec(text(), TEXT_FIELDS.len()), lists).prop_map(|(texts, (cookies, devices))| {
        let names = TEXT_FIELDS.iter().map(|&name| name.to_owned());
        let mut fields: Map<_, _> = names.zip(texts).collect();
        fields.insert("session_cookies".to_owned(), serde_json::json!({"https://idmsa.apple.com": cookies}));
        fields.insert("test_devices".to_owned(), Value::from(devices));
        Value::Object(fields)
    })
}

/// Reads a document as a run does: it must not panic.
fn read(document: &[u8]) -> Result<(), TestCaseError> {
    let mut connection = match Connection::from_json(document) {
        Ok(connection) => connection,
        Err(error) => {
            prop_assert!(!error.to_string().is_empty());
            return Ok(());
        }
    };
    let mut warnings = RunLog::default();
    drop(device::normalize(connection.test_devices.as_deref().unwrap_or_default()));
    if let Err(error) = api_key(&connection) {
        prop_assert!(error.to_string().ends_with('.'), "{error}");
    }
    match apple_id(&mut connection, None, true, OffsetDateTime::UNIX_EPOCH, &mut warnings) {
        Ok(Some(apple_id)) => drop(apple_id.session.as_ref().map(to_variable)),
        Ok(None) => {}
        Err(error) => prop_assert!(error.to_string().ends_with('.'), "{error}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn any_json_is_read_as_a_connection_or_refused(json in json()) {
        read(json.to_string().as_bytes())?;
    }

    #[test]
    fn any_well_typed_connection_gives_a_credential_or_an_error(json in connection()) {
        let document = json.to_string();
        prop_assert!(Connection::from_json(document.as_bytes()).is_ok(), "{document}");
        read(document.as_bytes())?;
    }

    #[test]
    fn any_bytes_are_read_as_a_connection_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes)?;
    }

    #[test]
    fn a_truncated_connection_is_refused(json in connection(), at in any::<prop::sample::Index>()) {
        let document = json.to_string();
        let cut = &document.as_bytes()[..at.index(document.len())];
        prop_assert!(Connection::from_json(cut).is_err());
    }
}
