//! Generated cookies exported as `FASTLANE_SESSION`. `tests/round_trip` reads them with Ruby, and the fuzz target
//! `session` tests arbitrary pasted text.

use apple_services_connection::formats::fastlane_session::{from_pasted, to_variable};
use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};

use test_support::load_session;
use test_support::strategies::{cookies, session};

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn any_cookies_are_read_back_from_fastlane_session_unchanged(cookies in cookies()) {
        let exported = to_variable(&session(&cookies));
        let line = exported.expose_secret();
        prop_assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "one line of ASCII: {}", line);
        prop_assert_eq!(line.matches("- !ruby/object:HTTP::Cookie\\n").count(), cookies.len());
        let read = load_session(line);
        prop_assert_eq!(read.len(), cookies.len());
        for (read, cookie) in read.iter().zip(&cookies) {
            for (name, value) in cookie.record().as_object().expect("an object") {
                let found = read.get(name).map(|value| serde_json::to_value(value).expect("JSON"));
                prop_assert_eq!(&found.unwrap_or_default(), value, "{}", name);
            }
        }
    }

    #[test]
    fn an_exported_session_can_be_pasted_again(mut cookies in cookies(), has_export in any::<bool>()) {
        cookies[0].name = "myacinfo".to_owned();
        // The Step accepts pasted cookies only with the characters of Apple's cookies, and each name only once.
        for (index, cookie) in cookies.iter_mut().enumerate() {
            let is_usual = |c: char| c.is_ascii_alphanumeric() || "-_~+/:|%".contains(c);
            cookie.value.retain(is_usual);
            cookie.path.retain(is_usual);
            cookie.name.retain(is_usual);
            cookie.name.push_str(&"x".repeat(index));
        }
        let exported = to_variable(&session(&cookies));
        let line = exported.expose_secret();
        // Inside single quotes, a shell takes every character literally, except the single quote.
        let pasted = if has_export && !line.contains('\'') { format!("export FASTLANE_SESSION='{line}'\n") } else { line.to_owned() };
        let again = from_pasted(&SecretString::from(pasted));
        let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let exported_again = to_variable(&again);
        prop_assert_eq!(exported_again.expose_secret(), line);
    }
}
