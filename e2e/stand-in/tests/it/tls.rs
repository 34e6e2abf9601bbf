use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls::{SupportedProtocolVersion, pki_types::ServerName};
use stand_in::{Behaviour, Certificate, Connection, StandIn};

use crate::client::{authority, head};

fn get(
    server: &StandIn,
    host: &'static str,
    version: &'static SupportedProtocolVersion,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(server.ca_pem().unwrap().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host).unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let port = authority(server.origin()).rsplit_once(':').unwrap().1;
    let tcp = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let mut stream = StreamOwned::new(session, tcp);

    let url = format!("{}/build/b/apple_developer_portal_data.json", server.origin());
    let headers = [("BUILD_API_TOKEN", "t"), ("Connection", "close")];
    stream.write_all(head("GET", &url, &headers).as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn start(certificate: Certificate) -> StandIn {
    let server = StandIn::start_tls(certificate).unwrap();
    let connection = Connection { token: "t".to_owned(), body: "{}".to_owned(), behaviours: Vec::new() };
    let url = server.connection("b", connection);
    assert!(url.starts_with("https://localhost:"), "{url}");
    server
}

#[test]
fn a_good_certificate_is_trusted_by_both_of_its_names() {
    let server = start(Certificate::Good);
    for host in ["localhost", "127.0.0.1"] {
        for version in [&TLS12, &TLS13] {
            let text = get(&server, host, version).unwrap();
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        }
    }
}

#[test]
fn each_bad_certificate_is_refused_for_its_own_reason() {
    for (certificate, reason) in [
        (Certificate::SelfSigned, "UnknownIssuer"),
        (Certificate::Expired, "expired"),
        (Certificate::WrongHost, "not valid for name"),
    ] {
        let server = start(certificate);
        let error = get(&server, "localhost", &TLS13).unwrap_err().to_string();
        assert!(error.contains(reason), "{certificate:?}: {error}");
        assert!(server.requests().is_empty());
    }
    let server = start(Certificate::WrongHost);
    assert!(get(&server, "other.example", &TLS13).is_ok());
}

#[test]
fn connections_break_under_tls_too() {
    let server = start(Certificate::Good);
    let connection = Connection {
        token: "t".to_owned(),
        body: "{}".to_owned(),
        behaviours: vec![Behaviour::ResetBeforeAnswer, Behaviour::ResetMidBody],
    };
    server.connection("b", connection);
    for _ in 0..2 {
        let error = get(&server, "localhost", &TLS13).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    assert!(get(&server, "localhost", &TLS13).is_ok());
}
