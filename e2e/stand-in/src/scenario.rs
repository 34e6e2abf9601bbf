//! Scenarios: added by a test, or read from files in a folder.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::annotations::{BuildPage, BuildPageFile};
use crate::app_store_connect::{Account, Team};
use crate::keys::PublicKey;
use crate::olympus::Session;
use crate::request::Service;
use crate::route::Route;
use crate::{Behaviour, bitrise};

/// A scenario without its behaviours.
#[derive(Debug)]
pub(crate) enum Scenario {
    Connection { token: String, body: Vec<u8> },
    File(Vec<u8>),
    Account(Account, Team),
    Session(Session),
    BuildPage(BuildPage),
}

impl Scenario {
    /// The behaviour for every request to this path.
    pub(crate) fn behaviour_at(&self, path: &str) -> Behaviour {
        match self {
            Self::Account(_, team) => team.behaviours_by_path.get(path).cloned().unwrap_or(Behaviour::Ok),
            _ => Behaviour::Ok,
        }
    }
}

/// The source of scenarios.
pub(crate) enum Scenarios {
    Memory(Arc<Memory>),
    Folder(Folder),
}

impl Scenarios {
    /// The scenario of a route and the behaviour for this request; `None` if there is no such scenario.
    pub(crate) fn next(&self, route: &Route) -> io::Result<Option<(Arc<Scenario>, Behaviour)>> {
        if route.service == Service::Connection && route.rest != bitrise::CONNECTION_FILE
            || route.service == Service::Unknown
        {
            return Ok(None);
        }
        match self {
            Self::Memory(memory) => Ok(memory.next(route)),
            Self::Folder(folder) => folder.next(route),
        }
    }
}

/// Scenarios added by a test. The key is the service, the name, and the file name (empty except for files).
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<(Service, String, String), StoredScenario>>);

/// A scenario and its remaining behaviours.
type StoredScenario = (Arc<Scenario>, VecDeque<Behaviour>);

impl Memory {
    /// Adds a scenario, or replaces the one of the same name. `file` is empty except for files.
    pub(crate) fn put(
        &self,
        service: Service,
        name: &str,
        file: &str,
        scenario: Scenario,
        behaviours: Vec<Behaviour>,
    ) {
        let key = (service, name.to_owned(), file.to_owned());
        let value = (Arc::new(scenario), behaviours.into());
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stored.insert(key, value);
    }

    fn next(&self, route: &Route) -> Option<(Arc<Scenario>, Behaviour)> {
        let file = match route.service {
            Service::File => route.rest.clone(),
            _ => String::new(),
        };
        let key = (route.service, route.name.clone(), file);
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (scenario, behaviours) = stored.get_mut(&key)?;
        Some((Arc::clone(scenario), Behaviour::next_of(behaviours)))
    }
}

/// Scenarios in files, read at every request.
pub(crate) struct Folder {
    pub root: PathBuf,
    /// The token of every connection in the folder.
    pub token: String,
    /// For each behaviours file: its text when it was last parsed, and the remaining behaviours.
    behaviours: Mutex<HashMap<PathBuf, (String, VecDeque<Behaviour>)>>,
}

/// The file `apple/<name>.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountFile {
    /// Relative to the folder.
    public_key_path: PathBuf,
    key_id: String,
    issuer_id: Option<String>,
    #[serde(default)]
    enterprise: bool,
    #[serde(default)]
    clock_skew_seconds: i64,
    #[serde(default)]
    team: Team,
}

impl Folder {
    pub(crate) fn new(root: PathBuf, token: String) -> Self {
        Self { root, token, behaviours: Mutex::default() }
    }

    fn next(&self, route: &Route) -> io::Result<Option<(Arc<Scenario>, Behaviour)>> {
        let Route { service, name, rest } = route;
        if !is_file_name(name) || *service == Service::File && !is_file_name(rest) {
            return Ok(None);
        }
        let json = format!("{name}.json");
        let path = match service {
            Service::Connection => self.root.join("connections").join(json),
            Service::File => self.root.join("files").join(name).join(rest),
            Service::AppStoreConnect => self.root.join("apple").join(json),
            Service::AppleSession => self.root.join("sessions").join(json),
            Service::Annotations => self.root.join("annotations").join(json),
            Service::Unknown => return Ok(None),
        };
        let Some(bytes) = read_if_exists(&path)? else {
            return Ok(None);
        };
        let scenario = match service {
            Service::Connection => Scenario::Connection { token: self.token.clone(), body: bytes },
            Service::AppStoreConnect => self.account(&path, &bytes)?,
            Service::AppleSession => Scenario::Session(parse(&path, &bytes)?),
            Service::Annotations => {
                let BuildPageFile { token, build_slug } = parse(&path, &bytes)?;
                Scenario::BuildPage(BuildPage { token, build_slug, behaviours: Vec::new() })
            }
            Service::File | Service::Unknown => Scenario::File(bytes),
        };
        Ok(Some((Arc::new(scenario), self.behaviour(&path)?)))
    }

    fn account(&self, path: &Path, bytes: &[u8]) -> io::Result<Scenario> {
        let file: AccountFile = parse(path, bytes)?;
        let public_key_path = self.root.join(&file.public_key_path);
        let public_key = fs::read_to_string(&public_key_path)
            .and_then(|pem| PublicKey::from_spki_pem(&pem))
            .map_err(|error| with_path(&public_key_path, &error))?;
        let account = Account {
            public_key,
            key_id: file.key_id,
            issuer_id: file.issuer_id,
            enterprise: file.enterprise,
            clock_skew_seconds: file.clock_skew_seconds,
            behaviours: Vec::new(),
        };
        Ok(Scenario::Account(account, file.team))
    }

    /// The next behaviour in `<path>.behaviours.json`. The list starts again when the file changes.
    fn behaviour(&self, path: &Path) -> io::Result<Behaviour> {
        let mut file = path.as_os_str().to_owned();
        file.push(".behaviours.json");
        let file = PathBuf::from(file);
        let bytes = read_if_exists(&file)?;

        let mut behaviours = self.behaviours.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = bytes else {
            behaviours.remove(&file);
            return Ok(Behaviour::Ok);
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let is_current = behaviours.get(&file).is_some_and(|(old, _)| *old == text);
        if !is_current {
            let list = parse(&file, &bytes)?;
            behaviours.insert(file.clone(), (text, list));
        }
        Ok(behaviours.get_mut(&file).map_or(Behaviour::Ok, |(_, left)| Behaviour::next_of(left)))
    }
}

/// Whether the text is a plain file name that can't lead out of the folder.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

fn read_if_exists(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(with_path(path, &error)),
    }
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(|error| with_path(path, &error.into()))
}

/// Adds the path to the error's message.
fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
