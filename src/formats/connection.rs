//! The credential in the format of [`crate::bitrise::connection`], for Bitrise's Steps that only read the connection.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::to_json;
use crate::apple::api_key::IssuerId;
use crate::apple::cookie::Cookie;
use crate::apple::device::Device;
use crate::apple::session::IDMSA_ORIGIN;
use crate::credential::{AppleId, Credential};
use crate::timestamp::rfc3339_exact;

#[derive(Serialize)]
#[serde(untagged)]
enum Document<'a> {
    ApiKey {
        key_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        issuer_id: Option<&'a str>,
        private_key: &'a str,
        is_enterprise_account: bool,
        test_devices: &'a [Device],
    },
    AppleId {
        apple_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        app_specific_password: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        connection_expiry_date: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_cookies: Option<BTreeMap<&'static str, Vec<CookieJson<'a>>>>,
        test_devices: &'a [Device],
    },
}

#[derive(Serialize)]
struct CookieJson<'a> {
    name: &'a str,
    value: &'a str,
    domain: &'a str,
    /// Omitted if true, as in Bitrise's documents: ios-auto-provision expects text here, and fails on `true`
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
    /// When `max_age` begins. Bitrise's documents don't have this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

/// Returns the credential and the test devices as one line of JSON.
#[must_use]
pub fn json(credential: &Credential, test_devices: &[Device]) -> Zeroizing<Vec<u8>> {
    to_json(&match credential {
        Credential::ApiKey(key) => Document::ApiKey {
            key_id: key.id.as_str(),
            issuer_id: key.issuer.as_ref().map(IssuerId::as_str),
            private_key: key.private_key.expose_pem(),
            is_enterprise_account: key.is_enterprise,
            test_devices,
        },
        Credential::AppleId(AppleId { email, password, app_password, session }) => Document::AppleId {
            apple_id: email.expose_secret(),
            password: password.as_ref().map(SecretString::expose_secret),
            app_specific_password: app_password.as_ref().map(SecretString::expose_secret),
            connection_expiry_date: session.as_ref().and_then(|session| rfc3339_exact(session.expires_at?)),
            session_cookies: session.as_ref().map(|session| {
                BTreeMap::from([(IDMSA_ORIGIN, session.cookies.iter().map(cookie_json).collect())])
            }),
            test_devices,
        },
    })
}

fn cookie_json(cookie: &Cookie) -> CookieJson<'_> {
    CookieJson {
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
