use stand_in::{Connection, Request, Service, StandIn, Verdict};

use crate::client::{ask, get};

const TOKEN: (&str, &str) = ("BUILD_API_TOKEN", "t0ken");

fn build(server: &StandIn) -> String {
    let connection = Connection {
        token: "t0ken".to_owned(),
        body: r#"{"key_id":"ABCDE12345"}"#.to_owned(),
        behaviours: Vec::new(),
    };
    server.connection("b", connection) + "/apple_developer_portal_data.json"
}

fn last(server: &StandIn) -> Request {
    server.requests().pop().unwrap()
}

#[test]
fn the_connection_is_served_to_the_build_token() {
    let server = StandIn::start().unwrap();
    let url = build(&server);
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");

    let received = get(&url, &[TOKEN]);

    assert_eq!(received.status(), 200);
    assert_eq!(received.header("Content-Type"), Some("application/json"));
    assert_eq!(received.body(), br#"{"key_id":"ABCDE12345"}"#);
    let request = last(&server);
    assert_eq!(request.method, "GET");
    assert_eq!(request.target, "/build/b/apple_developer_portal_data.json");
    assert_eq!(request.service, Service::Connection);
    assert_eq!(request.name, "b");
    assert_eq!(request.header("build_api_token"), Some("t0ken"));
    assert_eq!(request.verdict, Verdict::Ok);
    assert!(request.violations.is_empty());
}

#[test]
fn a_build_token_that_is_absent_wrong_or_repeated_is_401() {
    let server = StandIn::start().unwrap();
    let url = build(&server);
    for headers in [
        &[][..],
        &[("BUILD_API_TOKEN", "")],
        &[("BUILD_API_TOKEN", "t0kem")],
        &[("BUILD-API-TOKEN", "t0ken")],
        &[TOKEN, TOKEN],
    ] {
        let received = get(&url, headers);
        assert_eq!(received.status(), 401, "{headers:?}");
        assert!(received.json().is_object());
        assert!(!last(&server).verdict.is_ok());
        assert!(last(&server).violations.is_empty());
    }
}

#[test]
fn other_methods_are_405() {
    let server = StandIn::start().unwrap();
    let url = build(&server);
    for method in ["POST", "PUT", "HEAD", "DELETE", "OPTIONS"] {
        let received = ask(method, &url, &[TOKEN, ("Content-Length", "0")]);
        assert_eq!(received.status(), 405, "{method}");
        assert_eq!(received.header("Allow"), Some("GET"));
        assert_eq!(received.body().is_empty(), method == "HEAD");
        assert!(!last(&server).verdict.is_ok());
    }
}

#[test]
fn other_credentials_on_the_build_url_are_violations() {
    let server = StandIn::start().unwrap();
    let url = build(&server);
    for header in ["Authorization", "cookie", "Proxy-Authorization"] {
        let received = get(&url, &[TOKEN, (header, "x")]);
        assert_eq!(received.status(), 400, "{header}");
        assert_eq!(last(&server).violations.len(), 1);
    }
}

#[test]
fn a_query_on_the_build_url_is_a_violation() {
    let server = StandIn::start().unwrap();
    let url = build(&server) + "?build_api_token=t0ken";
    assert_eq!(get(&url, &[TOKEN]).status(), 400);
    assert_eq!(last(&server).violations, ["the build URL has no query".to_owned()]);
}

#[test]
fn other_paths_are_404() {
    let server = StandIn::start().unwrap();
    build(&server);
    for path in [
        "/",
        "/build",
        "/build/b",
        "/build/b/",
        "/build/b/other.json",
        "/build/c/apple_developer_portal_data.json",
        "/build/b/apple_developer_portal_data.json/",
        "//build/b/apple_developer_portal_data.json",
        "/files/b/apple_developer_portal_data.json",
        "/elsewhere/b/apple_developer_portal_data.json",
    ] {
        let received = get(&format!("{}{path}", server.origin()), &[]);
        assert_eq!(received.status(), 404, "{path}");
    }
}

#[test]
fn a_file_is_served_and_its_query_ignored() {
    let server = StandIn::start().unwrap();
    let url = server.file("f", "AuthKey_X (1).p8", b"key\n".as_slice(), Vec::new());
    assert!(url.ends_with("/files/f/AuthKey_X%20%281%29.p8"), "{url}");

    let received = get(&(url + "?X-Amz-Signature=abc"), &[]);

    assert_eq!(received.status(), 200);
    assert_eq!(received.body(), b"key\n");
    assert!(last(&server).verdict.is_ok());
}

#[test]
fn a_credential_that_reaches_the_file_host_is_a_violation() {
    let server = StandIn::start().unwrap();
    let url = server.file("f", "AuthKey_X.p8", b"key\n".as_slice(), Vec::new());
    for header in ["BUILD_API_TOKEN", "build_api_token", "Authorization"] {
        assert_eq!(get(&url, &[(header, "x")]).status(), 400, "{header}");
        assert_eq!(last(&server).violations.len(), 1);
    }
    // Also where nothing is served.
    let nowhere = format!("{}/nowhere", server.origin());
    assert_eq!(get(&nowhere, &[TOKEN]).status(), 400);
    assert_eq!(last(&server).violations.len(), 1);
}
