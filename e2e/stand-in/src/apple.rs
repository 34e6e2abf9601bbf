//! The App Store Connect API, and the session check of App Store Connect's website.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::http::{Answer, Head, Judgement};
use crate::scenario::{Account, Provider, Session};

/// The session check, below the website's origin.
pub(crate) const SESSION_PATH: &str = "olympus/v1/session";

/// Apple's limit for `exp - iat`, in seconds.
const LONGEST_LIFE: i64 = 20 * 60;

/// `GET /v1/apps?limit=1` and `GET /v1/bundleIds?limit=1`
///
/// `path` is what follows the base URL, `now` is the service's own clock in Unix seconds.
///
/// <https://developer.apple.com/documentation/appstoreconnectapi/generating-tokens-for-api-requests>
pub(crate) fn api(account: &Account, head: &Head, path: &str, origin: &str, now: i64) -> Judgement {
    if let Err(why) = check_authorization(account, head, now) {
        return Judgement::refused(not_authorized(), why);
    }
    // The enterprise API has no apps: nothing there goes to the App Store.
    let known = match path {
        "v1/apps" => !account.enterprise,
        "v1/bundleIds" => true,
        _ => false,
    };
    if !known {
        let answer = error(
            404,
            "NOT_FOUND",
            "The specified resource does not exist",
            &format!("The path provided does not match a defined resource type: /{path}"),
        );
        return Judgement::refused(answer, format!("this account has no /{path}"));
    }
    if head.query() != Some("limit=1") {
        let answer = error(
            400,
            "PARAMETER_ERROR.ILLEGAL",
            "A parameter has an invalid value",
            "The only query known here is limit=1",
        );
        let sent = head.query().unwrap_or("none");
        return Judgement::refused(answer, format!("the query is not limit=1: {sent}"));
    }
    let found = json!({
        "data": [],
        "links": {"self": format!("{origin}{}", head.target)},
        "meta": {"paging": {"total": 0, "limit": 1}},
    });
    Judgement::ok(Answer::json(200, found.to_string()))
}

/// `GET /olympus/v1/session`
pub(crate) fn session(session: &Session, head: &Head) -> Judgement {
    if let Err(why) = check_cookies(&session.cookies, head) {
        let nobody = json!({"provider": null, "availableProviders": []});
        return Judgement::refused(Answer::json(401, nobody.to_string()), why);
    }
    let user = json!({"fullName": "Jane Doe", "emailAddress": session.email_address});
    let available: Vec<_> = session.available_providers.iter().map(provider).collect();
    let mut answer =
        Map::from_iter([("user".to_owned(), user), ("availableProviders".to_owned(), available.into())]);
    if let Some(selected) = &session.provider {
        answer.insert("provider".to_owned(), provider(selected));
    }
    Judgement::ok(Answer::json(200, Value::Object(answer).to_string()))
}

fn provider(provider: &Provider) -> Value {
    json!({
        "providerId": provider.provider_id,
        "name": provider.name,
        "contentTypes": ["SOFTWARE"],
    })
}

/// A token's header. Names that Apple does not look at may be there.
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
    /// Codemagic's tools, which are in daily use, send none.
    #[serde(default, deserialize_with = "not_null")]
    iat: Option<i64>,
    exp: i64,
}

fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn check_authorization(account: &Account, head: &Head, now: i64) -> Result<(), String> {
    let sent: Vec<_> = head.values("Authorization").collect();
    let [authorization] = sent.as_slice() else {
        return Err(format!("{} headers Authorization", sent.len()));
    };
    let token = authorization
        .strip_prefix("Bearer ")
        .ok_or("Authorization does not begin with Bearer and one space")?;
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
    expect("alg", &header.alg, "ES256")?;
    expect("typ", &header.typ, "JWT")?;
    expect("kid", &header.kid, &account.key_id)?;

    let signature = decode("signature", signature)?;
    if !account.public_key.verifies(signed.as_bytes(), &signature) {
        return Err("the signature is not by the account's key".to_owned());
    }

    let claims: Claims = decode_json("claims", claims)?;
    check_claims(account, &claims, now)
}

fn check_claims(account: &Account, claims: &Claims, now: i64) -> Result<(), String> {
    match (&account.issuer_id, &claims.iss, &claims.sub) {
        (Some(issuer_id), Some(iss), None) => expect("iss", iss, issuer_id)?,
        (Some(_), _, Some(_)) => return Err("a team key's token has sub".to_owned()),
        (Some(_), None, None) => return Err("a team key's token has no iss".to_owned()),
        (None, None, Some(sub)) => expect("sub", sub, "user")?,
        (None, Some(_), _) => return Err("an individual key's token has iss".to_owned()),
        (None, None, None) => return Err("an individual key's token has no sub".to_owned()),
    }
    let audience = if account.enterprise { "apple-developer-enterprise-v1" } else { "appstoreconnect-v1" };
    expect("aud", &claims.aud, audience)?;

    let Claims { iat, exp, .. } = *claims;
    let iat = iat.unwrap_or(now);
    if iat > now {
        let by = iat.saturating_sub(now);
        return Err(format!("iat is {by} s in the future"));
    }
    if exp <= now {
        let by = now.saturating_sub(exp);
        return Err(format!("exp was {by} s ago"));
    }
    let life = exp.saturating_sub(iat);
    if life > LONGEST_LIFE {
        return Err(format!("exp - iat is {life} s, more than {LONGEST_LIFE}"));
    }
    Ok(())
}

fn expect(what: &str, found: &str, expected: &str) -> Result<(), String> {
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

/// RFC 6265, section 4.2.1: one header, pairs with `; ` between them.
fn check_cookies(expected: &BTreeMap<String, String>, head: &Head) -> Result<(), String> {
    let sent: Vec<_> = head.values("Cookie").collect();
    let [header] = sent.as_slice() else {
        return Err(format!("{} headers Cookie", sent.len()));
    };
    let mut found = BTreeMap::new();
    for pair in header.split("; ") {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("not a cookie: {pair:?}"))?;
        if name.is_empty() || pair.contains([';', ' ']) {
            return Err(format!("not a cookie: {pair:?}"));
        }
        if found.insert(name, value).is_some() {
            return Err(format!("the cookie {name} came twice"));
        }
    }
    for (name, value) in expected {
        match found.remove(name.as_str()) {
            None => return Err(format!("the cookie {name} is absent")),
            Some(other) if other != value => {
                return Err(format!("the cookie {name} has another value"));
            }
            Some(_) => {}
        }
    }
    match found.keys().next() {
        Some(name) => Err(format!("the cookie {name} is not of this session")),
        None => Ok(()),
    }
}

fn not_authorized() -> Answer {
    error(
        401,
        "NOT_AUTHORIZED",
        "Authentication credentials are missing or invalid.",
        "Provide a properly configured and signed bearer token, and make sure that it has not expired.",
    )
}

/// <https://developer.apple.com/documentation/appstoreconnectapi/errorresponse>
fn error(status: u16, code: &str, title: &str, detail: &str) -> Answer {
    let errors = json!({"errors": [{
        "status": status.to_string(),
        "code": code,
        "title": title,
        "detail": detail,
    }]});
    Answer::json(status, errors.to_string())
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
        for (iat, exp, good) in [
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
            assert_eq!(checked.is_ok(), good, "{iat} {exp} {checked:?}");
        }
    }
}
