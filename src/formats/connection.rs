//! The credential in the connection's own format, for Bitrise's Steps that only read the connection.
//!
//! The fields are those of [`crate::bitrise::connection`], which reads the document back.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::to_json;
use crate::apple::api_key::IssuerId;
use crate::apple::cookie::Cookie;
use crate::apple::device::Device;
use crate::apple::session::IDMSA_ORIGIN;
use crate::credential::Credential;
use crate::timestamp::rfc3339_exact;

#[derive(Default, Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_enterprise_account: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apple_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_specific_password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_expiry_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_cookies: Option<BTreeMap<&'static str, Vec<CookieRecord<'a>>>>,
    test_devices: &'a [Device],
}

#[derive(Serialize)]
struct CookieRecord<'a> {
    name: &'a str,
    value: &'a str,
    domain: &'a str,
    /// Omitted if true, as on Bitrise: ios-auto-provision treats it as text, and fails on `true`
    /// (`lib/autoprovision/auth_helper.rb`).
    #[serde(skip_serializing_if = "Option::is_none")]
    for_domain: Option<bool>,
    path: &'a str,
    secure: bool,
    httponly: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<i64>,
    /// When `max_age` begins. Bitrise omits this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

/// Returns the document as one line of JSON.
#[must_use]
pub fn json(credential: &Credential, test_devices: &[Device]) -> Zeroizing<Vec<u8>> {
    to_json(&match credential {
        Credential::ApiKey(key) => Document {
            key_id: Some(key.id.as_str()),
            issuer_id: key.issuer().map(IssuerId::as_str),
            private_key: Some(key.private_key.expose_pem()),
            is_enterprise_account: Some(key.enterprise),
            test_devices,
            ..Document::default()
        },
        Credential::AppleId(apple_id) => {
            let session = apple_id.session.as_ref();
            Document {
                apple_id: Some(apple_id.email.expose_secret()),
                password: apple_id.password.as_ref().map(SecretString::expose_secret),
                app_specific_password: apple_id.app_password.as_ref().map(SecretString::expose_secret),
                connection_expiry_date: session.and_then(|session| rfc3339_exact(session.expires_at?)),
                session_cookies: session.map(|session| {
                    BTreeMap::from([(IDMSA_ORIGIN, session.cookies.iter().map(cookie_record).collect())])
                }),
                test_devices,
                ..Document::default()
            }
        }
    })
}

fn cookie_record(cookie: &Cookie) -> CookieRecord<'_> {
    CookieRecord {
        name: &cookie.name,
        value: cookie.value.expose_secret(),
        domain: &cookie.domain,
        for_domain: (!cookie.for_domain).then_some(false),
        path: &cookie.path,
        secure: cookie.secure,
        httponly: cookie.httponly,
        expires: cookie.expires.and_then(rfc3339_exact),
        max_age: cookie.max_age,
        created_at: cookie.created_at.and_then(rfc3339_exact),
    }
}
