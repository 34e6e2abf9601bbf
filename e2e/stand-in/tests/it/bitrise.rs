//! Bitrise's connection and annotations, and the file server.

use stand_in::{Annotation, Behaviour, BuildPage, Connection, StandIn, Style};

use crate::client::{Response, get, request, send, split_url};

/// The header with the build's API token.
const TOKEN_HEADER: (&str, &str) = ("BUILD_API_TOKEN", "t0ken");

/// Adds a connection and returns its URL.
fn add_connection(server: &StandIn) -> String {
    let connection = Connection { token: "t0ken".to_owned(), body: "{}".to_owned(), behaviours: Vec::new() };
    server.connection("b", connection) + "/apple_developer_portal_data.json"
}

/// The number of violations of the last request.
fn violations(server: &StandIn) -> usize {
    server.requests().pop().unwrap().violations.len()
}

#[test]
fn the_connection_is_served_only_at_its_path_and_only_with_the_token() {
    let server = StandIn::start().unwrap();
    let url = add_connection(&server);
    assert_eq!((get(&url, &[TOKEN_HEADER]).status(), violations(&server)), (200, 0));
    for headers in [
        &[][..],
        &[("BUILD_API_TOKEN", "")],
        &[("BUILD_API_TOKEN", "t0kem")],
        &[("BUILD-API-TOKEN", "t0ken")],
        &[TOKEN_HEADER, TOKEN_HEADER],
    ] {
        assert_eq!(get(&url, headers).status(), 401, "{headers:?}");
        assert!(!server.requests().pop().unwrap().verdict.is_ok());
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(request(method, &url, &[TOKEN_HEADER], "").status(), 405, "{method}");
    }
    for path in
        ["/build/b/", "/build/b/other.json", "//build/b/x", "/build/c/apple_developer_portal_data.json"]
    {
        assert_eq!(get(&format!("{}{path}", server.origin()), &[]).status(), 404, "{path}");
    }
}

#[test]
fn a_credential_sent_to_the_wrong_service_or_in_a_query_is_a_violation() {
    let server = StandIn::start().unwrap();
    let (build, file) = (add_connection(&server), server.file("f", "AuthKey_X.p8", "key", Vec::new()));
    assert_eq!(get(&format!("{file}?X-Amz-Signature=abc"), &[]).body, b"key");
    let nowhere = format!("{}/nowhere", server.origin());
    let rows = [(&build, "Authorization"), (&build, "cookie"), (&build, "Proxy-Authorization")];
    let rows = rows.into_iter().chain([(&file, "build_api_token"), (&file, "Cookie"), (&nowhere, "Cookie")]);
    for (url, header) in rows {
        let response = get(url, &[TOKEN_HEADER, (header, "x")]);
        assert_eq!(response.status(), 400, "{header}");
        assert!(violations(&server) >= 1, "{header}");
    }
    assert_eq!(get(&format!("{build}?build_api_token=t0ken"), &[TOKEN_HEADER]).status(), 400, "a query");
}

#[test]
fn a_wrong_host_and_a_get_with_a_body_are_violations() {
    let server = StandIn::start().unwrap();
    let url = server.file("f", "x", "12345", Vec::new());
    let valid_host = format!("Host: {}\r\n", split_url(&url).0);
    for headers in [
        String::new(),
        "Host: example.com\r\n".to_owned(),
        format!("{valid_host}{valid_host}"),
        format!("{valid_host}Content-Length: 2\r\n"),
        format!("{valid_host}Transfer-Encoding: chunked\r\n"),
    ] {
        let request = format!("GET /files/f/x HTTP/1.1\r\n{headers}Connection: close\r\n\r\n{{}}");
        assert_eq!((send(&url, &request).status(), violations(&server)), (400, 1), "{headers}");
    }
}

const BODY: &str = r##"{"context":"c","markdown":"# Hello","style":"warning"}"##;
const BEARER: (&str, &str) = ("Authorization", "Bearer t0ken");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn start_page(behaviours: Vec<Behaviour>) -> (StandIn, String) {
    let server = StandIn::start().unwrap();
    let page = BuildPage { token: "t0ken".to_owned(), build_slug: "5lug".to_owned(), behaviours };
    let url = server.build_page("p", page) + "/v1/builds/5lug/annotations/";
    (server, url)
}

fn put(url: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let length = body.len().to_string();
    request("PUT", url, &[headers, &[("Content-Length", &length)]].concat(), body)
}

#[test]
fn an_annotation_replaces_the_one_with_its_context_unless_the_request_fails() {
    let unavailable = Behaviour::Status { code: 503, headers: Vec::new(), body: "busy".to_owned() };
    let (server, url) = start_page(vec![unavailable, Behaviour::ResetBeforeAnswer, Behaviour::Html]);
    for _ in 0..3 {
        put(&url, &[BEARER, JSON], BODY);
        assert!(server.annotations_of("p").is_empty());
    }
    for markdown in ["# A \\u003cdetails\\u003e", "# Hello"] {
        let status = put(&url, &[BEARER, JSON], &BODY.replace("# Hello", markdown)).status();
        assert_eq!(status, 200);
        let markdown = markdown.replace("\\u003c", "<").replace("\\u003e", ">");
        let stored = Annotation { context: "c".to_owned(), markdown, style: Style::Warning };
        assert_eq!(server.annotations_of("p"), [stored]);
    }
}

#[test]
fn an_annotation_that_bitrises_plugin_would_not_send_is_refused() {
    let (server, url) = start_page(Vec::new());
    for body in [
        r#"{"markdown":"x","style":"info"}"#,
        r#"{"context":"","markdown":"x","style":"info"}"#,
        r#"{"context":"c","markdown":"","style":"info"}"#,
        r#"{"context":"c","markdown":"x"}"#,
        r#"{"context":"c","markdown":"x","style":"Info"}"#,
        r#"{"context":"c","markdown":"x","style":"info","id":1}"#,
        "",
    ] {
        assert_eq!(put(&url, &[BEARER, JSON], body).status(), 400, "{body}");
    }
    for (status, url, headers) in [
        (401, url.clone(), &[JSON][..]),
        (401, url.clone(), &[JSON, ("Authorization", "t0ken")]),
        (401, url.clone(), &[JSON, BEARER, BEARER]),
        (415, url.clone(), &[BEARER]),
        (400, format!("{url}?x=1"), &[BEARER, JSON]),
        (404, url.replace("5lug", "other"), &[BEARER, JSON]),
        (404, url.trim_end_matches('/').to_owned(), &[BEARER, JSON]),
    ] {
        assert_eq!(put(&url, headers, BODY).status(), status, "{url} {headers:?}");
    }
    assert_eq!(request("POST", &url, &[BEARER, JSON], "").status(), 405);
    assert!(server.annotations_of("p").is_empty());
}
