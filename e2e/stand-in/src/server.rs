//! Accepts connections and responds to their requests.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use crate::annotations::Annotation;
use crate::http::{Decision, Head, Response, unix_seconds};
use crate::request::{Request, Service, Verdict};
use crate::route::Route;
use crate::scenario::{Scenario, Scenarios};
use crate::wire::{AfterResponse, Body, Incoming, Wire};
use crate::{Behaviour, annotations, app_store_connect, bitrise, olympus};

const BAD_REQUEST: &str = r#"{"error":"Bad Request"}"#;
const NOT_FOUND: &str = r#"{"error":"Not Found"}"#;

/// The state that all connections share.
pub(crate) struct Shared {
    pub scenarios: Scenarios,
    pub origin: String,
    /// The allowed values of the `Host` header.
    allowed_hosts: [String; 2],
    tls: Option<Arc<ServerConfig>>,
    started: Instant,
    requests: Mutex<Vec<Request>>,
    /// The annotations on each build's page, by the scenario's name.
    annotations: Mutex<HashMap<String, Vec<Annotation>>>,
    /// The file to which each request is appended as a line of JSON.
    log: Option<PathBuf>,
    is_stopping: AtomicBool,
    /// By connection number: a second handle of the socket, to shut it down.
    open_connections: Mutex<HashMap<u64, TcpStream>>,
    last_connection: AtomicU64,
}

/// The thread that accepts connections. Dropping it ends the thread and all connections.
pub(crate) struct Running {
    pub shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(
        scenarios: Scenarios,
        tls: Option<Arc<ServerConfig>>,
        log: Option<PathBuf>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let port = address.port();
        let shared = Arc::new(Shared {
            scenarios,
            origin: match tls {
                None => format!("http://127.0.0.1:{port}"),
                Some(_) => format!("https://localhost:{port}"),
            },
            allowed_hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")],
            tls,
            started: Instant::now(),
            requests: Mutex::default(),
            annotations: Mutex::default(),
            log,
            is_stopping: AtomicBool::new(false),
            open_connections: Mutex::default(),
            last_connection: AtomicU64::new(0),
        });
        let accepting = thread::Builder::new().name("stand-in".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept_from(&listener)
        })?;
        Ok(Self { shared, address, accepting: Some(accepting) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, so that it sees the flag and closes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            // An error means that the thread panicked. Either way, it has ended.
            let _ended = accepting.join();
        }
        for connection in lock(&self.shared.open_connections).values() {
            // Wakes the connection's thread, which then exits.
            let _closed_already = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }

    /// The requests to scenarios of this name, without copying the others: a test process has thousands.
    pub(crate) fn requests_for(&self, name: &str) -> Vec<Request> {
        lock(&self.requests).iter().filter(|request| request.name == name).cloned().collect()
    }

    pub(crate) fn annotations_of(&self, name: &str) -> Vec<Annotation> {
        lock(&self.annotations).get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn forget_annotations_of(&self, name: &str) {
        lock(&self.annotations).remove(name);
    }

    /// The number of connections so far, including those without a request.
    pub(crate) fn connections(&self) -> u64 {
        self.last_connection.load(Ordering::SeqCst)
    }

    fn accept_from(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            let accepted = listener.accept();
            if self.is_stopping.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                // A connection that cannot be served is closed.
                Ok((tcp, _)) => drop(self.serve_in_thread(tcp)),
                // Probably out of file descriptors, which is temporary.
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn serve_in_thread(self: &Arc<Self>, tcp: TcpStream) -> io::Result<()> {
        let number = self.last_connection.fetch_add(1, Ordering::SeqCst) + 1;
        lock(&self.open_connections).insert(number, tcp.try_clone()?);
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new()
            .name(format!("stand-in {number}"))
            .spawn(move || shared.serve(number, tcp));
        if spawned.is_err() {
            lock(&self.open_connections).remove(&number);
        }
        spawned.map(drop)
    }

    fn serve(&self, number: u64, tcp: TcpStream) {
        let Ok(mut wire) = Wire::new(tcp, self.tls.clone()) else {
            lock(&self.open_connections).remove(&number);
            return;
        };
        let after = loop {
            match self.serve_one(number, &mut wire) {
                Ok(AfterResponse::KeepAlive) => {}
                Ok(after) => break after,
                // The peer is gone, or rejected the certificate.
                Err(_) => break AfterResponse::Close,
            }
        };
        wire.end(after);
        lock(&self.open_connections).remove(&number);
    }

    fn serve_one(&self, number: u64, wire: &mut Wire) -> io::Result<AfterResponse> {
        let (head, body, malformed) = match wire.receive()? {
            Incoming::Request(head, body) => (head, body, None),
            Incoming::Malformed(why) => (Head::default(), Body::Unread, Some(why)),
            Incoming::End => return Ok(AfterResponse::Close),
        };
        let route = Route::of(head.path());
        let violations = match malformed {
            None => self.violations(&head, route.service),
            Some(_) => Vec::new(),
        };
        let (decision, behaviour) = match malformed {
            None => self.decide(&head, &body, &route, &violations),
            Some(why) => (Decision::refused(Response::json(400, BAD_REQUEST), why), Behaviour::Ok),
        };
        let Decision { response, refusal, annotation } = decision;
        let is_refused = refusal.is_some();
        let recorded = self.record(Request {
            at_millis: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            connection: number,
            method: head.method.clone(),
            target: head.target.clone(),
            headers: head.headers.clone(),
            body: match &body {
                Body::Read(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Body::Unread => String::new(),
            },
            service: route.service,
            name: route.name.clone(),
            behaviour: behaviour.clone(),
            verdict: refusal.map_or(Verdict::Ok, Verdict::Refused),
            violations,
        });
        if let Err(error) = recorded {
            let response = Response::new(500, "text/plain", format!("cannot record the request: {error}\n"));
            return wire.send(&head, &response, &Behaviour::Ok);
        }
        if let Some(annotation) = annotation.filter(|_| behaviour.lets_the_service_act()) {
            annotations::store(lock(&self.annotations).entry(route.name).or_default(), annotation);
        }
        if is_refused && behaviour.replaces_the_response() {
            return wire.send(&head, &response, &Behaviour::Ok);
        }
        wire.send(&head, &response.replaced_by(&behaviour), &behaviour)
    }

    fn decide(
        &self,
        head: &Head,
        body: &Body,
        route: &Route,
        violations: &[String],
    ) -> (Decision, Behaviour) {
        let (scenario, behaviour) = match self.scenarios.next(route) {
            Ok(Some((scenario, behaviour))) => (Ok(Some(scenario)), behaviour),
            Ok(None) => (Ok(None), Behaviour::Ok),
            Err(error) => (Err(error), Behaviour::Ok),
        };
        let behaviour = match (behaviour, &scenario) {
            (Behaviour::Ok, Ok(Some(scenario))) => scenario.behaviour_at(&route.rest),
            (behaviour, _) => behaviour,
        };
        let decision = match (violations, scenario) {
            ([], Ok(Some(scenario))) => self.decide_by_scenario(&scenario, head, body, route),
            ([], Ok(None)) => Decision::refused(Response::json(404, NOT_FOUND), "not found"),
            ([], Err(error)) => {
                let response = Response::new(500, "text/plain", format!("{error}\n"));
                Decision::refused(response, error.to_string())
            }
            (violations, _) => Decision::refused(Response::json(400, BAD_REQUEST), violations.join("; ")),
        };
        (decision, behaviour)
    }

    fn decide_by_scenario(&self, scenario: &Scenario, head: &Head, body: &Body, route: &Route) -> Decision {
        let method = if matches!(scenario, Scenario::BuildPage(_)) { "PUT" } else { "GET" };
        if head.method != method {
            let response = Response::json(405, r#"{"error":"Method Not Allowed"}"#);
            let why = format!("the method is {}", head.method);
            return Decision::refused(response.with_header("Allow", method), why);
        }
        match scenario {
            Scenario::Connection { token, body } => bitrise::connection(token, body, head),
            Scenario::File(bytes) => bitrise::file(bytes),
            Scenario::Account(account, team) => {
                let now = unix_seconds().saturating_add(account.clock_skew_seconds);
                app_store_connect::api(account, team, head, &route.rest, &self.origin, now)
            }
            Scenario::Session(session) if route.rest == olympus::SESSION_PATH => {
                olympus::session(session, head)
            }
            Scenario::Session(_) => Decision::refused(Response::json(404, NOT_FOUND), "not found"),
            Scenario::BuildPage(page) => annotations::put(page, head, &route.rest, body),
        }
    }

    /// Mistakes that no client must ever make.
    fn violations(&self, head: &Head, service: Service) -> Vec<String> {
        const CREDENTIALS: [&str; 4] = ["BUILD_API_TOKEN", "Authorization", "Cookie", "Proxy-Authorization"];
        let expected = match service {
            Service::Connection => Some("BUILD_API_TOKEN"),
            Service::AppStoreConnect | Service::Annotations => Some("Authorization"),
            Service::AppleSession => Some("Cookie"),
            Service::File | Service::Unknown => None,
        };
        let mut violations: Vec<_> = CREDENTIALS
            .into_iter()
            .filter(|name| Some(*name) != expected && head.values(name).next().is_some())
            .map(|name| format!("the header {name} must not be sent to this service"))
            .collect();

        let hosts: Vec<_> = head.values("Host").collect();
        match hosts.as_slice() {
            [host] if self.allowed_hosts.iter().any(|allowed| allowed == host) => {}
            hosts => violations.push(format!("the Host header is {hosts:?}")),
        }
        if service == Service::Connection && head.query().is_some() {
            violations.push("a query after the build URL".to_owned());
        }
        if head.method == "GET" && head.has_body() {
            violations.push("GET with a body".to_owned());
        }
        violations
    }

    fn record(&self, request: Request) -> io::Result<()> {
        let mut requests = lock(&self.requests);
        if let Some(log) = &self.log {
            let mut line = serde_json::to_vec(&request)?;
            line.push(b'\n');
            let mut file = OpenOptions::new().create(true).append(true).open(log)?;
            file.write_all(&line)?;
        }
        requests.push(request);
        Ok(())
    }
}

/// Ignores poisoning: each lock guards a single operation, so a panic can't leave it half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
