//! The catalogue of errors: every sentence that can be the last red line of a run, in one file that
//! a person can read aloud, `tests/snapshots/errors.md`. `SNAPSHOTS=overwrite` writes it anew.
//!
//! Each variant of each error has an example here, and so has each problem with the inputs. What
//! else is said in the log stands in it as it stands in the sources.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use time::macros::datetime;

use crate::RunError;
use crate::apple::api_key::{IssuerId, KeyId, WrongField};
use crate::apple::app::WrongBundleId;
use crate::apple::cookie::DamagedCookie;
use crate::apple::private_key::Refusal;
use crate::apple::team::WrongTeam;
use crate::apple::token::CannotSign;
use crate::bitrise::annotation::NotWritten;
use crate::bitrise::connection::Malformed;
use crate::bitrise::envman::AddError;
use crate::bitrise::limits::{SettingsError, TooLarge};
use crate::cleanup::CleanupError;
use crate::credential::Kind;
use crate::export::ExportError;
use crate::fastlane::session::SessionError;
use crate::files::FilesError;
use crate::host::Host;
use crate::http::{Failure, FailureKind};
use crate::inputs::{Defect, Given, Inputs, Job};
use crate::outputs::OutputsError;
use crate::redaction::text;
use crate::redaction::{Failed, Sentences, Text};
use crate::report;
use crate::source::SourceError;
use crate::source::connection::ConnectionError;
use crate::source::step_inputs::StepInputsError;
use crate::verify::{
    AccessDenied, KeyRefused, Mistake, NoSuchApp, NoSuchTeam, SessionRefused, Trial, Unverified,
    Verification, VerifyError,
};

/// More words than this are not read at night.
const MAX_WORDS: usize = 45;

/// What says less than this is a part of a sentence or a label.
const LEAST_WORDS: usize = 6;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The file as it grows.
#[derive(Default)]
struct Catalogue {
    text: String,
    sentences: BTreeSet<String>,
    /// The names of the errors that are in it.
    errors: BTreeSet<String>,
}

impl Catalogue {
    fn heading(&mut self, heading: &str) {
        self.text.extend(["\n## ", heading, "\n\n"]);
    }

    fn line(&mut self, sentence: &impl ToString) {
        let sentence = sentence.to_string();
        if !self.sentences.contains(&sentence) {
            self.text.extend(["- ", &sentence, "\n"]);
            self.sentences.insert(sentence);
        }
    }

    fn lines(&mut self, sentences: &[impl ToString]) {
        for sentence in sentences {
            self.line(sentence);
        }
    }

    /// An error with an example of each of its variants, and the whole sentences that each stands in.
    fn error<E: Sentences, S: ToString>(&mut self, examples: Vec<E>, whole: impl Fn(E) -> Vec<S>) {
        let name = std::any::type_name::<E>().rsplit("::").next().unwrap_or_default();
        let given: BTreeSet<_> = examples.iter().map(Sentences::variant).collect();
        let declared: BTreeSet<_> = E::VARIANTS.iter().copied().collect();
        assert_eq!(given, declared, "each variant of {name} has an example");
        self.errors.insert(name.to_owned());
        for example in examples {
            self.lines(&whole(example));
        }
    }

    /// An error whose sentences are whole ones.
    fn whole<E: Sentences>(&mut self, examples: Vec<E>) {
        self.error(examples, |error| vec![error.to_string()]);
    }

    /// Whether something of this form is in it: text with `{}` where values stand.
    fn has(&self, form: &str) -> bool {
        let pieces: Vec<_> = form.split(['{', '}']).step_by(2).collect();
        self.sentences.iter().any(|sentence| {
            let mut rest = Some(sentence.as_str());
            for piece in &pieces {
                rest = rest.and_then(|rest| rest.split_once(piece)).map(|(_, rest)| rest);
            }
            rest.is_some()
        })
    }
}

fn host(env: &[(&str, &str)]) -> Host {
    Host {
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        env_not_utf8: Vec::new(),
        now: || datetime!(2026-11-20 09:00 UTC),
        temp_dir: PathBuf::from("/tmp"),
        sleep: Arc::new(|_| Box::pin(std::future::ready(()))),
        network_time: Duration::from_secs(70),
        envman_time: Duration::from_secs(12),
        jitter_seed: 1,
    }
}

/// The problems with these inputs, each in a sentence of its own.
fn problems(env: &[(&str, &str)]) -> Result<Vec<String>> {
    let host = host(env);
    let Err(problems) = Job::new(Given::read(&host)?, &host) else { return Ok(Vec::new()) };
    Ok(problems.sentences().iter().map(ToString::to_string).collect())
}

fn inputs(env: &[(&str, &str)]) -> Result<Box<Inputs>> {
    let host = host(env);
    match Job::new(Given::read(&host)?, &host) {
        Ok(Job::Export(inputs)) => Ok(inputs),
        Ok(Job::Remove(_)) => Err("`action` is not in these".into()),
        Err(problems) => Err(Failed::from(problems).text().to_string().into()),
    }
}

const KEY_ID: &str = "2X9R4HXF34";
const ISSUER: &str = "57246542-96fe-1a63-e053-0824d011072a";
const KEY: (&str, &str) = ("api_key_path", "AuthKey_2X9R4HXF34.p8");
const OFF: (&str, &str) = ("connection", "off");

/// One mistake, or one kind of it, a row.
const WRONG_INPUTS: &[&[(&str, &str)]] = &[
    &[("connection", "")],
    &[("connection", "autommatic")],
    &[("connection", "something else")],
    &[("connection", "$DEVELOPER_CONNECTION")],
    &[("api_key_path", "$CUSTOMER_API_KEY"), ("api_issuer", ISSUER), ("api_key_id", KEY_ID)],
    &[("api_key_path", "$canary"), ("api_issuer", ISSUER), ("api_key_id", KEY_ID)],
    &[("api_key_path", ISSUER), ("api_issuer", ISSUER), ("api_key_id", KEY_ID)],
    &[("api_key_path", KEY_ID), ("api_issuer", ISSUER), ("api_key_id", KEY_ID)],
    &[("api_key_path", "http://example.com/key.p8"), ("api_issuer", ISSUER), ("api_key_id", KEY_ID)],
    &[("api_key_path", "ftp://example.com/key.p8"), ("api_issuer", ISSUER), ("api_key_id", KEY_ID)],
    &[("api_key_path", "file://keys/key.p8"), ("api_issuer", ISSUER), ("api_key_id", KEY_ID)],
    &[("api_key_path", "https://"), ("api_issuer", ISSUER), ("api_key_id", KEY_ID)],
    &[("api_key_path", "SubscriptionKey_2X9R4HXF34.p8"), ("api_issuer", ISSUER)],
    &[("api_key_path", "key.p8"), ("api_issuer", ISSUER)],
    &[KEY, ("api_issuer", ISSUER), ("api_key_id", "1.234567e+18")],
    &[KEY],
    &[KEY, ("api_issuer", ISSUER), ("api_key_type", "individual")],
    &[("api_key_path", "ApiKey_2X9R4HXF34.p8")],
    &[KEY, ("api_issuer", ISSUER), ("apple_id", "jane@example.com")],
    &[("apple_id", "jane@example.com"), ("api_key_path", "AuthKey_2X9R4HXF34.p8"), ("api_issuer", ISSUER)],
    &[("apple_id", "Jane Doe"), ("password", "canary")],
    &[("apple_id", "-----BEGIN PRIVATE KEY-----"), ("password", "canary")],
    &[("password", "canary")],
    &[("app_password", "abcd-efgh-ijkl-mnop")],
    &[("apple_id", "jane@example.com"), ("password", "abcd-efgh-ijkl-mnop")],
    &[("apple_id", "jane@example.com"), ("app_password", "canary")],
    &[("sms_default_phone_number", "080-1234-5678")],
    &[("export_for", ",")],
    &[("export_for", "fastlain")],
    &[("export_for", "something, else")],
    &[("team_id", "Example Inc.")],
    &[("team_id", "jane@example.com")],
    &[("team_id", "1.234567e+18")],
    &[("export_token", "yes"), ("token_lifetime_seconds", "")],
    &[("export_token", "yes"), ("token_lifetime_seconds", "ten")],
    &[("export_token", "yes"), ("token_lifetime_seconds", "1200")],
    &[("app_store_connect_url", "http://example.com")],
    &[("connection", "api_key"), ("build_url", "")],
    &[("connection", "apple_id"), ("build_url", "")],
    &[("build_url", "app.bitrise.io/build/1")],
    &[("build_url", "http://example.com")],
    &[("build_url", "ftp://example.com")],
];

fn inputs_section(catalogue: &mut Catalogue) -> Result {
    catalogue.heading("The inputs are wrong");
    for wrong in WRONG_INPUTS {
        let problems = problems(wrong)?;
        assert!(!problems.is_empty(), "{wrong:?} is wrong");
        catalogue.lines(&problems);
    }
    for row in
        [&[("apple_id", "jane@example.com"), KEY][..], &[("api_issuer", ISSUER), ("password", "canary")]]
    {
        catalogue.lines(&problems(row)?);
    }
    let mut without_utf8 = host(&[]);
    without_utf8.env_not_utf8 = vec!["api_key_id".to_owned(), "BITRISE_BUILD_URL".to_owned()];
    if let Err(problems) = Job::new(Given::read(&without_utf8)?, &without_utf8) {
        catalogue.lines(&problems.sentences());
    }
    let shape = |value: &str| KeyId::parse(value).err().into_iter();
    let examples: Vec<WrongField> = shape("ABC")
        .chain(shape("2X9R4HXF3?"))
        .chain(shape("jane@example.com"))
        .chain(IssuerId::parse(KEY_ID).err())
        .chain(IssuerId::parse("canary").err())
        .chain(shape("a.b"))
        .collect();
    catalogue.error(examples, |wrong| {
        let (input, field, name) = match wrong {
            WrongField::OtherThanKeyId { .. } | WrongField::NoKeyId { .. } => {
                ("api_key_id", "key_id", "key ID")
            }
            _ => ("api_issuer", "issuer_id", "issuer ID"),
        };
        vec![
            format!("`{input}` {wrong}: {}.", wrong.remedy()),
            StepInputsError::WrongField { field, problem: wrong.clone() }.to_string(),
            ConnectionError::WrongField { field: name, problem: wrong }.to_string(),
        ]
    });
    catalogue.error(vec![WrongBundleId::Form, WrongBundleId::Wildcard], |wrong| {
        vec![format!("`bundle_id` {wrong}.")]
    });
    let teams = vec![
        WrongTeam::NoTeamId,
        WrongTeam::ProviderAsTeamId,
        WrongTeam::NoProviderId,
        WrongTeam::TeamAsProviderId,
    ];
    catalogue.error(teams, |wrong| {
        let is_of_portal = matches!(wrong, WrongTeam::NoTeamId | WrongTeam::ProviderAsTeamId);
        vec![format!("`{}` {wrong}.", if is_of_portal { "team_id" } else { "itc_team_id" })]
    });
    Ok(())
}

fn missing_section(catalogue: &mut Catalogue) -> Result {
    catalogue.heading("There is no credential");
    let build = ("build_url", "https://app.bitrise.io/build/1");
    for (toggle, other) in
        [("automatic", None), ("api_key", Some(Kind::AppleId)), ("apple_id", Some(Kind::ApiKey))]
    {
        let inputs = inputs(&[("connection", toggle), build])?;
        catalogue.line(&report::missing(&inputs, None));
        catalogue.line(&report::missing(&inputs, other));
    }
    catalogue.line(&report::missing(&*inputs(&[OFF])?, None));
    catalogue.line(&report::missing(&*inputs(&[OFF, ("api_key_id", KEY_ID), ("api_issuer", ISSUER)])?, None));
    Ok(())
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::Empty,
        Refusal::TooLarge,
        Refusal::NotUtf8,
        Refusal::Rsa,
        Refusal::OtherCurve,
        Refusal::Ed25519,
        Refusal::OtherAlgorithm,
        Refusal::Encrypted,
        Refusal::PublicKey,
        Refusal::Certificate,
        Refusal::CertificateRequest,
        Refusal::Pkcs12,
        Refusal::Html,
        Refusal::XmlError,
        Refusal::FastlaneJson,
        Refusal::Json,
        Refusal::SeveralKeys,
        Refusal::Damaged,
    ]
}

fn failures() -> Vec<Failure> {
    vec![
        Failure::Unreachable(text!("it refused the connection")),
        Failure::Timeout(Duration::from_secs(30)),
        Failure::RunTimeout(Duration::from_secs(70)),
        Failure::WrongProxy("HTTPS_PROXY"),
        Failure::BrokenOff(text!("it closed the connection")),
        Failure::NoTls,
        Failure::Untrusted(text!("its issuer is unknown")),
        Failure::Status { status: StatusCode::FOUND, retry_after: None },
        Failure::Status { status: StatusCode::FORBIDDEN, retry_after: None },
        Failure::Status { status: StatusCode::NOT_FOUND, retry_after: None },
        Failure::Status { status: StatusCode::TOO_MANY_REQUESTS, retry_after: None },
        Failure::Status { status: StatusCode::BAD_GATEWAY, retry_after: None },
        Failure::Status { status: StatusCode::NO_CONTENT, retry_after: None },
        Failure::TooLarge { max_bytes: 64 * 1024 },
        Failure::TooManyRedirects,
        Failure::RedirectToHttp { from: "https" },
        Failure::Other(text!("a reason")),
    ]
}

fn credential_in_the_inputs_section(catalogue: &mut Catalogue) {
    catalogue.heading("The API key in the inputs cannot be used");
    let path = || text!("/keys/AuthKey_2X9R4HXF34.p8");
    let expired = || StepInputsError::Expired { expired_on: text!("2024-02-29 11:34 UTC") };
    let folder = || text!("/keys");
    let is_of_session = |error: &StepInputsError| {
        matches!(error, StepInputsError::Session(_) | StepInputsError::Expired { .. })
    };
    let names = || {
        text!("AuthKey_2X9R4HXF34.p8, AuthKey_AAAAAAAAA1.p8, AuthKey_AAAAAAAAA2.p8, AuthKey_AAAAAAAAA3.p8, …")
    };
    let errors = vec![
        StepInputsError::NoFile { path: path() },
        StepInputsError::NoRegularFile { path: path() },
        StepInputsError::Unreadable { path: path(), why: text!("permission denied") },
        StepInputsError::NoKeyInFolder { path: folder() },
        StepInputsError::SeveralInFolder { count: 5, names: names() },
        StepInputsError::NoKeyId,
        StepInputsError::NoIssuerId,
        StepInputsError::NoKeyFile,
        StepInputsError::WrongField {
            field: "key_id",
            problem: WrongField::OtherThanKeyId { found: "an e-mail address" },
        },
        StepInputsError::Disagrees {
            input: "api_key_id",
            typed: text!("AAAAAAAAA1"),
            says: text!("says 2X9R4HXF34"),
        },
        StepInputsError::Disagrees {
            input: "api_issuer",
            typed: text!("57246542-96fe-1a63-e053-0824d011072a"),
            says: text!("has none, as of an individual key"),
        },
        StepInputsError::Disagrees {
            input: "api_key_type",
            typed: text!("individual"),
            says: text!("has an issuer, as of a team's key"),
        },
        StepInputsError::Refused(Refusal::Empty),
        StepInputsError::Download { site: text!("its server"), failure: Failure::NoTls },
        StepInputsError::Session(SessionError::NoSession),
        expired(),
    ];
    catalogue.error(errors, |error| {
        // Those stand under the heading of the session.
        if is_of_session(&error) { Vec::new() } else { vec![error.to_string()] }
    });
    catalogue.error(refusals(), |refusal| vec![StepInputsError::Refused(refusal).to_string()]);
    catalogue.error(failures(), |failure| {
        vec![StepInputsError::Download { site: text!("https://example.com"), failure }.to_string()]
    });
    catalogue.heading("The session in the inputs cannot be used");
    catalogue.line(&expired());
    let damaged = || DamagedCookie::Cookie { number: 2, what: "its name is empty" };
    let errors = vec![
        SessionError::NoSession,
        SessionError::Code,
        SessionError::Path,
        SessionError::Base64,
        SessionError::ApiKey,
        SessionError::TooLarge,
        SessionError::NoLogin,
        SessionError::DamagedCookie(damaged()),
    ];
    catalogue.error(errors, |error| vec![StepInputsError::Session(error).to_string()]);
    catalogue.error(vec![damaged()], |cookie| {
        let of_inputs = StepInputsError::Session(SessionError::DamagedCookie(cookie.clone()));
        vec![of_inputs.to_string(), ConnectionError::Session(cookie).to_string()]
    });
}

fn connection_section(catalogue: &mut Catalogue) {
    catalogue.heading("The connection cannot be used");
    let path = || text!("/tmp/connection.json");
    let malformed = || {
        vec![
            Malformed::NoJson { line: 1, column: 1 },
            Malformed::UnexpectedForm { place: text!("the field `key_id`") },
        ]
    };
    catalogue.whole(vec![
        ConnectionError::Unauthorized,
        ConnectionError::NoToken,
        ConnectionError::BadToken,
        ConnectionError::Fetch { site: text!("https://app.bitrise.io"), failure: Failure::NoTls },
        ConnectionError::File { path: path(), why: text!("it does not exist") },
        ConnectionError::File { path: path(), why: text!("it is not a regular file") },
        ConnectionError::FileTooLarge { path: path() },
        ConnectionError::Malformed(Malformed::NoJson { line: 1, column: 1 }),
        ConnectionError::MalformedFile { path: path(), error: Malformed::NoJson { line: 1, column: 1 } },
        ConnectionError::Incomplete("the issuer ID"),
        ConnectionError::WrongField {
            field: "key ID",
            problem: WrongField::OtherThanKeyId { found: "a private key" },
        },
        ConnectionError::Refused(Refusal::Empty),
        ConnectionError::Session(DamagedCookie::Cookie { number: 2, what: "its name is empty" }),
        ConnectionError::Expired { on: text!("2024-02-29 11:34 UTC"), ago: text!("9 days ago") },
        ConnectionError::NoDate,
        ConnectionError::NoLogin,
    ]);
    catalogue.error(malformed(), |error| vec![ConnectionError::Malformed(error).to_string()]);
    for error in malformed() {
        catalogue.line(&ConnectionError::MalformedFile { path: path(), error });
    }
    for failure in failures() {
        catalogue.line(&ConnectionError::Fetch { site: text!("https://app.bitrise.io"), failure });
    }
    for refusal in refusals() {
        catalogue.line(&ConnectionError::Refused(refusal));
    }
    catalogue.whole(vec![
        SourceError::Connection(ConnectionError::NoLogin),
        SourceError::StepInputs(StepInputsError::NoKeyId),
    ]);
}

fn apple_section(catalogue: &mut Catalogue) {
    catalogue.heading("Apple refuses the credential");
    let key_id = || text!("2X9R4HXF34");
    catalogue.whole(vec![
        KeyRefused::WrongClock { seconds: 300, direction: "ahead of" },
        KeyRefused::Team { key_id: key_id() },
        KeyRefused::Individual { key_id: key_id() },
        KeyRefused::OtherName { key_id: key_id(), in_name: text!("AAAAAAAAA1") },
        KeyRefused::Connected { key_id: key_id() },
    ]);
    catalogue.whole(vec![SessionRefused::Connected("HTTP 401"), SessionRefused::Pasted("HTTP 401")]);
    catalogue.whole(vec![CannotSign::Key]);
    apps_section(catalogue);
    catalogue.whole(vec![
        AccessDenied::Individual { key_id: key_id() },
        AccessDenied::Provisioning { key_id: key_id(), detail: forbidden() },
        AccessDenied::Admin { key_id: key_id(), detail: forbidden() },
    ]);
    let teams = || {
        text!(
            "Example Ltd (118573541), Example GmbH (118573542), Example Inc. (118573543), Example AG (118573544), Example BV (118573545) and 3 more"
        )
    };
    catalogue.whole(vec![NoSuchTeam::NotAMember { wanted: text!("118573549"), teams: teams() }]);
    catalogue.whole(vec![
        VerifyError::Key(KeyRefused::Team { key_id: key_id() }),
        VerifyError::App(no_app(Mistake::OtherTeam)),
        VerifyError::Access(AccessDenied::Individual { key_id: key_id() }),
        VerifyError::Session(SessionRefused::Pasted("HTTP 401")),
        VerifyError::Team(NoSuchTeam::NotAMember { wanted: text!("118573549"), teams: teams() }),
        VerifyError::CannotSign(CannotSign::Key),
    ]);
    unverified_section(catalogue);
}

fn refused(refusal: &SessionRefused) -> Unverified {
    Unverified::SessionRefused { what: refusal.what(), remedy: refusal.remedy() }
}

/// What Apple says of a role that is too low.
fn forbidden() -> Text {
    text!("The API key in use does not allow this request")
}

fn no_app(mistake: Mistake) -> NoSuchApp {
    NoSuchApp::App {
        key_id: text!("2X9R4HXF34"),
        bundle_id: text!("com.example.app"),
        others: text!(
            " The nearest of its 212 apps: com.example.apps, com.example.shop, com.example.shops, com.example.store, com.example.stores."
        ),
        mistake,
    }
}

fn apps_section(catalogue: &mut Catalogue) {
    let key_id = || text!("2X9R4HXF34");
    let bundle_id = || text!("com.example.app");
    let others = || {
        text!(
            ", only (of 212): com.example.apps, com.example.shop, com.example.shops, com.example.store, com.example.stores"
        )
    };
    let mistakes =
        vec![Mistake::OtherTeam, Mistake::NoRecord, Mistake::NotRegistered, Mistake::Slip, Mistake::Unclear];
    catalogue.error(mistakes, |mistake| vec![no_app(mistake).to_string()]);
    catalogue.whole(vec![
        no_app(Mistake::OtherTeam),
        NoSuchApp::OwnersApp { key_id: key_id(), bundle_id: bundle_id(), others: others() },
        NoSuchApp::BundleId {
            key_id: key_id(),
            bundle_id: bundle_id(),
            others: text!(
                " The nearest of its 212 bundle IDs: com.example.apps, com.example.shop, com.example.shops, com.example.store, com.example.stores."
            ),
            mistake: Mistake::NotRegistered,
        },
    ]);
}

/// Each as the error that `verify: strict` makes of it, alone and with two more.
fn unverified_section(catalogue: &mut Catalogue) {
    catalogue.heading("The credential is not verified");
    let site = || text!("https://api.appstoreconnect.apple.com");
    let (code, detail) = (|| text!("FORBIDDEN.SOMETHING"), forbidden);
    let reasons = vec![
        Unverified::NotAnswered { site: site(), failure: Failure::Timeout(Duration::from_secs(20)) },
        Unverified::NotApples { site: site(), status: 502 },
        Unverified::AgreementMissing,
        Unverified::Forbidden { code: code(), detail: detail() },
        Unverified::AppsHidden { code: code(), detail: detail() },
        Unverified::NeedsApiKey { inputs: text!("`bundle_id` and `required_access`") },
        Unverified::NoSession,
        Unverified::NoCookie { site: text!("https://appstoreconnect.apple.com") },
        refused(&SessionRefused::Connected("HTTP 401")),
    ];
    catalogue.error(reasons, |reason| {
        let others = [Unverified::NoSession, Unverified::AgreementMissing];
        let alone = Verification::unverified_for(vec![reason.clone()]).insist().err();
        let strict =
            Verification::unverified_for([reason].into_iter().chain(others).collect()).insist().err();
        alone.iter().chain(&strict).flat_map(Failed::lines).map(ToString::to_string).collect()
    });
    // What Apple's servers answer otherwise is judged, and no failure.
    let is_of_the_way = |failure: &Failure| {
        matches!(failure, Failure::NoTls | Failure::Untrusted(_))
            || matches!(failure.kind(), FailureKind::Proxy(_) | FailureKind::Passing)
    };
    for failure in failures().into_iter().filter(is_of_the_way) {
        let reason = Unverified::NotAnswered { site: site(), failure };
        let strict = Verification::unverified_for(vec![reason]).insist().err();
        if let Some(failed) = &strict {
            catalogue.line(failed.text());
        }
    }
}

/// What is said beside an export.
fn warnings(catalogue: &mut Catalogue) {
    catalogue.whole(vec![
        NotWritten::NoService,
        NotWritten::BadToken,
        NotWritten::Refused {
            site: text!("https://build-annotations.services.bitrise.io"),
            failure: Failure::Timeout(Duration::from_secs(5)),
        },
    ]);
}

fn files_and_outputs_section(catalogue: &mut Catalogue) {
    catalogue.heading("The files or the outputs cannot be written");
    let folder = || text!("/tmp");
    catalogue.whole(vec![
        FilesError::NoTempFolder { folder: folder() },
        FilesError::NotWritten {
            folder: folder(),
            why: text!("the disk is full"),
            remedy: "free some space there",
        },
        FilesError::NotUtf8,
    ]);
    catalogue.whole(vec![
        OutputsError::Nul("FASTLANE_PASSWORD"),
        OutputsError::Conflict { name: "APPLE_API_KEY", one: "tauri", other: "electron-builder" },
    ]);
    let store = || text!("/tmp/envstore.yml");
    let value = || TooLarge::Value { key: "FASTLANE_SESSION", kib: 300, limit: 256 };
    let list = || TooLarge::List { key: "FASTLANE_SESSION", kib: 300, limit: 256 };
    catalogue.whole(vec![
        ExportError::NoEnvstore,
        ExportError::TooLarge(value()),
        ExportError::Settings(SettingsError::NoJson),
        ExportError::Envstore { path: store(), why: text!("permission denied") },
        ExportError::NotRegular { path: store() },
        ExportError::Oversize { path: store() },
        ExportError::UnknownForm { path: store(), error: AddError::NotFound },
        ExportError::Envman(AddError::NotFound),
    ]);
    catalogue.error(vec![value(), list()], |error| vec![ExportError::TooLarge(error).to_string()]);
    let settings = vec![SettingsError::NoJson, SettingsError::Unreadable(text!("it is a folder"))];
    catalogue.error(settings, |error| vec![ExportError::Settings(error).to_string()]);
    let envman = || {
        vec![
            AddError::NotFound,
            AddError::Failed { key: "APPLE_AUTH_METHOD", why: text!("exit status 1") },
            AddError::Unreadable { path: store(), why: text!("permission denied") },
        ]
    };
    catalogue.error(envman(), |error| vec![ExportError::UnknownForm { path: store(), error }.to_string()]);
    for error in envman() {
        catalogue.line(&ExportError::Envman(error));
    }
}

fn run_section(catalogue: &mut Catalogue) {
    catalogue.heading("What an earlier run left cannot be removed");
    let folder = || text!("/tmp/apple-services-connection-aB3dE6");
    catalogue.whole(vec![
        CleanupError::Foreign { folder: folder(), why: "it does not lie in a temporary folder" },
        CleanupError::Failed { folder: folder(), why: text!("permission denied") },
    ]);
    catalogue.heading("The run");
    catalogue.whole(vec![RunError::Stopped("SIGTERM"), RunError::TokenOfAppleId]);
    catalogue.whole(vec![Defect::StepYml, Defect::Fields(text!("one of step.yml is unknown"))]);
}

#[test]
fn the_last_red_line_is_as_short_when_several_inputs_are_wrong() -> Result {
    for (number, one) in WRONG_INPUTS.iter().enumerate() {
        for other in WRONG_INPUTS.iter().cycle().skip(number + 1).take(4) {
            let host = host(&[*one, *other].concat());
            let Err(problems) = Job::new(Given::read(&host)?, &host) else { continue };
            let sentences = problems.sentences();
            let failed = Failed::from(problems);
            let last = failed.text().as_str();
            assert!(last.split_whitespace().count() <= MAX_WORDS, "{last}");
            let all: Vec<_> = failed.lines().map(ToString::to_string).collect();
            let all = all.join(" ");
            assert!(sentences.iter().all(|sentence| all.contains(sentence.as_str())), "{all}");
        }
    }
    Ok(())
}

/// The files of the sources, in order.
fn sources(folder: &Path, found: &mut BTreeMap<PathBuf, String>) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if !["catalogue.rs", "redaction.rs"].iter().any(|name| path.ends_with(name)) {
            let text = fs::read_to_string(&path)?;
            // What tests say is nothing that users read.
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
            found.insert(path, text);
        }
    }
    Ok(())
}

/// The names of the errors that a source declares.
fn declared(source: &str) -> impl Iterator<Item = String> {
    source.split("sentences! {\n").skip(1).filter_map(|rest| {
        let (_, name) = rest.split_once("enum ")?;
        name.split_once(' ').map(|(name, _)| name.to_owned())
    })
}

/// The forms of the texts that a source makes, with `{}` for their values.
fn forms(source: &str) -> impl Iterator<Item = String> {
    source.split("text!(").skip(1).filter_map(|rest| {
        let rest = rest.trim_start().strip_prefix('"')?.replace("\\\"", "\u{0}");
        let (form, _) = rest.split_once('"')?;
        Some(form.replace('\u{0}', "\""))
    })
}

/// A form for reading: `…` for each value.
fn for_reading(form: &str) -> String {
    let pieces: Vec<_> = form.split(['{', '}']).step_by(2).collect();
    pieces.join("…").trim_start_matches("- ").trim().to_owned()
}

#[test]
fn every_error_is_in_the_catalogue_and_has_at_most_45_words() -> Result {
    let mut catalogue = Catalogue::default();
    inputs_section(&mut catalogue)?;
    missing_section(&mut catalogue)?;
    credential_in_the_inputs_section(&mut catalogue);
    connection_section(&mut catalogue);
    apple_section(&mut catalogue);
    files_and_outputs_section(&mut catalogue);
    run_section(&mut catalogue);

    catalogue.heading("What else is said");
    warnings(&mut catalogue);
    let trial = vec![
        Trial::Unauthorized { skew: None },
        Trial::NotAnswered(Failure::NoTls),
        Trial::CannotSign(CannotSign::Key),
    ];
    catalogue.error(trial, |trial| match trial {
        // It is no reason to try again.
        Trial::CannotSign(error) => vec![error.to_string()],
        trial => vec![format!("https://api.appstoreconnect.apple.com {trial}; trying again in 0.5 s")],
    });
    let mut files = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files)?;
    for source in files.values() {
        for form in forms(source) {
            let line = for_reading(&form);
            let is_sentence = line.split_whitespace().filter(|word| *word != "…").count() >= LEAST_WORDS;
            if is_sentence && !catalogue.has(&form) {
                catalogue.line(&line);
            }
        }
    }

    let declared: BTreeSet<_> = files.values().flat_map(|source| declared(source)).collect();
    assert_eq!(catalogue.errors, declared, "each error is in the catalogue");
    let long: Vec<_> = catalogue
        .sentences
        .iter()
        .map(|sentence| (sentence.split_whitespace().count(), sentence))
        .filter(|(words, _)| *words > MAX_WORDS)
        .collect();
    assert_eq!(long, [], "at most {MAX_WORDS} words");
    let introduction = "# What the Step says when something is wrong\n\nEvery sentence that can be the last red line of a run, with values as examples, and last the other lines. A test writes this file: see `src/catalogue.rs`.\n";
    test_support::snapshots::assert_document(
        "tests/snapshots/errors.md",
        &format!("{introduction}{}", catalogue.text),
    );
    Ok(())
}
