//! Checks tokens as Apple checks them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::Account;
use crate::http::Head;

/// Apple's limit for `exp - iat`, in seconds.
const MAX_LIFETIME_SECONDS: i64 = 20 * 60;

/// A token's header. It can have other fields, which Apple ignores.
#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "not_null")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    sub: Option<String>,
    aud: String,
    /// Optional, because Codemagic's tools omit it and Apple accepts their tokens.
    #[serde(default, deserialize_with = "not_null")]
    iat: Option<i64>,
    exp: i64,
}

/// Rejects `null`, which `Option` would accept.
fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Checks the header `Authorization` of a request. The error is the reason why Apple would refuse it.
///
/// `now` is Apple's time in Unix seconds. The token is a JWT that is valid for at most 20 minutes and signed with
/// ES256. Tokens of team keys have the issuer, tokens of individual keys have `sub: user` instead.
///
/// <https://developer.apple.com/documentation/appstoreconnectapi/generating-tokens-for-api-requests>
pub(super) fn check_authorization(account: &Account, head: &Head, now: i64) -> Result<(), String> {
    let sent: Vec<_> = head.values("Authorization").collect();
    let [authorization] = sent.as_slice() else {
        return Err(format!("{} Authorization headers", sent.len()));
    };
    let token =
        authorization.strip_prefix("Bearer ").ok_or("Authorization does not start with \"Bearer \"")?;
    check_token(account, token, now)
}

fn check_token(account: &Account, token: &str, now: i64) -> Result<(), String> {
    let three_parts = || {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        (!claims.contains('.')).then_some((signed, header, claims, signature))
    };
    let Some((signed, header, claims, signature)) = three_parts() else {
        let parts = token.split('.').count();
        return Err(format!("the token has {parts} parts, not 3"));
    };

    let header: TokenHeader = decode_json("header", header)?;
    expect_equal("alg", &header.alg, "ES256")?;
    expect_equal("typ", &header.typ, "JWT")?;
    expect_equal("kid", &header.kid, &account.key_id)?;

    let signature = decode("signature", signature)?;
    if !account.public_key.verifies(signed.as_bytes(), &signature) {
        return Err("the token is not signed by the account's key".to_owned());
    }

    let claims: Claims = decode_json("claims", claims)?;
    check_claims(account, &claims, now)
}

fn check_claims(account: &Account, claims: &Claims, now: i64) -> Result<(), String> {
    match (&account.issuer_id, &claims.iss, &claims.sub) {
        (Some(issuer_id), Some(iss), None) => expect_equal("iss", iss, issuer_id)?,
        (Some(_), _, Some(_)) => return Err("a team key's token has sub".to_owned()),
        (Some(_), None, None) => return Err("a team key's token has no iss".to_owned()),
        (None, None, Some(sub)) => expect_equal("sub", sub, "user")?,
        (None, Some(_), _) => return Err("an individual key's token has iss".to_owned()),
        (None, None, None) => return Err("an individual key's token has no sub".to_owned()),
    }
    let audience = if account.enterprise { "apple-developer-enterprise-v1" } else { "appstoreconnect-v1" };
    expect_equal("aud", &claims.aud, audience)?;

    let Claims { iat, exp, .. } = *claims;
    let iat = iat.unwrap_or(now);
    if iat > now {
        let seconds = iat.saturating_sub(now);
        return Err(format!("iat is {seconds} s in the future"));
    }
    if exp <= now {
        let seconds = now.saturating_sub(exp);
        return Err(format!("the token expired {seconds} s ago"));
    }
    let lifetime = exp.saturating_sub(iat);
    if lifetime > MAX_LIFETIME_SECONDS {
        return Err(format!("exp - iat is {lifetime} s, more than {MAX_LIFETIME_SECONDS}"));
    }
    Ok(())
}

fn expect_equal(what: &str, found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found:?}, not {expected:?}")) }
}

fn decode(what: &str, part: &str) -> Result<Vec<u8>, String> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|error| format!("the token's {what} is not base64url: {error}"))
}

fn decode_json<T: DeserializeOwned>(what: &str, part: &str) -> Result<T, String> {
    serde_json::from_slice(&decode(what, part)?).map_err(|error| format!("{what}: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::keys::{P256, PublicKey};

    #[test]
    fn the_times_in_a_token_are_checked_to_the_second() {
        const NOW: i64 = 1_700_000_000;
        let key = P256::generate().unwrap();
        let account = Account {
            public_key: PublicKey::from_spki_pem(&key.public_pem).unwrap(),
            key_id: "ABCDE12345".to_owned(),
            issuer_id: None,
            enterprise: false,
            clock_skew_seconds: 0,
            behaviours: Vec::new(),
        };
        for (iat, exp, is_valid) in [
            (NOW, NOW + 1, true),
            (NOW + 1, NOW + 2, false),
            (NOW - 1, NOW, false),
            (NOW, NOW, false),
            (NOW, NOW + 1200, true),
            (NOW, NOW + 1201, false),
            (NOW - 1199, NOW + 1, true),
            (NOW - 1200, NOW + 1, false),
            (i64::MIN, i64::MAX, false),
        ] {
            let claims = Claims {
                iss: None,
                sub: Some("user".to_owned()),
                aud: "appstoreconnect-v1".to_owned(),
                iat: Some(iat),
                exp,
            };
            let checked = check_claims(&account, &claims, NOW);
            assert_eq!(checked.is_ok(), is_valid, "{iat} {exp} {checked:?}");
        }
    }
}
