//! Generated cookies exported as `FASTLANE_SESSION`, which `tests/round_trip` reads with Ruby, and texts
//! pasted as a session.

use apple_services_connection::apple::cookie::CookieRecord;
use apple_services_connection::apple::session::Session;
use apple_services_connection::formats::fastlane_session::{from_pasted, to_variable};
use proptest::prelude::*;
use proptest::sample::select;
use secrecy::{ExposeSecret as _, SecretString};

use test_support::strategies::{Cookie, cookies, text};

/// The session of a connection with these cookies.
fn session(cookies: &[Cookie]) -> Session {
    let records: Vec<_> = cookies.iter().map(Cookie::record).collect();
    let json = serde_json::Value::Array(records).to_string();
    let records: Vec<CookieRecord> = serde_json::from_str(&json).expect("records");
    Session::from_connection(records, None).expect("cookies that the gem takes")
}

type Parts<'a> = (&'a str, &'a str, &'a str, bool, &'a str, bool, bool);

fn expected(cookie: &Cookie) -> Parts<'_> {
    let Cookie { name, value, domain, for_domain, path, secure, httponly, max_age: _ } = cookie;
    (name, value, domain, *for_domain, path, *secure, *httponly)
}

fn found(session: &Session) -> Vec<Parts<'_>> {
    let cookies = session.cookies.iter();
    cookies
        .map(|c| {
            let value = c.value.expose_secret();
            (c.name.as_str(), value, c.domain.as_str(), c.for_domain, c.path.as_str(), c.secure, c.httponly)
        })
        .collect()
}

/// Short parts of pasted sessions.
const SHORT_PARTS: &[&str] = &[
    "---\\n", "---\n", "- ", "  name: ", "'", "\"", "{", "}", "[", "]", ": ", ", ", "&a ", "*a", "<<: *a\n",
    "!<x> ", "|\n", ">-\n", "\n", "\\n", "...\n", "? ",
];

/// Longer parts of pasted sessions.
const LONG_PARTS: &[&str] = &[
    "- !ruby/object:HTTP::Cookie\n",
    "  name: myacinfo\n",
    "  value: ",
    "  value: x\n",
    "  domain: apple.com\n",
    "  path: \"/\"\n",
    "  expires:\n",
    "  max_age: 5\n",
    "export FASTLANE_SESSION='",
    "!!binary ",
    "%YAML 1.1\n",
    "name: DES1, value: v, domain: a.b",
];

/// Any part of a pasted session, or any text.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop_oneof![2 => select(SHORT_PARTS), 1 => select(LONG_PARTS)].prop_map(str::to_owned), 1 => text()]
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn any_cookies_are_read_back_from_fastlane_session_unchanged(cookies in cookies()) {
        let session = session(&cookies);
        let wanted: Vec<_> = cookies.iter().map(expected).collect();
        prop_assert_eq!(found(&session), wanted.clone());

        let exported = to_variable(&session);
        let line = exported.expose_secret();
        prop_assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "one line of ASCII: {}", line);
        // Unescaped as fastlane does it, and read with types that are not the Step's own.
        let yaml = line.replace("\\n", "\n");
        let read: Vec<serde_yaml::Value> = serde_yaml::from_str(&yaml).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(read.len(), cookies.len());
        for (read, cookie) in read.iter().zip(&cookies) {
            let serde_yaml::Value::Tagged(tagged) = read else { return Err(TestCaseError::fail("no tag")) };
            prop_assert_eq!(tagged.tag.to_string(), "!ruby/object:HTTP::Cookie");
            let null = serde_yaml::Value::Null;
            let field = |name: &str| tagged.value.get(name).unwrap_or(&null);
            let texts = ["name", "value", "domain", "path"].map(|name| field(name).as_str());
            let expected = [&cookie.name, &cookie.value, &cookie.domain, &cookie.path];
            prop_assert_eq!(texts, expected.map(|text| Some(text.as_str())));
            let flags = ["for_domain", "secure", "httponly"].map(|name| field(name).as_bool());
            prop_assert_eq!(flags, [cookie.for_domain, cookie.secure, cookie.httponly].map(Some));
            prop_assert_eq!(field("max_age").as_u64(), cookie.max_age.map(u64::from));
        }
    }

    #[test]
    fn an_exported_session_can_be_pasted_again(mut cookies in cookies(), wrapped in any::<bool>()) {
        cookies[0].name = "myacinfo".to_owned();
        // A pasted cookie has only the characters of Apple's cookies, and appears once.
        for (index, cookie) in cookies.iter_mut().enumerate() {
            let is_usual = |c: char| c.is_ascii_alphanumeric() || "-_~+/:|%".contains(c);
            cookie.value.retain(is_usual);
            cookie.path.retain(is_usual);
            cookie.name.retain(is_usual);
            cookie.name.push_str(&"x".repeat(index));
        }
        let exported = to_variable(&session(&cookies));
        let line = exported.expose_secret();
        // Inside single quotes, a shell takes every character but the single quote.
        let pasted = if wrapped && !line.contains('\'') { format!("export FASTLANE_SESSION='{line}'\n") } else { line.to_owned() };
        let again = from_pasted(&SecretString::from(pasted));
        let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(found(&again), cookies.iter().map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn any_text_is_read_as_a_session_or_refused(
        pieces in prop::collection::vec(piece(), 0..40),
    ) {
        if let Err(error) = from_pasted(&SecretString::from(pieces.concat())) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
