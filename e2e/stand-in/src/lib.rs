//! A server on loopback that simulates the web services that the Step uses: Bitrise's connection (the
//! connected credential) and build annotations, a file server for .p8 files, Apple's App Store Connect API, and the
//! session check of Apple's website.
//!
//! It checks requests as strictly as the real services do, records every request with its verdict, and
//! misbehaves on demand. Every scenario has a name, so one server serves many tests at once:
//!
//! | path | scenario | what it refuses |
//! |---|---|---|
//! | `/build/<name>/apple_developer_portal_data.json` | [`Connection`] | a wrong `BUILD_API_TOKEN`: 401 |
//! | `/files/<name>/<file name>` | [`StandIn::file`] | nothing; a query is ignored |
//! | `/asc/<name>/v1/apps`, `bundleIds`, `certificates`, `users` | [`Account`] and [`Team`] | what Apple refuses, in Apple's words: a token (401), a role or a missing agreement (403), an unknown path, or `apps` of an enterprise account (404), a parameter (400), an `Accept` without JSON (406), too many requests (429) |
//! | `/olympus/<name>/olympus/v1/session` | [`Session`] | cookies that are not exactly the session's: 401 or 403 |
//! | `/annotations/<name>/v1/builds/<slug>/annotations/` | [`BuildPage`] | a wrong token: 401; a wrong slug: 404; an invalid annotation: 400, 411, 415 |
//!
//! All paths respond with 405 to any method except GET (PUT for annotations), and with 404 for an unknown
//! scenario. They respond with 400, and record a [violation](Request::violations), for a credential header
//! sent to the wrong service, a missing, wrong or repeated `Host`, a GET with a body, and a query after the
//! build URL. Connections are kept alive until the client closes them, and are
//! [numbered](Request::connection).
//!
//! ```
//! use stand_in::{Behaviour, Connection, StandIn};
//!
//! let server = StandIn::start()?;
//! let build_url = server.connection(
//!     "nothing connected",
//!     Connection {
//!         token: "secret".to_owned(),
//!         body: "{}".to_owned(),
//!         behaviours: vec![Behaviour::ResetBeforeAnswer, Behaviour::Ok],
//!     },
//! );
//! assert!(build_url.starts_with(server.origin()));
//! assert!(server.requests_for("nothing connected").is_empty());
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

mod annotations;
mod app_store_connect;
mod behaviour;
mod bitrise;
mod delivery;
mod http;
pub mod keys;
mod olympus;
mod request;
mod route;
mod scenario;
mod server;
mod tls;
mod wire;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use annotations::{Annotation, BuildPage, Style};
pub use app_store_connect::{Account, App, BundleId, Role, SigningCertificate, Team, User};
pub use behaviour::Behaviour;
pub use bitrise::Connection;
pub use keys::PublicKey;
pub use olympus::{Provider, Session, SessionRefusal};
pub use request::{Request, Service, Verdict};
pub use tls::Certificate;

use scenario::{Folder, Memory, Scenario, Scenarios};
use server::Running;
use tls::Tls;

/// A server with scenarios that can be added, and replaced by name, while it runs.
///
/// Dropping it stops it, closes open connections and cuts stalls short.
pub struct StandIn {
    running: Running,
    scenarios: Arc<Memory>,
    ca_pem: Option<String>,
}

impl StandIn {
    /// Starts on a free port of 127.0.0.1, with http.
    ///
    /// # Errors
    ///
    /// If no port or thread is available.
    pub fn start() -> io::Result<Self> {
        Self::start_with(None)
    }

    /// Starts on a free port of 127.0.0.1, with https and this certificate. The host in its origin is
    /// `localhost`.
    ///
    /// # Errors
    ///
    /// If no port or thread is available, or no certificate can be created.
    pub fn start_tls(certificate: Certificate) -> io::Result<Self> {
        Tls::new(certificate).and_then(|tls| Self::start_with(Some(tls)))
    }

    fn start_with(tls: Option<Tls>) -> io::Result<Self> {
        let (config, ca_pem) = tls.map(|tls| (tls.config, tls.ca_pem)).unzip();
        let scenarios = Arc::new(Memory::default());
        let known = Scenarios::Memory(Arc::clone(&scenarios));
        Ok(Self { running: Running::start(known, config, None)?, scenarios, ca_pem })
    }

    /// `http://127.0.0.1:PORT` or `https://localhost:PORT`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.running.shared.origin
    }

    /// The certificate of the test CA, which issues all certificates except
    /// [`Certificate::SelfSigned`]; `None` with http.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Adds a build and returns its build URL.
    #[expect(clippy::must_use_candidate, reason = "a caller that replaces a scenario knows its URL")]
    pub fn connection(&self, name: &str, connection: Connection) -> String {
        let Connection { token, body, behaviours } = connection;
        let body = body.into_bytes();
        let scenario = Scenario::Connection { token, body };
        self.scenarios.put(Service::Connection, name, "", scenario, behaviours);
        self.url("build", name)
    }

    /// Adds a file for download and returns its URL.
    pub fn file(
        &self,
        name: &str,
        file_name: &str,
        bytes: impl Into<Vec<u8>>,
        behaviours: Vec<Behaviour>,
    ) -> String {
        let scenario = Scenario::File(bytes.into());
        self.scenarios.put(Service::File, name, file_name, scenario, behaviours);
        format!("{}/{}", self.url("files", name), route::encode(file_name))
    }

    /// Adds an App Store Connect account with an empty [`Team`], and returns the base URL
    /// of its API, to which clients append paths such as `/v1/apps?limit=1`.
    #[expect(clippy::must_use_candidate, reason = "a caller that replaces a scenario knows its URL")]
    pub fn app_store_connect(&self, name: &str, account: Account) -> String {
        self.app_store_connect_team(name, account, Team::default())
    }

    /// Like [`StandIn::app_store_connect`], with this team.
    #[expect(clippy::must_use_candidate, reason = "a caller that replaces a scenario knows its URL")]
    pub fn app_store_connect_team(&self, name: &str, mut account: Account, team: Team) -> String {
        let behaviours = std::mem::take(&mut account.behaviours);
        let scenario = Scenario::Account(account, team);
        self.scenarios.put(Service::AppStoreConnect, name, "", scenario, behaviours);
        self.url("asc", name)
    }

    /// Adds a session and returns the base URL of a website that accepts it. Clients append
    /// `/olympus/v1/session`.
    #[expect(clippy::must_use_candidate, reason = "a caller that replaces a scenario knows its URL")]
    pub fn apple_session(&self, name: &str, mut session: Session) -> String {
        let behaviours = std::mem::take(&mut session.behaviours);
        let scenario = Scenario::Session(session);
        self.scenarios.put(Service::AppleSession, name, "", scenario, behaviours);
        self.url("olympus", name)
    }

    /// Adds a build's page without annotations and returns the base URL of the service, to which
    /// `/v1/builds/<slug>/annotations/` is appended.
    #[expect(clippy::must_use_candidate, reason = "a caller that replaces a scenario knows its URL")]
    pub fn build_page(&self, name: &str, mut page: BuildPage) -> String {
        let behaviours = std::mem::take(&mut page.behaviours);
        self.scenarios.put(Service::Annotations, name, "", Scenario::BuildPage(page), behaviours);
        self.running.shared.forget_annotations_of(name);
        self.url("annotations", name)
    }

    /// The annotations on the build's page of this name, in the order of their first appearance.
    #[must_use]
    pub fn annotations_of(&self, name: &str) -> Vec<Annotation> {
        self.running.shared.annotations_of(name)
    }

    /// The number of connections to the server so far, including those without a request.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.running.shared.connections()
    }

    /// The number of connections that carried requests to scenarios of this name.
    #[must_use]
    pub fn connections_for(&self, name: &str) -> usize {
        self.requests_for(name).iter().map(|request| request.connection).collect::<HashSet<_>>().len()
    }

    /// All requests so far, in the order in which they were recorded.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.running.shared.requests()
    }

    /// The requests so far to all scenarios of this name.
    #[must_use]
    pub fn requests_for(&self, name: &str) -> Vec<Request> {
        self.running.shared.requests_for(name)
    }

    fn url(&self, service: &str, name: &str) -> String {
        format!("{}/{service}/{}", self.origin(), route::encode(name))
    }
}

/// A server whose scenarios are files, for scripts. The `stand-in` binary's `--help` describes
/// the folder.
pub struct FolderStandIn {
    running: Running,
}

impl FolderStandIn {
    /// Starts on a free port of 127.0.0.1, with http. Files are read at every request, and
    /// every request is appended to `requests.jsonl` in the folder.
    ///
    /// # Errors
    ///
    /// If no port or thread is available.
    pub fn start(root: PathBuf, token: String) -> io::Result<Self> {
        Self::start_with(root, token, None)
    }

    /// Starts on a free port of 127.0.0.1, with https. Writes the certificate of its CA to `ca.pem` in
    /// the folder.
    ///
    /// # Errors
    ///
    /// If no port or thread is available, or the certificate cannot be created or written.
    pub fn start_tls(root: PathBuf, token: String) -> io::Result<Self> {
        let tls = Tls::new(Certificate::Good)?;
        std::fs::write(root.join("ca.pem"), &tls.ca_pem)?;
        Self::start_with(root, token, Some(tls))
    }

    fn start_with(root: PathBuf, token: String, tls: Option<Tls>) -> io::Result<Self> {
        let log = root.join("requests.jsonl");
        let scenarios = Scenarios::Folder(Folder::new(root, token));
        Ok(Self { running: Running::start(scenarios, tls.map(|tls| tls.config), Some(log))? })
    }

    /// `http://127.0.0.1:PORT` or `https://localhost:PORT`
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.running.shared.origin
    }
}
