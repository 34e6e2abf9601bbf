use std::time::Duration;

use serde_json::json;
use stand_in::{Annotation, Behaviour, BuildPage, Service, StandIn, Style};

use crate::client::{End, Received, ask, head, send};

const BODY: &str = r##"{"context":"c","markdown":"# Hello","style":"warning"}"##;
const BEARER: (&str, &str) = ("Authorization", "Bearer t0ken");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn start(behaviours: Vec<Behaviour>) -> (StandIn, String) {
    let server = StandIn::start().unwrap();
    let page = BuildPage { token: "t0ken".to_owned(), build_slug: "5lug".to_owned(), behaviours };
    let url = server.build_page("p", page) + "/v1/builds/5lug/annotations/";
    (server, url)
}

fn put(url: &str, headers: &[(&str, &str)], body: &str) -> Received {
    let length = body.len().to_string();
    let headers = [headers, &[("Content-Length", &length), ("Connection", "close")]].concat();
    let request = head("PUT", url, &headers) + body;
    send(url, request.as_bytes(), Duration::from_secs(5))
}

fn annotation(context: &str, markdown: &str, style: Style) -> Annotation {
    Annotation { context: context.to_owned(), markdown: markdown.to_owned(), style }
}

#[test]
fn an_annotation_is_kept_and_recorded_with_its_body() {
    let (server, url) = start(Vec::new());
    assert!(server.annotations_of("p").is_empty());

    assert_eq!(put(&url, &[BEARER, JSON], BODY).status(), 200);

    assert_eq!(server.annotations_of("p"), [annotation("c", "# Hello", Style::Warning)]);
    let request = server.requests_for("p").pop().unwrap();
    assert_eq!((request.service, request.method.as_str()), (Service::Annotations, "PUT"));
    assert_eq!(request.body, BODY);
    assert!(request.verdict.is_ok() && request.violations.is_empty());
}

/// What Go's `net/http` and `encoding/json` make of the calls in the plugin's `service` package.
#[test]
fn the_plugins_request_is_taken_with_its_escapes() {
    let (server, url) = start(Vec::new());
    let body = r##"{"context":"c","markdown":"# A \u003cdetails\u003e \u0026 \"quote\" → ü\u2028\nline","style":"default"}"##;
    let headers = [
        ("User-Agent", "Go-http-client/1.1"),
        ("Content-Length", &*body.len().to_string()),
        ("Authorization", "Bearer t0ken"),
        ("Content-Type", "application/json"),
        ("Accept-Encoding", "gzip"),
        ("Connection", "close"),
    ];
    let request = head("PUT", &url, &headers) + body;
    assert_eq!(send(&url, request.as_bytes(), Duration::from_secs(5)).status(), 200);
    let markdown = "# A <details> & \"quote\" → ü\u{2028}\nline";
    assert_eq!(server.annotations_of("p"), [annotation("c", markdown, Style::Default)]);
}

#[test]
fn the_same_context_replaces_and_another_is_added() {
    let (server, url) = start(Vec::new());
    for (context, markdown, style) in
        [("a", "1", "default"), ("b", "2", "error"), ("a", "3", "info"), ("c", "4", "warning")]
    {
        let body = json!({"context": context, "markdown": markdown, "style": style}).to_string();
        assert_eq!(put(&url, &[BEARER, JSON], &body).status(), 200);
    }
    assert_eq!(
        server.annotations_of("p"),
        [
            annotation("a", "3", Style::Info),
            annotation("b", "2", Style::Error),
            annotation("c", "4", Style::Warning)
        ]
    );
}

#[test]
fn what_the_plugin_would_not_send_is_refused() {
    let (server, url) = start(Vec::new());
    let refused = |received: Received, status: u16, why: &str| {
        assert_eq!(received.status(), status, "{why}");
        let said = received.json()["error"].as_str().unwrap().to_owned();
        assert!(said.contains(why), "{said:?} instead of {why:?}");
        assert!(!server.requests().pop().unwrap().verdict.is_ok());
    };
    for (body, why) in [
        (r#"{"markdown":"x","style":"info"}"#, "missing field `context`"),
        (r#"{"context":"","markdown":"x","style":"info"}"#, "context is empty"),
        (r#"{"context":"c","style":"info"}"#, "missing field `markdown`"),
        (r#"{"context":"c","markdown":"","style":"info"}"#, "markdown is empty"),
        (r#"{"context":"c","markdown":"x"}"#, "missing field `style`"),
        (r#"{"context":"c","markdown":"x","style":"Info"}"#, "unknown variant `Info`"),
        (r#"{"context":"c","markdown":"x","style":"success"}"#, "unknown variant `success`"),
        (r#"{"context":"c","markdown":"x","style":"info","id":1}"#, "unknown field `id`"),
        (r#"{"context":"c","markdown":1,"style":"info"}"#, "invalid type"),
        ("", "EOF"),
        ("[]", "invalid length"),
    ] {
        refused(put(&url, &[BEARER, JSON], body), 400, why);
    }
    refused(put(&url, &[JSON], BODY), 401, "0 headers Authorization");
    refused(put(&url, &[JSON, ("Authorization", "Bearer t0kem")], BODY), 401, "not the build's token");
    refused(put(&url, &[JSON, ("Authorization", "t0ken")], BODY), 401, "not the build's token");
    refused(put(&url, &[JSON, BEARER, BEARER], BODY), 401, "2 headers Authorization");
    refused(put(&url, &[BEARER], BODY), 415, "Content-Type");
    refused(put(&url, &[BEARER, ("Content-Type", "text/plain")], BODY), 415, "Content-Type");
    refused(put(&format!("{url}?x=1"), &[BEARER, JSON], BODY), 400, "query");
    refused(put(&url.replace("5lug", "other"), &[BEARER, JSON], BODY), 404, "other");
    refused(put(url.trim_end_matches('/'), &[BEARER, JSON], BODY), 404, "/annotations,");
    let chunked = head("PUT", &url, &[BEARER, JSON, ("Transfer-Encoding", "chunked")]) + "0\r\n\r\n";
    refused(send(&url, chunked.as_bytes(), Duration::from_secs(5)), 411, "unknown length");
    assert!(server.annotations_of("p").is_empty());
}

#[test]
fn other_methods_and_credentials_are_not_for_it() {
    let (server, url) = start(Vec::new());
    for method in ["GET", "POST", "DELETE"] {
        let received = ask(method, &url, &[BEARER]);
        assert_eq!((received.status(), received.header("Allow")), (405, Some("PUT")), "{method}");
    }
    assert_eq!(put(&url, &[BEARER, JSON, ("BUILD_API_TOKEN", "x")], BODY).status(), 400);
    assert_eq!(server.requests().pop().unwrap().violations.len(), 1);
}

#[test]
fn a_service_that_fails_keeps_nothing_and_one_that_is_slow_keeps_it() {
    let unavailable = Behaviour::Status { code: 503, headers: Vec::new(), body: "busy".to_owned() };
    let slow = Behaviour::StallBeforeHeader(Duration::from_millis(40));
    let (server, url) = start(vec![unavailable, Behaviour::ResetBeforeAnswer, Behaviour::Html, slow]);

    assert_eq!(put(&url, &[BEARER, JSON], BODY).status(), 503);
    assert_eq!(put(&url, &[BEARER, JSON], BODY).end, End::Reset);
    put(&url, &[BEARER, JSON], BODY);
    assert!(server.annotations_of("p").is_empty());

    let received = put(&url, &[BEARER, JSON], BODY);
    assert_eq!(received.status(), 200);
    assert!(received.took >= Duration::from_millis(40));
    assert_eq!(server.annotations_of("p").len(), 1);
}

#[test]
fn a_page_that_is_put_again_is_empty() {
    let (server, url) = start(Vec::new());
    put(&url, &[BEARER, JSON], BODY);
    server.build_page("p", BuildPage { token: "t".to_owned(), ..BuildPage::default() });
    assert!(server.annotations_of("p").is_empty());
}
