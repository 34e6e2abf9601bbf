//! The places that a credential can come from, a file each, and the search through them.
//!
//! A source answers `Ok(None)` when nothing is set up there, and an error when something is,
//! but is broken: only for the first does the search go on.

pub mod connection;
pub mod step_inputs;

use crate::apple::device::DeviceRecord;
use crate::bitrise::connection::Connection;
use crate::credential::{Credential, Found, Kind, Source, Toggle};
use crate::http::Http;
use crate::inputs::{InputCredential, Inputs};
use crate::journal::Journal;
use crate::redaction::text;
use crate::redaction::{Text, sentences};

use connection::ConnectionError;
use step_inputs::StepInputsError;

sentences! {
    /// Why a credential that is set up cannot be used.
    #[derive(Debug, thiserror::Error)]
    pub enum SourceError {
        #[error(transparent)]
        Connection(#[from] ConnectionError),
        #[error(transparent)]
        StepInputs(#[from] StepInputsError),
    }
}

/// What the search found.
#[derive(Debug)]
pub struct Resolution {
    pub found: Option<Found>,
    /// What is connected although the toggle asks for the other kind.
    pub other_connected: Option<Kind>,
    /// The connection's, whichever credential won.
    pub test_devices: Vec<DeviceRecord>,
}

/// Goes through the sources in the toggle's order and returns the first credential that exists.
///
/// With `connection: automatic`, a connection that cannot be used gives way to a complete
/// credential in the inputs, with a warning.
///
/// # Errors
/// [`SourceError`] when a credential is set up, but broken.
pub async fn resolve(inputs: &Inputs, http: &Http, journal: &mut Journal) -> Result<Resolution, SourceError> {
    let mut found = None;
    let mut given_up = None;
    let mut connection = None;
    for &(source, kind) in inputs.connection.order() {
        if given_up == Some(source) {
            continue;
        }
        let looked_up = match source {
            Source::Connection => from_connection(kind, &mut connection, inputs, http, journal).await,
            Source::Inputs => from_inputs(kind, inputs, http, journal).await,
        };
        match looked_up {
            Ok(Some(credential)) => {
                found = Some(Found { credential, source });
                break;
            }
            Ok(None) => journal.say(&absence(source, kind, inputs)),
            Err(error @ SourceError::Connection(_)) if has_substitute(inputs) => {
                journal.warn(text!("{} The credential in the inputs is used instead.", error));
                given_up = Some(source);
            }
            Err(error) => return Err(error),
        }
    }
    let other_connected = match (inputs.connection, &connection) {
        (Toggle::ApiKey, Some(connection)) if connection.has(Kind::AppleId) => Some(Kind::AppleId),
        (Toggle::AppleId, Some(connection)) if connection.has(Kind::ApiKey) => Some(Kind::ApiKey),
        _ => None,
    };
    let test_devices = connection.and_then(|connection| connection.test_devices).unwrap_or_default();
    Ok(Resolution { found, other_connected, test_devices })
}

fn has_substitute(inputs: &Inputs) -> bool {
    inputs.connection == Toggle::Automatic && inputs.credential.is_some()
}

fn absence(source: Source, kind: Kind, inputs: &Inputs) -> Text {
    let what = match kind {
        Kind::ApiKey => "API key",
        Kind::AppleId => "Apple ID",
    };
    match source {
        Source::Connection if inputs.build.is_none() => {
            text!("- No {} is connected: `build_url` is empty, so this build does not run on Bitrise.", what)
        }
        Source::Connection => text!("- No {} is connected to this project on Bitrise.", what),
        Source::Inputs => text!("- No {} is in the inputs.", what),
    }
}

/// Reads the connection at its first use; both kinds of credential are in the one document.
async fn from_connection(
    kind: Kind,
    connection: &mut Option<Connection>,
    inputs: &Inputs,
    http: &Http,
    journal: &mut Journal,
) -> Result<Option<Credential>, SourceError> {
    let Some(build) = &inputs.build else { return Ok(None) };
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(connection::read(build, http).await?),
    };
    Ok(match kind {
        Kind::ApiKey => connection::api_key(connection)?.map(Credential::ApiKey),
        Kind::AppleId => {
            let app_password = inputs.app_password.as_ref();
            connection::apple_id(connection, app_password, inputs.needs_session(), http.now(), journal)?
                .map(Credential::AppleId)
        }
    })
}

async fn from_inputs(
    kind: Kind,
    inputs: &Inputs,
    http: &Http,
    journal: &mut Journal,
) -> Result<Option<Credential>, SourceError> {
    match (&inputs.credential, kind) {
        (Some(given @ InputCredential::ApiKey(_)), Kind::ApiKey)
        | (Some(given @ InputCredential::AppleId(_)), Kind::AppleId) => {
            Ok(Some(step_inputs::credential(given, inputs.needs_session(), http, journal).await?))
        }
        _ => Ok(None),
    }
}
