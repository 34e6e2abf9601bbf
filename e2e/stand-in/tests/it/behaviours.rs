use std::io::Read;
use std::time::Duration;

use stand_in::{Behaviour, Connection, StandIn};

use crate::client::{End, Received, get, head, send};

const BODY: &str = r#"{"key_id":"ABCDE12345"}"#;

fn start(behaviours: Vec<Behaviour>) -> (StandIn, String) {
    let server = StandIn::start().unwrap();
    let connection = Connection { token: "t".to_owned(), body: BODY.to_owned(), behaviours };
    let url = server.connection("b", connection) + "/apple_developer_portal_data.json";
    (server, url)
}

fn ask(url: &str) -> Received {
    get(url, &[("BUILD_API_TOKEN", "t")])
}

/// What the behaviour does to a right request; the next one is answered normally.
fn see(behaviour: Behaviour) -> Received {
    let (server, url) = start(vec![behaviour.clone()]);
    let received = ask(&url);
    let next = ask(&url);
    assert_eq!((next.status(), next.body()), (200, BODY.as_bytes()));
    let requests = server.requests();
    assert_eq!(requests[0].behaviour, behaviour);
    assert_eq!(requests[1].behaviour, Behaviour::Ok);
    assert!(requests.iter().all(|request| request.verdict.is_ok()));
    received
}

/// The data of the chunks, and whether the last chunk came.
fn chunks(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    loop {
        let Some(end) = body.windows(2).position(|two| two == b"\r\n") else {
            return (data, false);
        };
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body = &body[end + 2..];
        if size == 0 {
            assert_eq!(body, b"\r\n");
            return (data, true);
        }
        if body.len() < size + 2 {
            data.extend_from_slice(body);
            return (data, false);
        }
        data.extend_from_slice(&body[..size]);
        assert_eq!(&body[size..size + 2], b"\r\n");
        body = &body[size + 2..];
    }
}

#[test]
fn status_replaces_status_headers_and_body() {
    let received = see(Behaviour::Status {
        code: 503,
        headers: vec![
            ("Retry-After".to_owned(), "7".to_owned()),
            ("content-type".to_owned(), "text/plain".to_owned()),
        ],
        body: "busy".to_owned(),
    });
    assert!(received.text().starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert_eq!(received.header("Retry-After"), Some("7"));
    assert_eq!(received.header("Content-Type"), Some("text/plain"));
    assert_eq!(received.body(), b"busy");
    assert_eq!(received.end, End::Closed);
}

#[test]
fn redirect_has_a_location() {
    let received = see(Behaviour::Redirect { code: 307, to: "http://127.0.0.1:1/elsewhere".to_owned() });
    assert_eq!(received.status(), 307);
    assert_eq!(received.header("Location"), Some("http://127.0.0.1:1/elsewhere"));
    assert_eq!(received.header("Content-Length"), Some("0"));
}

#[test]
fn reset_before_answer_sends_nothing_but_a_reset() {
    let received = see(Behaviour::ResetBeforeAnswer);
    assert_eq!((received.text().as_str(), received.end), ("", End::Reset));
}

#[test]
fn close_before_answer_sends_nothing_and_closes() {
    let received = see(Behaviour::CloseBeforeAnswer);
    assert_eq!((received.text().as_str(), received.end), ("", End::Closed));
}

#[test]
fn reset_mid_body_sends_half_the_body() {
    let received = see(Behaviour::ResetMidBody);
    assert_eq!(received.end, End::Reset);
    assert_eq!(received.status(), 200);
    assert_eq!(received.header("Content-Length"), Some(&*BODY.len().to_string()));
    assert_eq!(received.body(), &BODY.as_bytes()[..BODY.len() / 2]);
}

#[test]
fn stall_before_header_sends_nothing_for_so_long() {
    let stall = Duration::from_millis(40);
    let received = see(Behaviour::StallBeforeHeader(stall));
    assert!(received.reads[0] >= stall, "{:?}", received.reads);
    assert!(received.took < stall * 10, "{:?}", received.took);
    assert_eq!(received.body(), BODY.as_bytes());
}

#[test]
fn stall_in_body_stops_at_half_the_body_for_so_long() {
    let (_server, url) = start(vec![
        Behaviour::StallInBody(Duration::from_secs(60)),
        Behaviour::StallInBody(Duration::from_millis(40)),
    ]);
    let request = head("GET", &url, &[("BUILD_API_TOKEN", "t")]);
    let received = send(&url, request.as_bytes(), Duration::from_millis(40));
    assert_eq!(received.end, End::TimedOut);
    assert_eq!(received.body(), &BODY.as_bytes()[..BODY.len() / 2]);

    let received = ask(&url);
    assert!(received.took >= Duration::from_millis(40));
    assert_eq!(received.body(), BODY.as_bytes());
}

#[test]
fn drip_sends_the_body_in_pieces() {
    let every = Duration::from_millis(15);
    let received = see(Behaviour::Drip { bytes: 5, every });
    assert_eq!(received.body(), BODY.as_bytes());
    let pauses = u32::try_from(BODY.len().div_ceil(5) - 1).unwrap();
    assert!(received.took >= every * pauses, "{:?}", received.took);
    assert!(received.reads.len() > 2, "{:?}", received.reads);
}

#[test]
fn wrong_content_length_promises_more_than_comes() {
    let received = see(Behaviour::WrongContentLength);
    assert_eq!(received.end, End::Closed);
    assert_eq!(received.body(), BODY.as_bytes());
    let promised: usize = received.header("Content-Length").unwrap().parse().unwrap();
    assert!(promised > BODY.len());
}

#[test]
fn chunked_cut_ends_inside_a_chunk() {
    let received = see(Behaviour::ChunkedCut);
    assert_eq!(received.end, End::Closed);
    assert_eq!(received.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!(received.header("Content-Length"), None);
    assert_eq!(chunks(received.body()), (BODY.as_bytes().to_vec(), false), "all data, and yet cut");
}

#[test]
fn oversize_is_json_of_exactly_so_many_bytes() {
    for size in [16, 100_000] {
        let received = see(Behaviour::Oversize(size));
        assert_eq!(received.header("Content-Length"), None);
        let (data, whole) = chunks(received.body());
        assert!(whole);
        assert_eq!(data.len() as u64, size);
        assert!(serde_json::from_slice::<serde_json::Value>(&data).is_ok());
    }
}

#[test]
fn gzip_is_gzip() {
    let received = see(Behaviour::Gzip);
    assert_eq!(received.header("Content-Encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(received.body()).read_to_string(&mut text).unwrap();
    assert_eq!(text, BODY);
}

#[test]
fn bodies_are_replaced() {
    let received = see(Behaviour::Html);
    assert_eq!(received.status(), 200);
    assert_eq!(received.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(received.body().starts_with(b"<!DOCTYPE html>"));

    let received = see(Behaviour::EmptyBody);
    assert_eq!((received.status(), received.body()), (200, &b""[..]));
    assert_eq!(received.header("Content-Length"), Some("0"));

    let received = see(Behaviour::InvalidUtf8);
    assert_eq!(received.header("Content-Type"), Some("application/json"));
    assert!(std::str::from_utf8(received.body()).is_err());

    let received = see(Behaviour::Body(b"\x00[]".to_vec()));
    assert_eq!((received.status(), received.body()), (200, &b"\x00[]"[..]));
}

#[test]
fn raw_is_all_there_is() {
    let received = see(Behaviour::Raw(b"SSH-2.0-x\r\n".to_vec()));
    assert_eq!(received.text(), "SSH-2.0-x\r\n");
    assert_eq!(received.end, End::Closed);
}

#[test]
fn behaviours_are_used_up_in_order_but_forever_is_not() {
    let status = |code| Behaviour::Status { code, headers: Vec::new(), body: String::new() };
    let (_server, url) = start(vec![status(500), Behaviour::Ok, status(502).forever().forever()]);
    let statuses: Vec<_> = (0..5).map(|_| ask(&url).status()).collect();
    assert_eq!(statuses, [500, 200, 502, 502, 502]);
}

#[test]
fn a_request_that_is_refused_gets_the_refusal_and_not_another_answer() {
    for behaviour in [
        Behaviour::Html,
        Behaviour::EmptyBody,
        Behaviour::Oversize(1000),
        Behaviour::Status { code: 403, headers: Vec::new(), body: String::new() },
    ] {
        let (server, url) = start(vec![behaviour]);
        let received = get(&url, &[("BUILD_API_TOKEN", "wrong")]);
        assert_eq!(received.status(), 401);
        assert!(!received.body().is_empty());
        assert!(!server.requests()[0].verdict.is_ok());
        // The behaviour is used up.
        assert_eq!(ask(&url).status(), 200);
    }
}

#[test]
fn a_connection_that_breaks_does_not_look_at_the_request_but_records_its_faults() {
    let (server, url) = start(vec![Behaviour::ResetBeforeAnswer]);
    assert_eq!(get(&url, &[("Cookie", "a=b")]).end, End::Reset);
    let request = server.requests().pop().unwrap();
    assert!(!request.verdict.is_ok());
    assert_eq!(request.violations.len(), 1);
}

#[test]
fn delivery_faults_work_on_a_body_of_one_byte_and_of_none() {
    for body in ["", "x"] {
        let server = StandIn::start().unwrap();
        let behaviours = vec![
            Behaviour::ResetMidBody,
            Behaviour::WrongContentLength,
            Behaviour::ChunkedCut,
            Behaviour::StallInBody(Duration::ZERO),
            Behaviour::Drip { bytes: 0, every: Duration::ZERO },
        ];
        let url = server.file("f", "x", body, behaviours);

        let received = get(&url, &[]);
        assert_eq!(received.end, End::Reset);
        assert_eq!(received.header("Content-Length"), Some("1"));
        assert_eq!(received.body(), b"");
        let received = get(&url, &[]);
        let promised: usize = received.header("Content-Length").unwrap().parse().unwrap();
        assert!(promised > received.body().len());
        assert!(!chunks(get(&url, &[]).body()).1);
        assert_eq!(get(&url, &[]).body(), body.as_bytes());
        assert_eq!(get(&url, &[]).body(), body.as_bytes());
    }
}

#[test]
fn behaviours_survive_json() {
    let list = vec![
        Behaviour::Ok,
        Behaviour::Redirect { code: 302, to: "/".to_owned() },
        Behaviour::Drip { bytes: 1, every: Duration::from_millis(10) },
        Behaviour::Body(b"text".to_vec()),
        Behaviour::Raw(vec![0xff, 0x00]),
        Behaviour::StallBeforeHeader(Duration::from_millis(1500)).forever(),
    ];
    let json = serde_json::to_string(&list).unwrap();
    assert_eq!(
        json,
        r#"["ok",{"redirect":{"code":302,"to":"/"}},{"drip":{"bytes":1,"every":10}},{"body":"text"},{"raw":[255,0]},{"forever":{"stall_before_header":1500}}]"#
    );
    assert_eq!(serde_json::from_str::<Vec<Behaviour>>(&json).unwrap(), list);
}
