//! What `api_key_path` can be, and the errors for wrong paths, URLs and files.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use stand_in::{Behaviour, Certificate, Connection, StandIn, keys};

use test_support::snapshots::assert_messages;
use test_support::{
    BUILD_API_TOKEN, INPUT_ISSUER, INPUT_KEY_ID, SERVER, Step, always_busy, api_key, assert_key, errors_of,
    in_parallel, make_fifo, pem, pem_body, redirect, status, unique_name, wrapped,
};

const KEY_FILE: &str = "AuthKey_FROMINPUT1.p8";

static TLS_SERVER: LazyLock<StandIn> = LazyLock::new(|| StandIn::start_tls(Certificate::Good).unwrap());

/// A run with this `api_key_path` and without `api_key_id`.
fn with_key_path(location: &str) -> Step {
    Step::off_bitrise().set("api_key_path", location).set("api_issuer", INPUT_ISSUER)
}

/// Serves a file on the stand-in, in a scenario of its own. Returns the scenario and the URL.
fn serve(name: &str, bytes: impl Into<Vec<u8>>, behaviours: Vec<Behaviour>) -> (String, String) {
    let scenario = unique_name();
    let url = SERVER.file(&scenario, name, bytes, behaviours);
    (scenario, url)
}

fn serve_key(behaviours: Vec<Behaviour>) -> (String, String) {
    serve(KEY_FILE, pem(), behaviours)
}

/// A run with the key in this file, and without `api_key_id`.
fn with_key_at(file: &str) -> Step {
    Step::off_bitrise().file(file, pem()).set("api_issuer", INPUT_ISSUER)
}

#[test]
fn the_key_can_be_a_file_at_a_path() {
    // A slash is a base64 character too, so a path with digits and capitals looks like the text of a key.
    const LONG_PATH: &str = "Customers/Northwind2024/Release/Keys/Team7/AuthKey_FROMINPUT1.p8";
    let in_folder = || with_key_at("work/keys/AuthKey_FROMINPUT1.p8");
    let at_long_path = with_key_at(&format!("work/{LONG_PATH}"));
    let absolute = at_long_path.path("work").join(LONG_PATH);
    for (step, location) in [
        (at_long_path, absolute.to_str().unwrap()),
        (in_folder(), "keys/AuthKey_FROMINPUT1.p8"),
        (in_folder(), "./keys/../keys/AuthKey_FROMINPUT1.p8"),
        (with_key_at("home/AuthKey_FROMINPUT1.p8"), "~/AuthKey_FROMINPUT1.p8"),
    ] {
        assert_key(&step.set("api_key_path", location).succeeds());
    }
    let missing = with_key_path(&format!("/{LONG_PATH}")).fails().error();
    assert_messages("key_locations/long_path", [("a long path to a missing file", missing)]);
}

#[test]
fn the_key_id_is_read_from_the_name_of_every_copy() {
    let copies = ["", " (1)", "(12)", "-2", " 2", " copy", " copy 2"];
    let names = copies.iter().flat_map(|copy| ["p8", "p8.txt"].map(|end| format!("{copy}.{end}")));
    in_parallel(names, |end| {
        let name = format!("AuthKey_FROMINPUT1{end}");
        assert_key(&with_key_at(&format!("work/{name}")).set("api_key_path", name).succeeds());
    });
}

#[test]
fn the_key_can_be_at_a_file_url() {
    for (file, url) in [
        ("work/AuthKey_FROMINPUT1.p8", "work/AuthKey_FROMINPUT1.p8"),
        ("work/a b/AuthKey_FROMINPUT1.p8", "work/a%20b/AuthKey_FROMINPUT1.p8"),
        ("work/AuthKey_FROMINPUT1.p8", "work/%41uthKey%5FFROMINPUT1.p8"),
        ("work/ü/AuthKey_FROMINPUT1.p8", "work/%C3%BC/AuthKey_FROMINPUT1.p8"),
        // A URL is not decoded if a file of that name exists, as in Bitrise's Steps in Go.
        ("work/a%20b/AuthKey_FROMINPUT1.p8", "work/a%20b/AuthKey_FROMINPUT1.p8"),
        ("work/a#b?c/AuthKey_FROMINPUT1.p8", "work/a#b?c/AuthKey_FROMINPUT1.p8"),
        ("work/100%/AuthKey_FROMINPUT1.p8", "work/100%/AuthKey_FROMINPUT1.p8"),
    ] {
        let step = Step::off_bitrise().file(file, pem()).set("api_issuer", INPUT_ISSUER);
        let url = format!("file://{}", step.path(url).display());
        assert_key(&step.set("api_key_path", url).succeeds());
    }
    let error = with_key_path("file://keys/AuthKey_FROMINPUT1.p8").fails().error();
    assert_messages("key_locations/file_url", [("a file URL with two slashes", error)]);
}

#[test]
fn the_key_is_downloaded_from_the_unchanged_url_and_without_the_build_token() {
    let (scenario, url) = serve_key(vec![]);
    // The name of an object in a storage service can contain a slash.
    let (_, with_slash) = serve("folder/AuthKey_FROMINPUT1.p8", pem(), vec![]);
    assert!(with_slash.contains("%2FAuthKey_"), "{with_slash}");
    for location in [
        url.clone(),
        format!("{url}?X-Amz-Signature=canary%2Fsignature"),
        format!("{url}?file=AuthKey_WRONG12345.p8"),
        format!("{url}#part"),
        url.replace("AuthKey_FROMINPUT1", "%41uthKey%5F%46ROMINPUT1"),
        with_slash,
    ] {
        let step = Step::new().set("api_key_path", location).set("api_issuer", INPUT_ISSUER);
        assert_key(&step.secret("canary%2Fsignature").succeeds());
    }
    let requests = SERVER.requests_for(&scenario);
    assert_eq!(requests.len(), 5, "all but the one with a slash");
    assert!(requests[1].target.ends_with("?X-Amz-Signature=canary%2Fsignature"), "{requests:?}");
    let headers: Vec<_> = requests.iter().flat_map(|request| &request.headers).collect();
    let has_token =
        headers.iter().any(|(name, value)| name.contains("TOKEN") || value.contains(BUILD_API_TOKEN));
    assert!(!has_token, "{headers:?}");
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
        wrapped(&STANDARD.encode(pem()), 76),
    ];
    for form in forms {
        let outcome =
            with_key_path(&form).set("api_key_id", INPUT_KEY_ID).secret(&form).secret(&body).succeeds();
        assert_key(&outcome);
        assert!(outcome.stdout.contains("- api_key_path: *****\n"), "{}", outcome.stdout);
    }
}

#[test]
fn api_key_id_or_json_overrides_the_id_in_the_file_name_with_a_warning() {
    let name = "AuthKey_OTHERID123.p8";
    let (_, url) = serve(name, pem(), vec![]);
    let in_folder = || with_key_path("keys").file(&format!("work/keys/{name}"), pem());
    let json = json!({"key_id": INPUT_KEY_ID, "key": pem()}).to_string();
    let rows = [
        ("a download", with_key_path(&url).set("api_key_id", INPUT_KEY_ID)),
        ("the only file in a folder", in_folder().set("api_key_id", INPUT_KEY_ID)),
        ("JSON", with_key_path(name).file(&format!("work/{name}"), json)),
    ];
    let warnings = rows.map(|(what, step)| {
        let outcome = step.set("verify", "no").succeeds();
        assert_key(&outcome);
        (what, outcome.warnings().join("\n"))
    });
    assert_messages("key_locations/another_id_in_the_name", warnings);
    let outcome =
        in_folder().file("work/keys/AuthKey_FROMINPUT1.p8", pem()).set("api_key_id", INPUT_KEY_ID).succeeds();
    assert_eq!(outcome.warnings(), Vec::<String>::new());
}

#[test]
fn values_that_the_step_exports_are_accepted_as_api_key_path() {
    let exported = Step::off_bitrise()
        .with_key_inputs()
        .set("export_for", "codemagic, rcodesign, connection")
        .succeeds();
    for variable in
        ["APP_STORE_CONNECT_PRIVATE_KEY", "APPLE_RCODESIGN_API_KEY_PATH", "BITRISE_PORTAL_DATA_JSON"]
    {
        let value = exported.output(variable);
        assert_key(&with_key_path(&value).set("api_key_id", INPUT_KEY_ID).secret(pem()).succeeds());
    }
}

#[test]
fn the_error_for_a_name_without_a_key_id_says_how_to_set_the_id() {
    let mut rows = vec![("the key's text".to_owned(), with_key_path(pem()).secret(pem()))];
    for name in [
        "key.p8",
        "AuthKey_.p8",
        // The next two names contain the ID, so the error is that the key cannot be read.
        "AuthKey_FROMINPUT1.p8.txt",
        "AuthKey_FROMINPUT1 (1).p8",
        "authkey_FROMINPUT1.p8",
        "AuthKey_..%2F..%2Fx.p8",
        "AuthKey_a.b.p8",
        "Key_FROMINPUT1.p8",
    ] {
        for location in [format!("/keys/{name}"), format!("https://localhost:1/{name}?AuthKey_FROMINPUT1.p8")]
        {
            rows.push((location.clone(), with_key_path(&location)));
        }
    }
    assert_messages("key_locations/unknown_key_id", errors_of(rows));
}

#[test]
fn the_error_says_why_a_file_is_not_a_usable_key() {
    let step = || {
        Step::off_bitrise()
            .set("api_issuer", INPUT_ISSUER)
            .set("api_key_id", INPUT_KEY_ID)
            .file("work/file", "x")
            .file("work/empty", " \n")
            .file("work/large", vec![b'A'; 64 * 1024 + 1])
            .file("work/binary", [0x30, 0xff, 0xfe])
    };
    let forbidden = step().not_as_root();
    test_support::set_mode(forbidden.path("work/file"), 0o000);
    let pipe = step();
    // Reading a pipe that has no writer blocks forever.
    make_fifo(&pipe.path("work/pipe"));
    let rows = [
        ("a missing file", step(), "missing.p8"),
        ("a path through a file", step(), "file/through.p8"),
        ("a folder", step(), "."),
        ("an empty file", step(), "empty"),
        ("a large file", step(), "large"),
        ("a binary file", step(), "binary"),
        ("text that is not a key", step(), "file"),
        ("a device", step(), "/dev/null"),
        ("a pipe", pipe, "pipe"),
        ("an unreadable file", forbidden, "file"),
    ];
    let errors = errors_of(rows.map(|(what, step, path)| (what, step.set("api_key_path", path))));
    assert_messages("key_locations/files", errors);
}

#[test]
fn the_error_says_why_a_download_failed() {
    let with_body = |body: &[u8]| vec![Behaviour::Body(body.to_vec())];
    let xml = b"<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code></Error>";
    let rows = [
        ("404", vec![status(404, &[])], 1),
        ("410", vec![status(410, &[])], 1),
        ("401", vec![status(401, &[])], 1),
        ("403", vec![status(403, &[])], 1),
        ("204", vec![status(204, &[])], 1),
        ("304", vec![status(304, &[])], 1),
        ("500 every time", always_busy(500), 4),
        ("503 every time", always_busy(503), 4),
        ("429 every time", always_busy(429), 4),
        ("an HTML page", vec![Behaviour::Html], 1),
        ("an empty body", vec![Behaviour::EmptyBody], 1),
        ("an XML error", with_body(xml), 1),
        ("a JSON error", with_body(b"{\"error\":\"x\"}"), 1),
        ("binary data", with_body(&[0x80, 0xff]), 1),
        ("more than 64 KiB", with_body(&vec![b'A'; 64 * 1024 + 1]), 1),
        ("much more than 64 KiB", vec![Behaviour::Oversize(1 << 20)], 1),
        ("a redirect without a target", vec![status(302, &[])], 1),
        (
            "a redirect to plain http elsewhere",
            vec![redirect("http://files.example.invalid/AuthKey_FROMINPUT1.p8?canary-signature")],
            1,
        ),
    ];
    let errors = in_parallel(rows, |(what, behaviours, tries)| {
        let (scenario, url) = serve_key(behaviours);
        let error =
            with_key_path(&format!("{url}?canary-signature")).secret("canary-signature").fails().error();
        assert_eq!(SERVER.requests_for(&scenario).len(), tries, "{what}");
        (what, error)
    });
    assert_messages("key_locations/downloads", errors);
}

#[test]
fn five_redirects_are_followed_and_the_key_id_is_read_from_the_first_url() {
    let (_, target) = serve("download", pem(), vec![]);
    let scenario = unique_name();
    let first_url = format!("{}/files/{}/{KEY_FILE}", SERVER.origin(), scenario.replace(' ', "%20"));
    let mut hops = vec![redirect(&first_url); 4];
    hops.push(redirect(&target));
    SERVER.file(&scenario, KEY_FILE, pem(), hops);
    assert_key(&with_key_path(&first_url).succeeds());
    assert_eq!(SERVER.requests_for(&scenario).len(), 5);
}

#[test]
fn more_than_five_redirects_are_an_error() {
    let (scenario, url) = serve_key(vec![]);
    // Serves the file again, now with a redirect to its own URL.
    SERVER.file(&scenario, KEY_FILE, pem(), vec![redirect(&url).forever()]);
    assert_messages(
        "key_locations/redirects",
        [("a redirect to itself", with_key_path(&url).fails().error())],
    );
    assert_eq!(SERVER.requests_for(&scenario).len(), 6);
}

#[test]
fn an_untrusted_certificate_is_rejected_without_a_retry() {
    let kinds = [
        ("of an unknown issuer", None),
        ("signed by itself", Some(Certificate::SelfSigned)),
        ("that has expired", Some(Certificate::Expired)),
        ("of another host", Some(Certificate::WrongHost)),
    ];
    let mut errors = Vec::new();
    for (what, certificate) in kinds {
        // The CA is trusted in all rows but the first, so only the certificate itself is wrong.
        let is_ca_trusted = certificate.is_some();
        let server = StandIn::start_tls(certificate.unwrap_or(Certificate::Good)).unwrap();
        let key = server.file("x", KEY_FILE, pem(), vec![]);
        let connection =
            Connection { token: BUILD_API_TOKEN.to_owned(), body: api_key().to_string(), behaviours: vec![] };
        let build_url = server.connection("x", connection);
        for (resource, step) in
            [("the key", with_key_path(&key)), ("the connection", Step::new().set("build_url", build_url))]
        {
            let step = if is_ca_trusted { step.trusting(&server) } else { step };
            let outcome = step.fails();
            errors.push((format!("{resource}, with a certificate {what}"), outcome.error()));
            assert_eq!(outcome.warnings(), Vec::<String>::new(), "the request is not retried");
        }
        assert_eq!(server.requests(), [], "no token is sent");
    }
    // The errors for the connection come first.
    errors.sort_by_key(|(what, _)| what.starts_with("the key"));
    assert_messages("key_locations/certificates", errors);
}

#[test]
fn the_error_for_a_server_without_tls_says_so() {
    let (_, url) = serve_key(vec![]);
    let error = with_key_path(&url.replace("http://", "https://")).fails().error();
    assert_messages("key_locations/no_tls", [("an https URL of a server without TLS", error)]);
}

#[test]
fn a_redirect_from_https_to_http_is_rejected() {
    let (scenario, target) = serve_key(vec![]);
    let url =
        TLS_SERVER.file(&unique_name(), KEY_FILE, "", vec![redirect(format!("{target}?canary-signature"))]);
    let error = with_key_path(&url).trusting(&TLS_SERVER).secret("canary-signature").fails().error();
    assert_messages("key_locations/https_to_http", [("a redirect from https to http", error)]);
    assert_eq!(SERVER.requests_for(&scenario), []);
}

#[test]
fn a_redirect_from_http_on_this_machine_to_a_trusted_https_server_is_followed() {
    let target = TLS_SERVER.file(&unique_name(), KEY_FILE, pem(), vec![]);
    let (_, url) = serve_key(vec![redirect(&target)]);
    assert_key(&with_key_path(&url).trusting(&TLS_SERVER).succeeds());
}

#[test]
fn the_error_recognizes_content_that_is_not_an_api_key() {
    let two_keys = format!("{}{}", pem(), keys::P256::generate().unwrap().private_pem);
    let half_a_key: String = pem().lines().take(2).collect::<Vec<_>>().join("\n");
    let rows: [(&str, Vec<u8>); 18] = [
        ("an RSA key", keys::rsa_2048_private_pem().unwrap().into()),
        ("a key on P-384", keys::p384_private_pem().unwrap().into()),
        ("a key with an explicit curve", include_bytes!("../fixtures/explicit_curve.pem").to_vec()),
        ("an Ed25519 key", keys::ed25519_private_pem().unwrap().into()),
        ("an encrypted PKCS#8 key", include_bytes!("../fixtures/encrypted_pkcs8.pem").to_vec()),
        ("an encrypted SEC1 key", include_bytes!("../fixtures/encrypted_sec1.pem").to_vec()),
        ("a public key", keys::P256::generate().unwrap().public_pem.into()),
        ("a certificate", include_bytes!("../fixtures/certificate.pem").to_vec()),
        ("a signing request", include_bytes!("../fixtures/certificate_request.pem").to_vec()),
        ("a .p12 file", include_bytes!("../fixtures/identity.p12").to_vec()),
        ("an HTML page", b"<!DOCTYPE html><title>Sign in</title>".to_vec()),
        ("an XML error", b"<Error><Code>AccessDenied</Code></Error>".to_vec()),
        ("fastlane's JSON", b"{\"key_id\":\"X\",\"issuer_id\":\"Y\",\"key\":\"Z\"}".to_vec()),
        (
            "a Git LFS pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 257\n".to_vec(),
        ),
        ("an Ansible Vault file", b"$ANSIBLE_VAULT;1.1;AES256\n6231336535\n".to_vec()),
        ("a PGP message", b"-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----".to_vec()),
        ("two keys", two_keys.into()),
        ("half a key", half_a_key.into()),
    ];
    let errors = in_parallel(rows, |(what, bytes)| {
        let step = Step::off_bitrise().file("work/AuthKey_FROMINPUT1.p8", &bytes);
        let step = step.set("api_key_path", KEY_FILE).set("api_issuer", INPUT_ISSUER);
        (what, step.secret(String::from_utf8_lossy(&bytes)).fails().error())
    });
    assert_messages("key_locations/no_api_key", errors);
}
