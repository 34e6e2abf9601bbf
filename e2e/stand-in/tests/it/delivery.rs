//! How an answer arrives, and who gets one.

use stand_in::{Behaviour, Connection, StandIn};

use crate::client::{End, Received, get};

const BODY: &str = r#"{"key_id":"ABCDE12345"}"#;

fn start(behaviours: Vec<Behaviour>) -> (StandIn, String) {
    let server = StandIn::start().unwrap();
    let connection = Connection { token: "t".to_owned(), body: BODY.to_owned(), behaviours };
    let url = server.connection("b", connection) + "/apple_developer_portal_data.json";
    (server, url)
}

/// The answer to a right request; the next answer is normal.
fn receive(behaviour: Behaviour) -> Received {
    let (server, url) = start(vec![behaviour]);
    let received = get(&url, &[("BUILD_API_TOKEN", "t")]);
    assert_eq!(get(&url, &[("BUILD_API_TOKEN", "t")]).body, BODY.as_bytes());
    assert!(server.requests().iter().all(|request| request.verdict.is_ok()));
    received
}

#[test]
fn each_fault_breaks_the_answer_in_its_own_way() {
    let half = &BODY.as_bytes()[..BODY.len() / 2];
    for (behaviour, status, body, end) in [
        (Behaviour::ResetBeforeAnswer, 0, &b""[..], End::Reset),
        (Behaviour::CloseBeforeAnswer, 0, b"", End::Closed),
        (Behaviour::ResetMidBody, 200, half, End::Reset),
        (Behaviour::WrongContentLength, 200, BODY.as_bytes(), End::Closed),
        (Behaviour::EmptyBody, 200, b"", End::Closed),
        (Behaviour::Body(b"\x00[]".to_vec()), 200, b"\x00[]", End::Closed),
    ] {
        let received = receive(behaviour.clone());
        assert_eq!(
            (received.status(), &*received.body, &received.end),
            (status, body, &end),
            "{behaviour:?}"
        );
    }
    let promised = receive(Behaviour::WrongContentLength).header("Content-Length").unwrap().to_owned();
    assert!(promised.parse::<usize>().unwrap() > BODY.len());
    let cut = receive(Behaviour::ChunkedCut);
    assert_eq!(cut.header("Transfer-Encoding"), Some("chunked"));
    assert!(!cut.body.ends_with(b"0\r\n\r\n"), "the last chunk does not come");
}

#[test]
fn a_request_that_is_refused_gets_the_refusal_and_not_a_replaced_answer() {
    for behaviour in [Behaviour::Html, Behaviour::Oversize(1000), Behaviour::answer(403, "text/plain", "")] {
        let (_server, url) = start(vec![behaviour]);
        assert_eq!(get(&url, &[("BUILD_API_TOKEN", "wrong")]).status(), 401);
        assert_eq!(get(&url, &[("BUILD_API_TOKEN", "t")]).status(), 200, "it is used up");
    }
}
