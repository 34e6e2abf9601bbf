//! The session check of App Store Connect's website, which Apple serves at `/olympus/v1/session`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Behaviour;
use crate::app_store_connect::request_id;
use crate::http::{Decision, Head, Response};

/// The path of the session check, without the website's origin.
pub(crate) const SESSION_PATH: &str = "olympus/v1/session";

/// A session of App Store Connect's website.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// The expected cookies. The request must have exactly these.
    pub cookies: BTreeMap<String, String>,
    /// The e-mail address in the response.
    pub email_address: String,
    /// The selected team; `None` leaves it out of the response.
    pub provider: Option<Provider>,
    /// All teams of the user.
    pub available_providers: Vec<Provider>,
    /// The response to requests with other cookies.
    pub refusal: SessionRefusal,
    /// The faults of the server: one behaviour per request, in order.
    #[serde(skip)]
    pub behaviours: Vec<Behaviour>,
}

impl Default for Session {
    /// Jane Doe of Example Ltd, without cookies.
    fn default() -> Self {
        let example = Provider { provider_id: 118_573_544, name: "Example Ltd".to_owned() };
        Self {
            cookies: BTreeMap::new(),
            email_address: "jane@example.com".to_owned(),
            provider: Some(example.clone()),
            available_providers: vec![example],
            refusal: SessionRefusal::default(),
            behaviours: Vec::new(),
        }
    }
}

/// A team on App Store Connect's website.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The team's number.
    pub provider_id: u64,
    /// The team's name.
    pub name: String,
}

/// How the website refuses a session, which Apple doesn't document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionRefusal {
    /// 401 with the plain text `Unauthenticated` and a request ID: from the log in fastlane's
    /// issue 19338 (2021).
    #[default]
    Unauthenticated,
    /// 401 with an error in the format of the App Store Connect API.
    UnauthorizedJson,
    /// 403 with an error in the format of the App Store Connect API, like the website's other services
    /// (fastlane's issue 16688, 2020).
    ForbiddenJson,
}

/// `GET /olympus/v1/session`
pub(crate) fn session(session: &Session, head: &Head) -> Decision {
    if let Err(why) = check_cookies(&session.cookies, head) {
        return Decision::refused(refusal_response(session.refusal), why);
    }
    let user = json!({"fullName": "Jane Doe", "emailAddress": session.email_address});
    let available: Vec<_> = session.available_providers.iter().map(provider).collect();
    let mut response =
        Map::from_iter([("user".to_owned(), user), ("availableProviders".to_owned(), available.into())]);
    if let Some(selected) = &session.provider {
        response.insert("provider".to_owned(), provider(selected));
    }
    Decision::ok(Response::json(200, Value::Object(response).to_string()))
}

/// The fields in fastlane's fixture `olympus_session.json`.
fn provider(provider: &Provider) -> Value {
    json!({
        "providerId": provider.provider_id,
        "name": provider.name,
        "contentTypes": ["SOFTWARE"],
    })
}

fn refusal_response(refusal: SessionRefusal) -> Response {
    let error = |status: u16, code: &str, title: &str| {
        let error = json!({"id": request_id(), "status": status.to_string(), "code": code, "title": title});
        Response::json(status, json!({"errors": [error]}).to_string())
    };
    match refusal {
        SessionRefusal::Unauthenticated => {
            let id = request_id().to_uppercase().replace('-', "");
            Response::new(401, "text/plain", format!("Unauthenticated\n\nRequest ID: {id}.0.0\n"))
        }
        SessionRefusal::UnauthorizedJson => {
            error(401, "NOT_AUTHORIZED", "Authentication credentials are missing or invalid.")
        }
        SessionRefusal::ForbiddenJson => {
            error(403, "FORBIDDEN_ERROR", "This request is forbidden for security reasons")
        }
    }
}

/// Expects one header with pairs that are separated by `; `, as in RFC 6265, section 4.2.1.
fn check_cookies(expected: &BTreeMap<String, String>, head: &Head) -> Result<(), String> {
    let sent: Vec<_> = head.values("Cookie").collect();
    let [header] = sent.as_slice() else {
        return Err(format!("{} Cookie headers", sent.len()));
    };
    let mut sent_cookies = BTreeMap::new();
    for pair in header.split("; ") {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("not a cookie: {pair:?}"))?;
        if name.is_empty() || pair.contains([';', ' ']) {
            return Err(format!("not a cookie: {pair:?}"));
        }
        if sent_cookies.insert(name, value).is_some() {
            return Err(format!("the cookie {name} was sent twice"));
        }
    }
    for (name, value) in expected {
        match sent_cookies.remove(name.as_str()) {
            None => return Err(format!("the cookie {name} is missing")),
            Some(other) if other != value => {
                return Err(format!("the cookie {name} has another value"));
            }
            Some(_) => {}
        }
    }
    match sent_cookies.keys().next() {
        Some(name) => Err(format!("the cookie {name} does not belong to this session")),
        None => Ok(()),
    }
}
