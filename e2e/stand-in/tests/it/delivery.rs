//! How behaviours break a response, and when a refusal takes precedence.

use stand_in::{Behaviour, Connection, StandIn};

use crate::client::{End, Response, get};

const BODY: &str = r#"{"key_id":"ABCDE12345"}"#;

fn start_with_connection(behaviours: Vec<Behaviour>) -> (StandIn, String) {
    let server = StandIn::start().unwrap();
    let connection = Connection { token: "t".to_owned(), body: BODY.to_owned(), behaviours };
    let url = server.connection("b", connection) + "/apple_developer_portal_data.json";
    (server, url)
}

/// The response to a valid request. Checks that the next request gets a normal response.
fn receive(behaviour: Behaviour) -> Response {
    let (server, url) = start_with_connection(vec![behaviour]);
    let response = get(&url, &[("BUILD_API_TOKEN", "t")]);
    assert_eq!(get(&url, &[("BUILD_API_TOKEN", "t")]).body, BODY.as_bytes());
    assert!(server.requests().iter().all(|request| request.verdict.is_ok()));
    response
}

#[test]
fn each_behaviour_breaks_the_response_in_its_own_way() {
    let half = &BODY.as_bytes()[..BODY.len() / 2];
    for (behaviour, status, body, end) in [
        (Behaviour::ResetBeforeAnswer, 0, &b""[..], End::Reset),
        (Behaviour::CloseBeforeAnswer, 0, b"", End::Closed),
        (Behaviour::ResetMidBody, 200, half, End::Reset),
        (Behaviour::WrongContentLength, 200, BODY.as_bytes(), End::Closed),
        (Behaviour::EmptyBody, 200, b"", End::Closed),
        (Behaviour::Body(b"\x00[]".to_vec()), 200, b"\x00[]", End::Closed),
    ] {
        let response = receive(behaviour.clone());
        assert_eq!(
            (response.status(), &*response.body, &response.end),
            (status, body, &end),
            "{behaviour:?}"
        );
    }
    let announced = receive(Behaviour::WrongContentLength).header("Content-Length").unwrap().to_owned();
    assert!(announced.parse::<usize>().unwrap() > BODY.len());
    let cut = receive(Behaviour::ChunkedCut);
    assert_eq!(cut.header("Transfer-Encoding"), Some("chunked"));
    assert!(!cut.body.ends_with(b"0\r\n\r\n"), "the body has its last chunk");
}

#[test]
fn a_refused_request_gets_the_refusal_and_not_a_replaced_response() {
    for behaviour in [Behaviour::Html, Behaviour::Oversize(1000), Behaviour::response(403, "text/plain", "")]
    {
        let (_server, url) = start_with_connection(vec![behaviour]);
        assert_eq!(get(&url, &[("BUILD_API_TOKEN", "wrong")]).status(), 401);
        assert_eq!(get(&url, &[("BUILD_API_TOKEN", "t")]).status(), 200, "the behaviour applies only once");
    }
}
