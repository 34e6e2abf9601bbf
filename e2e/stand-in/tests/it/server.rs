use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use stand_in::{Behaviour, StandIn};

use crate::client::{End, authority, get, head, read_to_end, send};

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn one_connection_carries_many_requests() {
    let server = StandIn::start().unwrap();
    let url = server.file("f", "x", b"12345".as_slice(), Vec::new());
    let twice = head("GET", &url, &[]) + &head("GET", &url, &[("Connection", "close")]);

    let received = send(&url, twice.as_bytes(), PATIENCE);

    assert_eq!(received.end, End::Closed);
    assert_eq!(received.text().matches("HTTP/1.1 200 OK").count(), 2);
    let numbers: Vec<_> = server.requests().iter().map(|r| r.connection).collect();
    assert_eq!(numbers, [1, 1]);
    get(&url, &[]);
    assert_eq!(server.requests()[2].connection, 2);
}

#[test]
fn connections_are_counted_apart_from_requests() {
    let server = StandIn::start().unwrap();
    let one = server.file("one", "x", b"1".as_slice(), Vec::new());
    // A refusal keeps the connection, too.
    let refused = one.replace("/x", "/y");
    let other = server.file("other", "x", b"2".as_slice(), Vec::new());

    let last = head("GET", &one, &[("Connection", "close")]);
    let three = head("GET", &one, &[]) + &head("GET", &refused, &[]) + &last;
    send(&one, three.as_bytes(), PATIENCE);
    get(&other, &[]);
    get(&other, &[]);

    assert_eq!((server.requests_for("one").len(), server.connections_for("one")), (3, 1));
    assert_eq!((server.requests_for("other").len(), server.connections_for("other")), (2, 2));
    assert_eq!((server.requests().len(), server.connections()), (5, 3));
}

#[test]
fn a_wrong_host_and_a_body_are_violations() {
    let server = StandIn::start().unwrap();
    let url = server.file("f", "x", b"12345".as_slice(), Vec::new());
    let right = format!("Host: {}\r\n", authority(&url));
    for headers in [
        String::new(),
        "Host: example.com\r\n".to_owned(),
        format!("{right}{right}"),
        format!("{right}Content-Length: 2\r\n"),
        format!("{right}Transfer-Encoding: chunked\r\n"),
    ] {
        let request = format!("GET /files/f/x HTTP/1.1\r\n{headers}Connection: close\r\n\r\n{{}}");
        let received = send(&url, request.as_bytes(), PATIENCE);
        assert_eq!(received.status(), 400, "{headers}");
        assert_eq!(received.end, End::Closed);
        assert_eq!(server.requests().pop().unwrap().violations.len(), 1);
    }
}

#[test]
fn what_is_not_http_is_400_and_recorded() {
    let server = StandIn::start().unwrap();
    let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(70_000));
    for request in ["hello\r\n\r\n", "\x16\x03\x01\x02\x00", &long] {
        let received = send(server.origin(), request.as_bytes(), PATIENCE);
        assert_eq!(received.status(), 400);
        assert_eq!(received.end, End::Closed);
        assert!(!server.requests().pop().unwrap().verdict.is_ok());
    }
}

#[test]
fn a_scenario_can_be_replaced_while_the_server_runs() {
    let server = StandIn::start().unwrap();
    for bytes in [b"one", b"two"] {
        let url = server.file("f", "x", bytes.as_slice(), Vec::new());
        assert_eq!(get(&url, &[]).body(), bytes);
    }
}

#[test]
fn the_end_of_a_server_cuts_everything_short() {
    let server = StandIn::start().unwrap();
    let long = Duration::from_secs(60);
    let behaviours =
        vec![Behaviour::StallBeforeHeader(long), Behaviour::StallInBody(long), Behaviour::Oversize(u64::MAX)];
    let count = behaviours.len();
    let url = server.file("f", "x", b"12345".as_slice(), behaviours);
    let mut clients = Vec::new();
    for done in 1..=count {
        let mut tcp = TcpStream::connect(authority(&url)).unwrap();
        tcp.write_all(head("GET", &url, &[]).as_bytes()).unwrap();
        clients.push(tcp);
        while server.requests().len() < done {
            thread::sleep(Duration::from_millis(1));
        }
    }
    // One that has not asked yet.
    clients.push(TcpStream::connect(authority(&url)).unwrap());

    let began = Instant::now();
    drop(server);

    assert!(began.elapsed() < Duration::from_millis(250));
    for tcp in &mut clients {
        assert_ne!(read_to_end(tcp, PATIENCE).end, End::TimedOut);
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(TcpStream::connect(authority(&url)).is_err());
}

#[test]
fn a_stalled_thread_ends_when_its_client_leaves() {
    let server = StandIn::start().unwrap();
    let stall = Behaviour::StallBeforeHeader(Duration::from_secs(60));
    let url = server.file("f", "x", b"12345".as_slice(), vec![stall]);
    let mut tcp = TcpStream::connect(authority(&url)).unwrap();
    tcp.write_all(head("GET", &url, &[]).as_bytes()).unwrap();
    tcp.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    tcp.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}
