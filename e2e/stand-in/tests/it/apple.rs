//! Apple's tokens, roles, lists and sessions.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use stand_in::keys::P256;
use stand_in::{Account, Behaviour, PublicKey, Role, Session, SigningCertificate, StandIn, Team, User};

use crate::client::{Response, get};

const ISSUER: &str = "57246542-96fe-1a63-e053-0824d011072a";

/// An account on a server of its own, and its private key.
struct Api {
    _server: StandIn,
    base: String,
    key: P256,
    claims: Value,
}

impl Api {
    fn new(team: Team, change: impl FnOnce(&mut Account)) -> Self {
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
        let mut claims =
            json!({"iss": ISSUER, "iat": now() - 60, "exp": now() + 1000, "aud": "appstoreconnect-v1"});
        if account.enterprise {
            claims = with_field(claims, "aud", json!("apple-developer-enterprise-v1"));
        }
        if account.issuer_id.is_none() {
            claims = with_field(with_field(claims, "iss", Value::Null), "sub", json!("user"));
        }
        let server = StandIn::start().unwrap();
        let base = server.app_store_connect_team("a", account, team);
        Self { _server: server, base, key, claims }
    }

    fn get(&self, path: &str, token: &str) -> Response {
        get(&format!("{}/v1/{path}", self.base), &[("Authorization", &format!("Bearer {token}"))])
    }

    /// Sends a request with a valid token.
    fn request(&self, path: &str) -> Response {
        self.get(path, &sign(&self.key, &header(), &self.claims))
    }

    /// The statuses of the four lists.
    fn statuses(&self) -> [u16; 4] {
        ["apps", "bundleIds", "certificates", "users"].map(|list| self.request(list).status())
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "ABCDE12345", "typ": "JWT"})
}

/// Sets one field of the object, or removes it if the value is null.
fn with_field(mut object: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
        value => object[name] = value,
    }
    object
}

fn sign(key: &P256, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let der = pem::parse(&key.private_pem).unwrap().into_contents();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap();
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64.encode(signature))
}

fn error_code(response: &Response) -> String {
    response.json()["errors"][0]["code"].as_str().unwrap().to_owned()
}

fn attributes(response: &Response, name: &str) -> Vec<String> {
    let json = response.json();
    let data = json["data"].as_array().unwrap().iter();
    data.map(|entry| entry["attributes"][name].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_token_with_any_mistake_is_refused() {
    let team = Api::new(Team::default(), |_| {});
    let individual = Api::new(Team::default(), |account| account.issuer_id = None);
    let exp = team.claims["exp"].as_i64().unwrap();
    let headers = [
        ("alg", json!("none")),
        ("alg", Value::Null),
        ("typ", json!("jwt")),
        ("kid", json!("ABCDE12346")),
        ("kid", Value::Null),
    ];
    let tokens = headers
        .map(|(name, value)| (&team, sign(&team.key, &with_field(header(), name, value), &team.claims)));
    let claims = [
        (&team, "iss", json!(ISSUER.to_uppercase())),
        (&team, "iss", Value::Null),
        (&team, "sub", json!("user")),
        (&team, "aud", json!("apple-developer-enterprise-v1")),
        (&team, "aud", Value::Null),
        (&team, "iat", json!(now() + 30)),
        (&team, "iat", json!(exp - 1201)),
        (&team, "iat", json!(0.5)),
        (&team, "exp", json!(now() - 1)),
        (&team, "exp", json!(now() + 1150)),
        (&team, "exp", Value::Null),
        (&individual, "sub", json!("User")),
        (&individual, "sub", Value::Null),
        (&individual, "iss", json!(ISSUER)),
    ];
    let claims = claims.map(|(api, name, value)| {
        (api, sign(&api.key, &header(), &with_field(api.claims.clone(), name, value)))
    });
    let valid = sign(&team.key, &header(), &team.claims);
    let (signed, signature) = valid.rsplit_once('.').unwrap();
    let raw = BASE64.decode(signature).unwrap();
    let signatures = [
        sign(&individual.key, &header(), &team.claims),
        format!("{signed}.{}", BASE64.encode(&raw[..63])),
        format!("{signed}.{}", BASE64.encode([raw.as_slice(), &[0]].concat())),
        signed.to_owned(),
        format!("{valid}."),
    ];
    let signatures = signatures.map(|token| (&team, token));
    for (api, token) in tokens.into_iter().chain(claims).chain(signatures) {
        let response = api.get("apps", &token);
        assert_eq!((response.status(), error_code(&response)), (401, "NOT_AUTHORIZED".to_owned()), "{token}");
    }
    assert_eq!((team.request("apps").status(), individual.request("apps").status()), (200, 200));
}

#[test]
fn a_request_without_exactly_one_bearer_token_is_refused() {
    let api = Api::new(Team::default(), |_| {});
    let token = sign(&api.key, &header(), &api.claims);
    let bearer = format!("Bearer {token}");
    for values in [vec![], vec![token.clone()], vec![format!("bearer {token}")], vec![bearer.clone(), bearer]]
    {
        let headers: Vec<_> = values.iter().map(|value| ("Authorization", value.as_str())).collect();
        assert_eq!(get(&format!("{}/v1/apps", api.base), &headers).status(), 401, "{values:?}");
    }
}

#[test]
fn role_enterprise_agreement_and_rate_limit_decide_which_lists_can_be_read() {
    for (role, provisioning, is_individual, statuses) in [
        (Role::Admin, false, false, [200, 200, 200, 200]),
        (Role::AppManager, true, false, [200, 200, 200, 403]),
        (Role::Developer, false, false, [200, 403, 403, 403]),
        (Role::AccessToReports, true, false, [403; 4]),
        (Role::Admin, true, true, [200, 403, 403, 200]),
    ] {
        let team = Team { role, provisioning, ..Team::default() };
        let api = Api::new(team, |account| {
            if is_individual {
                account.issuer_id = None;
            }
        });
        assert_eq!(api.statuses(), statuses, "{role:?}");
    }
    let enterprise = Api::new(Team::default(), |account| account.enterprise = true);
    assert_eq!(enterprise.statuses(), [404, 200, 200, 200]);
    let agreement = Api::new(Team { agreement_missing: true, ..Team::default() }, |_| {});
    assert_eq!(agreement.statuses(), [403; 4]);
    assert_eq!(error_code(&agreement.request("users")), "FORBIDDEN.REQUIRED_AGREEMENTS_MISSING_OR_EXPIRED");
    let exhausted = Api::new(Team { requests_left: 0, ..Team::default() }, |_| {});
    assert_eq!(exhausted.statuses(), [429; 4]);
    assert_eq!(exhausted.request("apps").header("X-Rate-Limit"), Some("user-hour-lim:3500;user-hour-rem:0;"));
}

#[test]
fn the_bundle_id_filter_also_matches_longer_bundle_ids() {
    let ids = ["com.example.app-staging", "org.other", "com.example.app"];
    let api = Api::new(Team::with_apps(ids), |_| {});
    let found = attributes(&api.request("apps?filter[bundleId]=com.example.app"), "bundleId");
    assert_eq!(found, ["com.example.app-staging", "com.example.app"]);
}

#[test]
fn unknown_and_invalid_parameters_and_unknown_lists_are_refused() {
    let api = Api::new(Team::default(), |_| {});
    for (query, expected) in [
        ("apps?x=1", "PARAMETER_ERROR.ILLEGAL"),
        ("apps?fields[bundleIds]=name", "PARAMETER_ERROR.ILLEGAL"),
        ("apps?filter[identifier]=a", "PARAMETER_ERROR.INVALID"),
        ("apps?fields[apps]=name,nope", "PARAMETER_ERROR.INVALID"),
        ("apps?limit=201", "PARAMETER_ERROR.INVALID"),
        ("apps?limit=0", "PARAMETER_ERROR.INVALID"),
        ("apps?limit=1&limit=1", "PARAMETER_ERROR.INVALID"),
        ("apps?cursor=abc", "PARAMETER_ERROR.INVALID"),
        ("certificates?filter[certificateType]=DEVELOPER_ID_APPLICATION_G2", "PARAMETER_ERROR.INVALID"),
    ] {
        let response = api.request(query);
        assert_eq!((response.status(), error_code(&response)), (400, expected.to_owned()), "{query}");
    }
    assert_eq!(api.request("agreements").status(), 404);
    assert_eq!(api.get("agreements", "x.y.z").status(), 401, "the token is checked first");
}

#[test]
fn the_certificate_filter_is_exact_and_pages_lead_through_the_whole_list() {
    let dates: Vec<_> = (1..=7).map(|day| format!("2027-01-0{day}T10:00:00.000+0000")).collect();
    let mut team = Team::default().with_distribution_certificates(dates.iter().map(String::as_str));
    let certificate_type = "IOS_DISTRIBUTION".to_owned();
    team.certificates.push(SigningCertificate { certificate_type, ..SigningCertificate::default() });
    let api = Api::new(team, |_| {});
    let query = "filter[certificateType]=DISTRIBUTION&fields[certificates]=expirationDate&limit=3";
    let mut next = Some(format!("certificates?{query}"));
    let mut found = Vec::new();
    while let Some(page) = next {
        let response = api.request(&page);
        found.extend(attributes(&response, "expirationDate"));
        let url = response.json()["links"]["next"].as_str().map(str::to_owned);
        next = url.map(|url| url.split_once("/v1/").unwrap().1.to_owned());
    }
    assert_eq!(found, dates);
    let both = api.request("certificates?filter[certificateType]=DISTRIBUTION,IOS_DISTRIBUTION&limit=1");
    assert_eq!(both.json()["meta"]["paging"]["total"], 8);
}

#[test]
fn one_list_can_have_a_behaviour_of_its_own() {
    let errors = [("FORBIDDEN_ERROR", "t", "d"), ("FORBIDDEN_ERROR.PLA_NOT_ACCEPTED", "t2", "d2")];
    let user = User { id: "u1".to_owned(), username: "jane@example.com".to_owned() };
    let team = Team { users: vec![user], ..Team::default() };
    let team = team.with_behaviour_at("v1/certificates", Behaviour::apple_errors(403, errors));
    let api =
        Api::new(team, |account| account.behaviours = vec![Behaviour::Ok, Behaviour::json(503, &json!({}))]);
    let responses = ["certificates", "certificates", "certificates", "users"].map(|list| api.request(list));
    assert_eq!(responses.each_ref().map(Response::status), [403, 503, 403, 200]);
    assert_eq!(responses[2].json()["errors"][1]["code"], "FORBIDDEN_ERROR.PLA_NOT_ACCEPTED");
    assert_eq!(attributes(&responses[3], "username"), ["jane@example.com"]);
}

#[test]
fn the_session_is_served_only_to_requests_with_exactly_its_cookies() {
    let server = StandIn::start().unwrap();
    let cookies =
        [("myacinfo", "DAW1=x=="), ("dqsid", "eyJ")].map(|(name, value)| (name.into(), value.into()));
    let session = Session { cookies: BTreeMap::from(cookies), ..Session::default() };
    let url = server.apple_session("s", session) + "/olympus/v1/session";
    let valid = "myacinfo=DAW1=x==; dqsid=eyJ";
    for cookie in [valid, "dqsid=eyJ; myacinfo=DAW1=x=="] {
        let response = get(&url, &[("Cookie", cookie)]);
        assert_eq!(response.json()["user"]["emailAddress"], "jane@example.com");
    }
    let wrong_headers: &[&[&str]] = &[
        &[],
        &["myacinfo=DAW1=x=="],
        &["myacinfo=DAW1=x; dqsid=eyJ"],
        &["myacinfo=DAW1=x==; dqsid=eyJ; DES1=y"],
        &["myacinfo=DAW1=x==; dqsid=eyJ; dqsid=eyJ"],
        &["myacinfo=DAW1=x==;dqsid=eyJ"],
        &["myacinfo=\"DAW1=x==\"; dqsid=eyJ"],
        &[valid, valid],
    ];
    for cookies in wrong_headers {
        let headers: Vec<_> = cookies.iter().map(|cookie| ("Cookie", *cookie)).collect();
        let response = get(&url, &headers);
        assert_eq!(response.status(), 401, "{cookies:?}");
        assert!(response.body.starts_with(b"Unauthenticated\n\nRequest ID: "));
    }
}
