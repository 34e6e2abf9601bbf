//! Arbitrary bytes are either rejected as a connection document, or parsed. If they contain a credential, the
//! Step's own document with it yields the same credential.
#![no_main]

use apple_services_connection::apple::cookie::Cookie;
use apple_services_connection::apple::device;
use apple_services_connection::apple::session::Session;
use apple_services_connection::bitrise::connection::Connection;
use apple_services_connection::credential::{AppleId, Credential};
use apple_services_connection::formats;
use apple_services_connection::formats::fastlane_session::to_variable;
use apple_services_connection::log::RunLog;
use apple_services_connection::sources::connection::{api_key, apple_id};
use libfuzzer_sys::fuzz_target;
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

fuzz_target!(|bytes: &[u8]| {
    let mut connection = match Connection::from_json(bytes) {
        Ok(connection) => connection,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let devices = device::normalize(connection.test_devices.as_deref().unwrap_or_default()).0;

    if let Ok(Some(key)) = api_key(&connection) {
        let again = read_back(&formats::connection::json(&Credential::ApiKey(key.clone()), &devices));
        let again = api_key(&again).expect("a complete key").expect("the key");
        assert_eq!((again.id, again.issuer, again.is_enterprise), (key.id, key.issuer, key.is_enterprise));
        assert_eq!(again.private_key.expose_pem(), key.private_key.expose_pem());
    }

    if let Some(apple_id) = read_apple_id(&mut connection) {
        if let Some(session) = &apple_id.session {
            assert!(to_variable(session).expose_secret().bytes().all(|b| (b' '..=b'~').contains(&b)));
        }
        let again = formats::connection::json(&Credential::AppleId(apple_id.clone()), &devices);
        let again = read_apple_id(&mut read_back(&again)).expect("the Apple ID");
        assert_eq!(again.email.expose_secret(), apple_id.email.expose_secret());
        assert_eq!(exposed(&again.password), exposed(&apple_id.password));
        assert_eq!(exposed(&again.app_password), exposed(&apple_id.app_password));
        assert_eq!(cookies(&again.session), cookies(&apple_id.session));
    }
});

/// Uses the Unix epoch as the current time, so that no session has expired.
fn read_apple_id(connection: &mut Connection) -> Option<AppleId> {
    let now = OffsetDateTime::UNIX_EPOCH;
    apple_id(connection, None, true, now, &mut RunLog::default()).ok()?
}

fn read_back(json: &[u8]) -> Connection {
    Connection::from_json(json).expect("the Step reads what it writes")
}

fn exposed(secret: &Option<SecretString>) -> Option<&str> {
    secret.as_ref().map(SecretString::expose_secret)
}

fn cookies(session: &Option<Session>) -> Vec<(&str, &str, &str, bool, &str, bool, bool)> {
    let cookies = session.iter().flat_map(|session| &session.cookies);
    cookies
        .map(|cookie| {
            let Cookie { name, value, domain, for_domain, path, secure, httponly, .. } = cookie;
            (
                name.as_str(),
                value.expose_secret(),
                domain.as_str(),
                *for_domain,
                path.as_str(),
                *secure,
                *httponly,
            )
        })
        .collect()
}
