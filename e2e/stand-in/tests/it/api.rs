//! An account to ask, and tokens for it.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use stand_in::keys::P256;
use stand_in::{Account, PublicKey, StandIn, Team, Verdict};

use crate::client::{Received, get};

pub(crate) const ISSUER: &str = "57246542-96fe-1a63-e053-0824d011072a";

/// An account on a server of its own, and its private key.
pub(crate) struct Api {
    pub(crate) server: StandIn,
    pub(crate) base: String,
    pub(crate) key: P256,
    claims: Value,
}

impl Api {
    pub(crate) fn new(change: impl FnOnce(&mut Account)) -> Self {
        Self::with_team(Team::default(), change)
    }

    pub(crate) fn with_team(team: Team, change: impl FnOnce(&mut Account)) -> Self {
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
        let mut claims = claims();
        if account.enterprise {
            claims = with(claims, "aud", json!("apple-developer-enterprise-v1"));
        }
        if account.issuer_id.is_none() {
            claims = with(with(claims, "iss", Value::Null), "sub", json!("user"));
        }
        let server = StandIn::start().unwrap();
        let base = server.app_store_connect_team("a", account, team);
        Self { server, base, key, claims }
    }

    pub(crate) fn apps(&self, token: &str) -> Received {
        self.get("/v1/apps?limit=1", token)
    }

    /// A token of this account's key, good for the account.
    pub(crate) fn token(&self) -> String {
        sign(&self.key, &header(), &self.claims)
    }

    /// With a good token.
    pub(crate) fn ask(&self, path: &str) -> Received {
        self.get(path, &self.token())
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Received {
        let url = format!("{}{path}", self.base);
        get(&url, &[("Authorization", &format!("Bearer {token}"))])
    }

    pub(crate) fn why(&self) -> String {
        match self.server.requests().pop().unwrap().verdict {
            Verdict::Ok => "ok".to_owned(),
            Verdict::Refused(why) => why,
        }
    }

    pub(crate) fn refuses(&self, token: &str, why: &str) {
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

pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

pub(crate) fn header() -> Value {
    json!({"alg": "ES256", "kid": "ABCDE12345", "typ": "JWT"})
}

pub(crate) fn claims() -> Value {
    json!({"iss": ISSUER, "iat": now() - 60, "exp": now() + 1000, "aud": "appstoreconnect-v1"})
}

/// A copy with one field set, or removed by null.
pub(crate) fn with(mut object: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
    object
}

pub(crate) fn sign_as(
    algorithm: &'static EcdsaSigningAlgorithm,
    key: &P256,
    header: &str,
    claims: &str,
) -> String {
    let signed =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let der = pem::parse(&key.private_pem).unwrap().into_contents();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der).unwrap();
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn sign(key: &P256, header: &Value, claims: &Value) -> String {
    sign_as(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &header.to_string(), &claims.to_string())
}
