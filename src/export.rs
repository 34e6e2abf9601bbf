//! Hands the outputs to the Bitrise CLI, all of them or none.

use std::io;
use std::path::Path;

use crate::bitrise::entry::Entry;
use crate::bitrise::envman::{self, AddError};
use crate::bitrise::envstore::{self, EnvstoreError};
use crate::bitrise::limits::{Limits, TooLarge};
use crate::host::Host;

const STORE_VARIABLE: &str = "ENVMAN_ENVSTORE_PATH";

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(
        "The outputs have nowhere to go: {STORE_VARIABLE} is not set and envman is not on the PATH, as both are under the Bitrise CLI; to try the Step without it, set {STORE_VARIABLE} to the path of a new file."
    )]
    NoEnvstore,
    #[error("The outputs cannot be exported: {0}.")]
    TooLarge(#[from] TooLarge),
    #[error("The outputs cannot be exported: {0}.")]
    Settings(String),
    #[error(
        "The outputs cannot be exported to {path} ({error}): make the file that {STORE_VARIABLE} names writable."
    )]
    Envstore { path: String, error: io::Error },
    #[error(
        "The outputs cannot be exported: the file that {STORE_VARIABLE} names ({path}) is larger than {} MiB, so it is no envstore: delete that file.",
        envstore::MAX_BYTES / 1024 / 1024
    )]
    Oversize { path: String },
    #[error(
        "The outputs cannot be exported: the file that {STORE_VARIABLE} names ({path}) is not in the form that envman writes, and {error}: restore or delete that file."
    )]
    UnknownForm { path: String, error: AddError },
    #[error("The outputs cannot be exported: {0}.")]
    Envman(AddError),
}

/// Writes the entries into the envstore, in one atomic replacement; where that file is not as
/// envman writes it, or not named, has `envman add` do it.
///
/// # Errors
/// [`ExportError`]; nothing is exported then.
pub async fn export(entries: &[Entry], host: &Host) -> Result<(), ExportError> {
    let limits = Limits::of_user(host.var("HOME")).map_err(ExportError::Settings)?;
    let Some(path) = host.var(STORE_VARIABLE) else {
        limits.check(0, entries)?;
        return envman::add_all(None, entries).await.map_err(|error| match error {
            AddError::NotFound => ExportError::NoEnvstore,
            error => ExportError::Envman(error),
        });
    };
    match envstore::write(Path::new(path), entries, limits) {
        Ok(()) => Ok(()),
        Err(EnvstoreError::TooLarge(error)) => Err(error.into()),
        Err(EnvstoreError::Oversize) => Err(ExportError::Oversize { path: path.to_owned() }),
        Err(EnvstoreError::UnknownForm) => {
            log::debug!("The envstore is not in the form that envman writes; envman add is used.");
            limits.check(0, entries)?;
            envman::add_all(Some(path), entries)
                .await
                .map_err(|error| ExportError::UnknownForm { path: path.to_owned(), error })
        }
        Err(EnvstoreError::Io(error)) => Err(ExportError::Envstore { path: path.to_owned(), error }),
    }
}
