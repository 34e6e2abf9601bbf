use std::time::UNIX_EPOCH;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING};
use base64::Engine as _;
use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use stand_in::keys::P256;

use crate::api::{Api, ISSUER, claims, header, now, sign, sign_as, with};
use crate::client::get;

#[test]
fn a_team_token_opens_the_api() {
    let api = Api::new(|_| {});
    let token = sign(&api.key, &header(), &claims());

    let received = api.apps(&token);

    assert_eq!(api.why(), "ok");
    assert_eq!(received.status(), 200);
    assert_eq!(
        received.json(),
        json!({
            "data": [],
            "links": {"self": format!("{}/v1/apps?limit=1", api.base)},
            "meta": {"paging": {"total": 0, "limit": 1}},
        })
    );
}

#[test]
fn an_individual_token_opens_the_api() {
    let api = Api::new(|account| account.issuer_id = None);
    let claims = with(with(claims(), "iss", Value::Null), "sub", json!("user"));
    assert_eq!(api.apps(&sign(&api.key, &header(), &claims)).status(), 200, "{}", api.why());
}

#[test]
fn each_fault_in_a_token_header_is_refused() {
    let api = Api::new(|_| {});
    for (name, value, why) in [
        ("alg", json!("ES384"), "alg is"),
        ("alg", json!("none"), "alg is"),
        ("alg", json!("es256"), "alg is"),
        ("alg", Value::Null, "missing field `alg`"),
        ("typ", json!("jwt"), "typ is"),
        ("typ", Value::Null, "missing field `typ`"),
        ("kid", json!("ABCDE12346"), "kid is"),
        ("kid", json!(12345), "header: invalid type"),
        ("kid", Value::Null, "missing field `kid`"),
    ] {
        let header = with(header(), name, value);
        api.refuses(&sign(&api.key, &header, &claims()), why);
    }
}

#[test]
fn each_fault_in_the_claims_is_refused() {
    let api = Api::new(|_| {});
    let soon = now() + 1000;
    for (name, value, why) in [
        ("iss", json!(ISSUER.to_uppercase()), "iss is"),
        ("iss", Value::Null, "has no iss"),
        ("sub", json!("user"), "has sub"),
        ("aud", json!("apple-developer-enterprise-v1"), "aud is"),
        ("aud", json!(["appstoreconnect-v1"]), "claims: invalid type"),
        ("aud", Value::Null, "missing field `aud`"),
        ("iat", json!(now() + 30), "in the future"),
        ("iat", json!(soon - 1201), "more than 1200"),
        ("iat", json!(0.5), "claims: invalid type"),
        ("iat", json!(i64::MIN), "more than 1200"),
        ("exp", json!(now()), "exp was"),
        ("exp", json!(now() - 61), "exp was"),
        ("exp", json!(now() + 1150), "more than 1200"),
        ("exp", json!(soon.to_string()), "claims: invalid type"),
        ("exp", Value::Null, "missing field `exp`"),
    ] {
        let claims = with(claims(), name, value);
        api.refuses(&sign(&api.key, &header(), &claims), why);
    }
    let claims = claims().to_string().replace("\"iss\"", "\"sub\":null,\"iss\"");
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let token = sign_as(algorithm, &api.key, &header().to_string(), &claims);
    api.refuses(&token, "claims: invalid type: null");
    let claims = claims.replace("\"sub\":null", "\"exp\":1");
    let token = sign_as(algorithm, &api.key, &header().to_string(), &claims);
    api.refuses(&token, "duplicate field `exp`");
}

#[test]
fn without_iat_a_token_may_live_for_1200_seconds_from_now() {
    let api = Api::new(|_| {});
    let without_iat = with(claims(), "iat", Value::Null);
    let token = sign(&api.key, &header(), &without_iat);
    assert_eq!(api.apps(&token).status(), 200, "{}", api.why());
    let long = with(without_iat, "exp", json!(now() + 1230));
    api.refuses(&sign(&api.key, &header(), &long), "more than 1200");
}

#[test]
fn each_fault_in_an_individual_tokens_claims_is_refused() {
    let api = Api::new(|account| account.issuer_id = None);
    let right = with(with(claims(), "iss", Value::Null), "sub", json!("user"));
    for (name, value, why) in [
        ("sub", json!("User"), "sub is"),
        ("sub", Value::Null, "has no sub"),
        ("iss", json!(ISSUER), "has iss"),
    ] {
        let claims = with(right.clone(), name, value);
        api.refuses(&sign(&api.key, &header(), &claims), why);
    }
}

#[test]
fn each_fault_in_a_signature_is_refused() {
    let api = Api::new(|_| {});
    let token = sign(&api.key, &header(), &claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let raw = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let tampered = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut raw = raw.clone();
        change(&mut raw);
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(raw))
    };
    let not_ours = "not by the account's key";

    api.refuses(&sign(&P256::generate().unwrap(), &header(), &claims()), not_ours);
    api.refuses(&tampered(&|raw| raw[40] ^= 1), not_ours);
    api.refuses(&tampered(&|raw| raw.truncate(63)), not_ours);
    api.refuses(&tampered(&|raw| raw.push(0)), not_ours);
    api.refuses(&tampered(&Vec::clear), not_ours);
    api.refuses(
        &sign_as(&ECDSA_P256_SHA256_ASN1_SIGNING, &api.key, &header().to_string(), &claims().to_string()),
        not_ours,
    );
    let other = with(claims(), "exp", json!(now() + 900)).to_string();
    let (start, _) = signed.split_once('.').unwrap();
    let other = BASE64_URL_SAFE_NO_PAD.encode(other);
    api.refuses(&format!("{start}.{other}.{signature}"), not_ours);

    api.refuses(&format!("{signed}.{}", BASE64_URL_SAFE.encode(&raw)), "not base64url");
    api.refuses(signed, "2 parts");
    api.refuses(&format!("{token}."), "4 parts");
}

#[test]
fn each_fault_in_the_authorization_header_is_refused() {
    let api = Api::new(|_| {});
    let token = sign(&api.key, &header(), &claims());
    let bearer = format!("Bearer {token}");
    let url = format!("{}/v1/apps?limit=1", api.base);
    for headers in [
        vec![],
        vec![("Authorization", token.clone())],
        vec![("Authorization", format!("bearer {token}"))],
        vec![("Authorization", format!("Bearer  {token}"))],
        vec![("Authorization", format!("Bearer {token}x"))],
        vec![("Authorization", format!("Basic {token}"))],
        vec![("Authorization", bearer.clone()), ("Authorization", bearer.clone())],
    ] {
        let headers = headers.iter().map(|(name, value)| (*name, &**value));
        let received = get(&url, &headers.collect::<Vec<_>>());
        assert_eq!(received.status(), 401, "{}", api.why());
        assert_ne!(api.why(), "ok");
    }
    let received = get(&url, &[("Authorization", &bearer), ("Cookie", "a=b")]);
    assert_eq!(received.status(), 400, "a cookie is not for the API");
}

#[test]
fn the_services_clock_decides_and_the_date_header_shows_it() {
    for skew in [-300, 300] {
        let api = Api::new(|account| account.clock_skew_seconds = skew);
        let received = api.apps(&sign(&api.key, &header(), &claims()));

        let date = httpdate::parse_http_date(received.header("Date").unwrap()).unwrap();
        let date = date.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let shown = i64::try_from(date).unwrap() - now();
        assert!((skew - 2..=skew).contains(&shown), "{shown}");
        if skew < 0 {
            assert_eq!(received.status(), 401);
            assert!(api.why().contains("in the future"), "{}", api.why());
        } else {
            assert_eq!(received.status(), 200, "{}", api.why());
        }
    }
}
