use std::collections::BTreeMap;

use serde_json::json;
use stand_in::{Behaviour, Provider, Session, SessionRefusal, StandIn};

use crate::client::get;

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
        assert_eq!(received.header("Content-Type"), Some("text/plain"));
        assert!(received.body().starts_with(b"Unauthenticated\n\nRequest ID: "), "{}", received.text());
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

#[test]
fn a_refusal_can_be_json_with_401_or_403() {
    for (refusal, status, code) in [
        (SessionRefusal::UnauthorizedJson, 401, "NOT_AUTHORIZED"),
        (SessionRefusal::ForbiddenJson, 403, "FORBIDDEN_ERROR"),
    ] {
        let (_server, url) = session(|session| session.refusal = refusal);
        let received = get(&url, &[("Cookie", "myacinfo=of-another")]);
        assert_eq!(received.status(), status);
        let error = &received.json()["errors"][0];
        assert_eq!((&error["status"], &error["code"]), (&json!(status.to_string()), &json!(code)));
    }
}

#[test]
fn a_proxy_can_answer_in_the_websites_place() {
    let (_server, url) = session(|session| {
        let page = "<html><title>Sign in</title></html>".to_owned();
        let headers = vec![("Content-Type".to_owned(), "text/html".to_owned())];
        session.behaviours = vec![Behaviour::Status { code: 403, headers, body: page }];
    });
    let received = get(&url, &[("Cookie", "myacinfo=DAW1=x==; dqsid=eyJ")]);
    assert_eq!((received.status(), received.header("Content-Type")), (403, Some("text/html")));
}
