//! Generated connections whose fields have the right types. The fuzz target `connection` tests arbitrary bytes.

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

/// Valid values of some fields, the header of a key, and dates that the parser must reject.
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

/// A connection whose fields have the right types and any content.
fn connection() -> impl Strategy<Value = Value> {
    let text_or_null = || prop_oneof![1 => Just(Value::Null), 2 => select(VALUES).prop_map(Value::from), 3 => text().prop_map(Value::from)];
    let number = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from)];
    let cookie = (prop::collection::vec(text_or_null(), 6), number).prop_map(|(texts, max_age)| {
        let names = ["name", "value", "domain", "path", "expires", "created_at"].map(str::to_owned);
        let mut cookie: Map<_, _> = names.into_iter().zip(texts).collect();
        cookie.insert("max_age".to_owned(), max_age);
        Value::Object(cookie)
    });
    let device = prop::collection::vec(text_or_null(), 3).prop_map(|texts| {
        let names = ["device_identifier", "title", "device_type"].map(str::to_owned);
        Value::Object(names.into_iter().zip(texts).collect())
    });
    let lists = (prop::collection::vec(cookie, 0..4), prop::collection::vec(device, 0..4));
    (prop::collection::vec(text_or_null(), TEXT_FIELDS.len()), lists).prop_map(
        |(texts, (cookies, devices))| {
            let names = TEXT_FIELDS.iter().map(|&name| name.to_owned());
            let mut fields: Map<_, _> = names.zip(texts).collect();
            fields.insert(
                "session_cookies".to_owned(),
                serde_json::json!({"https://idmsa.apple.com": cookies}),
            );
            fields.insert("test_devices".to_owned(), Value::from(devices));
            Value::Object(fields)
        },
    )
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn any_well_typed_connection_gives_a_credential_or_an_error(json in connection()) {
        let document = json.to_string();
        let connection = Connection::from_json(document.as_bytes());
        let mut connection = connection.map_err(|error| TestCaseError::fail(format!("{error}: {document}")))?;
        drop(device::normalize(connection.test_devices.as_deref().unwrap_or_default()));
        if let Err(error) = api_key(&connection) {
            prop_assert!(error.to_string().ends_with('.'), "{error}");
        }
        let (app_password, needs_session, now) = (None, true, OffsetDateTime::UNIX_EPOCH);
        match apple_id(&mut connection, app_password, needs_session, now, &mut RunLog::default()) {
            Ok(Some(apple_id)) => drop(apple_id.session.as_ref().map(to_variable)),
            Ok(None) => {}
            Err(error) => prop_assert!(error.to_string().ends_with('.'), "{error}"),
        }
    }

    #[test]
    fn a_truncated_connection_is_rejected(json in connection(), length in any::<prop::sample::Index>()) {
        let document = json.to_string();
        let cut = &document.as_bytes()[..length.index(document.len())];
        prop_assert!(Connection::from_json(cut).is_err());
    }
}
