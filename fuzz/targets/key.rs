//! Arbitrary bytes are either rejected as a private key, or yield a key in its canonical form.
#![no_main]

use apple_services_connection::apple::private_key::PrivateKey;
use apple_services_connection::redact::may_hold_secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match PrivateKey::from_bytes(bytes) {
        Ok(key) => {
            let pem = key.expose_pem();
            let again = PrivateKey::from_bytes(pem.as_bytes()).expect("the canonical form is a key");
            assert_eq!(again.expose_pem(), pem, "the canonical form is its own canonical form");
            assert!(may_hold_secret(pem));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
