use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
};
use base64::Engine as _;
use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use stand_in::keys::P256;
use stand_in::{Account, Provider, PublicKey, Session, StandIn, Verdict};

use crate::client::{Received, get};

const ISSUER: &str = "57246542-96fe-1a63-e053-0824d011072a";

/// An account on a server of its own, and its private key.
struct Api {
    server: StandIn,
    base: String,
    key: P256,
}

impl Api {
    fn new(change: impl FnOnce(&mut Account)) -> Self {
        let key = P256::generate().unwrap();
        let mut account = Account {
            public_key: PublicKey::from_spki_pem(&key.public_pem).unwrap(),
            key_id: "ABCDE12345".to_owned(),
            issuer_id: Some(ISSUER.to_owned()),
            enterprise: false,
            clock_skew_seconds: 0,
            behaviours: Vec::new(),
        };
        change(&mut account);
        let server = StandIn::start().unwrap();
        let base = server.app_store_connect("a", account);
        Self { server, base, key }
    }

    fn apps(&self, token: &str) -> Received {
        self.get("/v1/apps?limit=1", token)
    }

    fn get(&self, path: &str, token: &str) -> Received {
        let url = format!("{}{path}", self.base);
        get(&url, &[("Authorization", &format!("Bearer {token}"))])
    }

    fn why(&self) -> String {
        match self.server.requests().pop().unwrap().verdict {
            Verdict::Ok => "ok".to_owned(),
            Verdict::Refused(why) => why,
        }
    }

    fn refuses(&self, token: &str, why: &str) {
        let received = self.apps(token);
        let found = self.why();
        assert!(found.contains(why), "{found:?} instead of {why:?}");
        assert_eq!(received.status(), 401, "{why}");
        let error = &received.json()["errors"][0];
        assert_eq!(error["status"], "401");
        assert_eq!(error["code"], "NOT_AUTHORIZED");
        assert_eq!(error["title"], "Authentication credentials are missing or invalid.");
        assert!(error["detail"].is_string());
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "ABCDE12345", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "iat": now() - 60, "exp": now() + 1000, "aud": "appstoreconnect-v1"})
}

/// A copy with one field set, or removed by null.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
    object
}

fn sign_as(algorithm: &'static EcdsaSigningAlgorithm, key: &P256, header: &str, claims: &str) -> String {
    let signed =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let der = pem::parse(&key.private_pem).unwrap().into_contents();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der).unwrap();
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn sign(key: &P256, header: &Value, claims: &Value) -> String {
    sign_as(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &header.to_string(), &claims.to_string())
}

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
    assert_eq!(api.get("/v1/bundleIds?limit=1", &token).status(), 200);
}

#[test]
fn an_individual_token_opens_the_api() {
    let api = Api::new(|account| account.issuer_id = None);
    let claims = with(with(claims(), "iss", Value::Null), "sub", json!("user"));
    assert_eq!(api.apps(&sign(&api.key, &header(), &claims)).status(), 200, "{}", api.why());
}

#[test]
fn an_enterprise_token_opens_bundle_ids_and_finds_no_apps() {
    let api = Api::new(|account| account.enterprise = true);
    let claims = with(claims(), "aud", json!("apple-developer-enterprise-v1"));
    let token = sign(&api.key, &header(), &claims);

    assert_eq!(api.get("/v1/bundleIds?limit=1", &token).status(), 200);
    let received = api.apps(&token);
    assert_eq!(received.status(), 404);
    assert_eq!(received.json()["errors"][0]["code"], "NOT_FOUND");
    assert_ne!(api.why(), "ok");
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
fn another_query_is_a_parameter_error_and_another_path_is_404() {
    let api = Api::new(|_| {});
    let token = sign(&api.key, &header(), &claims());
    for path in ["/v1/apps", "/v1/apps?", "/v1/apps?limit=2", "/v1/apps?limit=1&limit=1"] {
        let received = api.get(path, &token);
        assert_eq!(received.status(), 400, "{path}");
        let code = received.json()["errors"][0]["code"].clone();
        assert!(code.as_str().unwrap().starts_with("PARAMETER_ERROR"));
    }
    for path in ["/v1/users?limit=1", "/v1/apps/?limit=1", "/v2/apps?limit=1"] {
        assert_eq!(api.get(path, &token).status(), 404, "{path}");
    }
    // Who may not enter is not told what is inside.
    assert_eq!(api.get("/v1/users", "x.y.z").status(), 401);
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

fn session(change: impl FnOnce(&mut Session)) -> (StandIn, String) {
    let server = StandIn::start().unwrap();
    let mut session = Session {
        cookies: BTreeMap::from([
            ("myacinfo".to_owned(), "DAW1=x==".to_owned()),
            ("dqsid".to_owned(), "eyJ".to_owned()),
        ]),
        ..Session::default()
    };
    change(&mut session);
    let base = server.apple_session("s", session);
    (server, base + "/olympus/v1/session")
}

#[test]
fn a_session_is_shown_to_its_cookies_in_any_order() {
    let (server, url) = session(|_| {});
    for cookie in ["myacinfo=DAW1=x==; dqsid=eyJ", "dqsid=eyJ; myacinfo=DAW1=x=="] {
        let received = get(&url, &[("Cookie", cookie)]);
        assert_eq!(received.status(), 200);
        let provider =
            json!({"providerId": 118_573_544, "name": "Example Ltd", "contentTypes": ["SOFTWARE"]});
        assert_eq!(
            received.json(),
            json!({
                "user": {"fullName": "Jane Doe", "emailAddress": "jane@example.com"},
                "provider": provider,
                "availableProviders": [provider],
            })
        );
    }
    assert!(server.requests_for("s").iter().all(|r| r.verdict.is_ok()));
    assert!(server.requests_for("t").is_empty());
}

#[test]
fn other_cookies_than_the_sessions_are_401() {
    let (server, url) = session(|_| {});
    let right = "myacinfo=DAW1=x==; dqsid=eyJ";
    let cases: &[&[&str]] = &[
        &[],
        &[""],
        &["myacinfo=DAW1=x=="],
        &["myacinfo=DAW1=x; dqsid=eyJ"],
        &["myacinfo=DAW1=x==; dqsid=eyJ; DES1=y"],
        &["myacinfo=DAW1=x==; dqsid=eyJ; dqsid=eyJ"],
        &["myacinfo=DAW1=x==;dqsid=eyJ"],
        &["myacinfo=DAW1=x==; dqsid=eyJ;"],
        &["MYACINFO=DAW1=x==; dqsid=eyJ"],
        &["myacinfo=\"DAW1=x==\"; dqsid=eyJ"],
        &["myacinfo=DAW1=x==", "dqsid=eyJ"],
        &[right, right],
    ];
    for cookies in cases {
        let headers: Vec<_> = cookies.iter().map(|cookie| ("Cookie", *cookie)).collect();
        let received = get(&url, &headers);
        assert_eq!(received.status(), 401, "{cookies:?}");
        assert_eq!(received.json()["provider"], Value::Null);
        assert!(!server.requests().pop().unwrap().verdict.is_ok());
    }
    assert_eq!(get(&url.replace("/v1/", "/v2/"), &[("Cookie", right)]).status(), 404);
}

#[test]
fn a_session_can_lack_a_provider_and_have_many() {
    let (_server, url) = session(|session| {
        session.provider = None;
        session.available_providers =
            [1, 2].map(|provider_id| Provider { provider_id, name: format!("Team {provider_id}") }).into();
    });
    let received = get(&url, &[("Cookie", "myacinfo=DAW1=x==; dqsid=eyJ")]);
    let json = received.json();
    assert_eq!(json.get("provider"), None);
    assert_eq!(json["availableProviders"][1]["name"], "Team 2");
}
