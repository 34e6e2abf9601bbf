//! Arbitrary text is either rejected as a pasted session, or yields a session that reads back unchanged from
//! `FASTLANE_SESSION`.
#![no_main]

use apple_services_connection::apple::cookie::Cookie;
use apple_services_connection::formats::fastlane_session::{from_pasted, to_variable};
use libfuzzer_sys::fuzz_target;
use secrecy::{ExposeSecret as _, SecretString};

fuzz_target!(|text: &str| {
    let session = match from_pasted(&SecretString::from(text)) {
        Ok(session) => session,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let exported = to_variable(&session);
    assert!(exported.expose_secret().bytes().all(|b| (b' '..=b'~').contains(&b)), "one line of ASCII");
    // Escapes can make it longer than the limit for pasted text.
    if exported.expose_secret().len() > 256 * 1024 {
        return;
    }
    let again = from_pasted(&exported).expect("an exported session can be pasted");
    assert_eq!(again.expires_at, session.expires_at);
    assert!(again.cookies.iter().map(parts).eq(session.cookies.iter().map(parts)));
});

fn parts(cookie: &Cookie) -> impl PartialEq + '_ {
    let Cookie { name, value, domain, for_domain, path, secure, httponly, expires, max_age, created_at } =
        cookie;
    let lifetime = (expires, max_age, created_at);
    (name, value.expose_secret(), domain, for_domain, path, secure, httponly, lifetime)
}
