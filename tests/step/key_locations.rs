//! Where the private key can be, and how each way to miss it is told apart.

use std::fs;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stand_in::{Behaviour, Certificate, StandIn, keys};

use test_support::{
    INPUT_ISSUER, INPUT_KEY_ID, Outcome, SERVER, Step, always_busy, busy, pem, pem_body, redirect, status,
    unique_name,
};

const NAME: &str = "AuthKey_FROMINPUT1.p8";

static TLS: LazyLock<StandIn> = LazyLock::new(|| StandIn::start_tls(Certificate::Good).unwrap());

/// With the key at this place, and no `api_key_id`.
fn at(location: &str) -> Step {
    Step::off_bitrise().set("api_key_path", location).set("api_issuer", INPUT_ISSUER)
}

/// A file on the stand-in, in a scenario that no other test has.
fn serve(name: &str, bytes: impl Into<Vec<u8>>, behaviours: Vec<Behaviour>) -> (String, String) {
    let scenario = unique_name();
    let url = SERVER.file(&scenario, name, bytes, behaviours);
    (scenario, url)
}

fn served(behaviours: Vec<Behaviour>) -> (String, String) {
    serve(NAME, pem(), behaviours)
}

#[track_caller]
fn assert_key(outcome: &Outcome) {
    assert_eq!(outcome.expect("APPLE_API_KEY_ID"), INPUT_KEY_ID);
    assert_eq!(fs::read_to_string(outcome.expect("APPLE_API_KEY_PATH")).unwrap(), pem());
}

#[test]
fn the_key_can_be_at_a_path() {
    let absolute = Step::off_bitrise().file("work/keys/AuthKey_FROMINPUT1.p8", pem());
    let path = absolute.path("work/keys").join(NAME);
    let run = |step: Step, location: &str| {
        assert_key(&step.set("api_key_path", location).set("api_issuer", INPUT_ISSUER).passes());
    };
    run(absolute, path.to_str().unwrap());
    let step = || Step::off_bitrise().file("work/keys/AuthKey_FROMINPUT1.p8", pem());
    run(step(), "keys/AuthKey_FROMINPUT1.p8");
    run(step(), "./keys/../keys/AuthKey_FROMINPUT1.p8");
    run(Step::off_bitrise().file("home/AuthKey_FROMINPUT1.p8", pem()), "~/AuthKey_FROMINPUT1.p8");
}

/// Slashes are base64, too, so a long path with digits and capitals looks like a key's text.
#[test]
fn a_long_path_that_ends_like_a_key_file_is_a_path() {
    const FILE: &str = "work/Customers/Northwind2024/Release/Keys/Team7/AuthKey_FROMINPUT1.p8";
    let step = Step::off_bitrise().file(FILE, pem()).set("api_issuer", INPUT_ISSUER);
    let path = step.path(FILE);
    assert_key(&step.set("api_key_path", path.to_str().unwrap()).passes());
    let error = at("/Customers/Northwind2024/Release/Keys/Team7/AuthKey_FROMINPUT1.p8").fails();
    assert!(error.contains("does not exist"), "{error}");
}

#[test]
fn the_key_can_be_at_a_file_url() {
    for (file, url) in [
        ("work/AuthKey_FROMINPUT1.p8", "work/AuthKey_FROMINPUT1.p8"),
        ("work/a b/AuthKey_FROMINPUT1.p8", "work/a%20b/AuthKey_FROMINPUT1.p8"),
        ("work/AuthKey_FROMINPUT1.p8", "work/%41uthKey%5FFROMINPUT1.p8"),
        ("work/ü/AuthKey_FROMINPUT1.p8", "work/%C3%BC/AuthKey_FROMINPUT1.p8"),
    ] {
        let step = Step::off_bitrise().file(file, pem()).set("api_issuer", INPUT_ISSUER);
        let url = format!("file://{}", step.path(url).display());
        assert_key(&step.set("api_key_path", url).passes());
    }
    let error = at("file://keys/AuthKey_FROMINPUT1.p8").fails();
    assert!(error.contains("`api_key_path`") && error.contains("three slashes"), "{error}");
}

#[test]
fn the_key_can_be_a_download() {
    let (scenario, url) = served(vec![]);
    for suffix in ["", "?X-Amz-Signature=canary%2Fsignature", "?file=AuthKey_WRONG12345.p8", "#part"] {
        assert_key(&at(&format!("{url}{suffix}")).secret("canary%2Fsignature").passes());
    }
    let requests = SERVER.requests_for(&scenario);
    assert_eq!(requests.len(), 4);
    assert!(requests[1].target.ends_with("?X-Amz-Signature=canary%2Fsignature"), "sent as it is");
    assert!(requests.iter().all(|request| request.violations.is_empty()), "no token goes there");
}

#[test]
fn the_key_id_in_a_url_is_percent_decoded() {
    let (_, url) = served(vec![]);
    let encoded = url.replace("AuthKey_FROMINPUT1", "%41uthKey%5F%46ROMINPUT1");
    assert_key(&at(&encoded).passes());
    // As storage services name their objects.
    let (_, url) = serve("folder/AuthKey_FROMINPUT1.p8", pem(), vec![]);
    assert!(url.contains("%2FAuthKey_"), "{url}");
    assert_key(&at(&url).passes());
}

#[test]
fn the_key_can_be_text_in_the_input() {
    let body = pem_body(pem());
    let forms = [
        pem().to_owned(),
        pem().replace('\n', "\r\n"),
        pem().replace('\n', "\\n"),
        format!("\"{}\"", pem().replace('\n', "\\n")),
        pem().replace('\n', " "),
        body.clone(),
        STANDARD.encode(pem()),
        STANDARD.encode(&body),
        STANDARD
            .encode(pem())
            .as_bytes()
            .chunks(76)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join("\n"),
    ];
    for form in forms {
        let outcome = at(&form).set("api_key_id", INPUT_KEY_ID).secret(&form).secret(&body).passes();
        assert_key(&outcome);
        assert!(outcome.stdout.contains("- api_key_path: *****\n"), "{}", outcome.stdout);
    }
}

#[test]
fn text_in_the_input_has_no_key_id() {
    let error = at(pem()).secret(pem()).fails();
    assert!(error.contains("`api_key_id`") && error.contains("AuthKey_<ID>.p8"), "{error}");
}

#[test]
fn api_key_id_wins_over_the_id_in_the_name() {
    let (_, url) = serve("AuthKey_OTHERID123.p8", pem(), vec![]);
    assert_key(&at(&url).set("api_key_id", INPUT_KEY_ID).passes());
}

#[test]
fn a_name_without_a_key_id_is_an_error_that_names_both_ways() {
    for name in [
        "key.p8",
        "AuthKey_.p8",
        "AuthKey_FROMINPUT1.p8.txt",
        "AuthKey_FROMINPUT1 (1).p8",
        "authkey_FROMINPUT1.p8",
        "AuthKey_..%2F..%2Fx.p8",
        "AuthKey_a.b.p8",
    ] {
        for location in [format!("/keys/{name}"), format!("https://localhost:1/{name}?AuthKey_FROMINPUT1.p8")]
        {
            let error = at(&location).fails();
            assert!(error.contains("key ID is unknown") && error.contains("`api_key_id`"), "{name}: {error}");
            assert!(error.contains("AuthKey_<ID>.p8"), "{name}: {error}");
        }
    }
}

#[test]
fn each_failure_of_a_file_is_told_apart() {
    let step = || {
        Step::off_bitrise()
            .set("api_issuer", INPUT_ISSUER)
            .set("api_key_id", INPUT_KEY_ID)
            .file("work/file", "x")
            .file("work/empty", " \n")
            .file("work/large", vec![b'A'; 64 * 1024 + 1])
            .file("work/binary", [0x30, 0xff, 0xfe])
    };
    for (path, why) in [
        ("missing.p8", "does not exist"),
        ("file/through.p8", "does not exist"),
        (".", "is a folder"),
        ("empty", "is empty"),
        ("large", "larger than 64 KiB"),
        ("binary", "not text in UTF-8"),
        ("file", "truncated or damaged"),
        ("/dev/null", "no regular file"),
    ] {
        let error = step().set("api_key_path", path).fails();
        assert!(error.contains("`api_key_path`") && error.contains(why), "{path}: {error}");
    }
}

#[test]
fn a_key_file_that_may_not_be_read_is_an_error_that_says_so() {
    let step = Step::off_bitrise().file("work/AuthKey_FROMINPUT1.p8", pem()).not_as_root();
    test_support::set_mode(step.path("work").join(NAME), 0o000);
    let error = step.set("api_key_path", NAME).set("api_issuer", INPUT_ISSUER).fails();
    assert!(error.contains("cannot be read") && error.contains("ermission"), "{error}");
}

#[test]
fn a_pipe_is_no_key_file_and_is_not_waited_for() {
    let step = Step::off_bitrise().set("api_issuer", INPUT_ISSUER);
    let pipe = step.path("work").join(NAME);
    // Without a writer, reading it would never end.
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let error = step.set("api_key_path", NAME).fails();
    assert!(error.contains("no regular file"), "{error}");
}

#[test]
fn each_failure_of_a_download_is_told_apart() {
    let rows = [
        (vec![status(404, &[])], "HTTP 404 Not Found (nothing there)", 1),
        (vec![status(410, &[])], "HTTP 410", 1),
        (vec![status(401, &[])], "HTTP 401", 1),
        (vec![status(403, &[])], "HTTP 403 Forbidden (no access", 1),
        (vec![status(204, &[])], "HTTP 204", 1),
        (vec![status(304, &[])], "HTTP 304", 1),
        (always_busy(500), "HTTP 500", 4),
        (always_busy(503), "HTTP 503", 4),
        (always_busy(429), "HTTP 429", 4),
        (vec![Behaviour::Html], "is an HTML page", 1),
        (vec![Behaviour::EmptyBody], "is empty", 1),
        (
            vec![Behaviour::Body(
                b"<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code></Error>".to_vec(),
            )],
            "XML error",
            1,
        ),
        (vec![Behaviour::Body(b"{\"error\":\"x\"}".to_vec())], "is a JSON document", 1),
        (vec![Behaviour::Body(vec![0xff, 0xfe])], "not text in UTF-8", 1),
        (vec![Behaviour::Body(vec![b'A'; 64 * 1024 + 1])], "larger than 64 KiB", 1),
        (vec![Behaviour::Oversize(1 << 20)], "larger than 64 KiB", 1),
    ];
    for (behaviours, why, tries) in rows {
        let (scenario, url) = served(behaviours);
        let error = at(&format!("{url}?canary-signature")).secret("canary-signature").fails();
        assert!(error.contains("`api_key_path`") && error.contains(why), "{why}: {error}");
        assert_eq!(SERVER.requests_for(&scenario).len(), tries, "{why}");
    }
}

#[test]
fn a_redirect_that_leads_nowhere_is_said_without_talk_of_a_token() {
    let (_, url) = served(vec![status(302, &[])]);
    let error = at(&url).fails();
    assert!(error.contains("HTTP 302") && !error.contains("token"), "there is none in a download: {error}");
}

#[test]
fn a_download_is_tried_again_until_it_succeeds() {
    let (scenario, url) = served(vec![busy(500), busy(429), busy(502), Behaviour::Ok]);
    let outcome = at(&url).passes();
    assert_key(&outcome);
    assert_eq!(SERVER.requests_for(&scenario).len(), 4);
    let retries = outcome.warnings().iter().filter(|line| line.contains("trying again")).count();
    assert_eq!(retries, 3, "each retry is logged: {}", outcome.stdout);
}

#[test]
fn five_redirects_are_followed_and_the_key_id_stays_that_of_the_input() {
    let (_, target) = serve("download", pem(), vec![]);
    let (scenario, _) = served(vec![]);
    let own = format!("{}/files/{}/{NAME}", SERVER.origin(), scenario.replace(' ', "%20"));
    let mut hops = vec![redirect(&own); 4];
    hops.push(redirect(&target));
    SERVER.file(&scenario, NAME, pem(), hops);
    let outcome = at(&own).passes();
    assert_key(&outcome);
    assert_eq!(SERVER.requests_for(&scenario).len(), 5);
}

#[test]
fn more_than_five_redirects_are_an_error() {
    let (scenario, url) = served(vec![]);
    SERVER.file(&scenario, NAME, pem(), vec![redirect(&url).forever()]);
    let error = at(&url).fails();
    assert!(error.contains("redirects more than 5 times"), "{error}");
    assert_eq!(SERVER.requests_for(&scenario).len(), 6);
}

#[test]
fn the_token_does_not_go_where_the_key_is() {
    let (scenario, url) = served(vec![]);
    let outcome = Step::new().set("api_key_path", &url).set("api_issuer", INPUT_ISSUER).passes();
    assert_key(&outcome);
    let requests = SERVER.requests_for(&scenario);
    assert_eq!(requests.len(), 1);
    let has = |secret: &str| {
        requests[0].headers.iter().any(|(name, value)| value.contains(secret) || name.contains("TOKEN"))
    };
    assert!(!has(test_support::TOKEN), "{requests:?}");
}

/// A step that trusts the test CA of this server, as a company's own CA is trusted.
fn trusting(server: &StandIn, location: &str) -> Step {
    let step = at(location).file("home/ca.pem", server.ca_pem().unwrap());
    let ca = step.path("home/ca.pem");
    step.set("SSL_CERT_FILE", ca)
}

#[test]
fn https_is_taken_with_a_certificate_that_the_system_trusts() {
    let url = TLS.file(&unique_name(), NAME, pem(), vec![]);
    assert_key(&trusting(&TLS, &url).passes());
}

#[test]
fn a_certificate_that_the_system_does_not_trust_is_refused_and_not_tried_again() {
    let url = TLS.file(&unique_name(), NAME, pem(), vec![]);
    let unknown_issuer = at(&url);
    let refused = |certificate| {
        let server = StandIn::start_tls(certificate).unwrap();
        let url = server.file("x", NAME, pem(), vec![]);
        let step = trusting(&server, &url);
        (step, Some(server))
    };
    for (step, _server) in [
        (unknown_issuer, None),
        refused(Certificate::SelfSigned),
        refused(Certificate::Expired),
        refused(Certificate::WrongHost),
    ] {
        let outcome = step.run();
        outcome.check_failure();
        let error = outcome.error();
        assert!(error.contains("no certificate that this machine trusts"), "{error}");
        assert!(!outcome.stdout.contains("trying again"), "{}", outcome.stdout);
    }
}

#[test]
fn a_redirect_from_https_to_http_is_refused() {
    let (scenario, target) = served(vec![]);
    let url = TLS.file(&unique_name(), NAME, "", vec![redirect(format!("{target}?canary-signature"))]);
    let error = trusting(&TLS, &url).secret("canary-signature").fails();
    assert!(error.contains("from https to http"), "{error}");
    assert_eq!(SERVER.requests_for(&scenario), []);
}

#[test]
fn a_redirect_to_plain_http_elsewhere_is_refused() {
    let (_, url) =
        served(vec![redirect("http://files.example.invalid/AuthKey_FROMINPUT1.p8?canary-signature")]);
    let error = at(&url).secret("canary-signature").fails();
    assert!(error.contains("redirect") && error.contains("http"), "{error}");
}

#[test]
fn a_redirect_from_http_on_this_machine_to_https_is_followed() {
    let target = TLS.file(&unique_name(), NAME, pem(), vec![]);
    let (_, url) = served(vec![redirect(&target)]);
    assert_key(&trusting(&TLS, &url).passes());
}

#[test]
fn what_is_no_api_key_is_refused_by_name() {
    let two = format!("{}{}", pem(), keys::P256::generate().unwrap().private_pem);
    let cut: String = pem().lines().take(2).collect::<Vec<_>>().join("\n");
    let rows: [(Vec<u8>, &str); 14] = [
        (keys::rsa_2048_private_pem().unwrap().into(), "is an RSA key"),
        (keys::p384_private_pem().unwrap().into(), "another curve"),
        (include_bytes!("../fixtures/explicit_curve.pem").to_vec(), "another curve"),
        (keys::ed25519_private_pem().unwrap().into(), "is an Ed25519 key"),
        (include_bytes!("../fixtures/encrypted_pkcs8.pem").to_vec(), "is encrypted with a passphrase"),
        (include_bytes!("../fixtures/encrypted_sec1.pem").to_vec(), "is encrypted with a passphrase"),
        (keys::P256::generate().unwrap().public_pem.into(), "is only the public key"),
        (include_bytes!("../fixtures/certificate.pem").to_vec(), "is a certificate"),
        (include_bytes!("../fixtures/identity.p12").to_vec(), "is a .p12 file"),
        (b"<!DOCTYPE html><title>Sign in</title>".to_vec(), "is an HTML page"),
        (b"<Error><Code>AccessDenied</Code></Error>".to_vec(), "is an XML error of a storage service"),
        (b"{\"key_id\":\"X\",\"issuer_id\":\"Y\",\"key\":\"Z\"}".to_vec(), "fastlane's API key JSON"),
        (two.into(), "more than one key"),
        (cut.into(), "truncated or damaged"),
    ];
    for (bytes, what) in rows {
        let step = Step::off_bitrise().file("work/AuthKey_FROMINPUT1.p8", &bytes);
        let step = step.set("api_key_path", NAME).set("api_issuer", INPUT_ISSUER);
        let error = step.secret(String::from_utf8_lossy(&bytes)).fails();
        assert!(error.starts_with("The private key in `api_key_path` ") && error.contains(what), "{error}");
    }
}
