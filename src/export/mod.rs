//! Hands the outputs to the Bitrise CLI, all of them or none.

pub(crate) mod files;
pub(crate) mod outputs;
pub(crate) mod remove;

use std::path::Path;

use crate::bitrise::entry::Entry;
use crate::bitrise::envman::{self, AddError};
use crate::bitrise::envstore::{self, EnvstoreError};
use crate::bitrise::limits::{Limits, SettingsError, TooLarge};
use crate::env::Env;
use crate::log;
use crate::redact::text;
use crate::redact::{self, Text, sentences};

const STORE_VARIABLE: &str = "ENVMAN_ENVSTORE_PATH";

sentences! {
    /// Why nothing was exported.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum ExportError {
        #[error("There is no place for the outputs: {STORE_VARIABLE} is not set, and envman is not on the PATH. Run the Step with the Bitrise CLI, which sets both, or set {STORE_VARIABLE} to a new file's path.")]
        NoEnvstore,
        #[error("The outputs cannot be exported: {0}.")]
        TooLarge(#[from] TooLarge),
        #[error("The outputs cannot be exported: {0}.")]
        Settings(SettingsError),
        #[error("The outputs cannot be exported to {path} ({why}): make the file that {STORE_VARIABLE} names writable.")]
        Envstore { path: Text, why: Text },
        #[error("The file that {STORE_VARIABLE} names ({path}) is larger than {} MiB, so it is not an envstore: delete that file.", envstore::MAX_BYTES / 1024 / 1024)]
        Oversize { path: Text },
        #[error("What {STORE_VARIABLE} names ({path}) is not a regular file, so it is not an envstore: set that variable to the path of a file.")]
        NotRegular { path: Text },
        #[error("The file {path} ({STORE_VARIABLE}) is not in the form that envman writes, and {error}. An earlier step may have changed it: correct that step.")]
        UnknownForm { path: Text, error: AddError },
        #[error("The outputs cannot be exported: {0}. Run the build again, or set {STORE_VARIABLE} to the path of a new file.")]
        Envman(AddError),
    }
}

/// Writes the entries into the envstore, in one atomic replacement; where that file is not as
/// envman writes it, or not named, has `envman add` do it.
///
/// # Errors
/// [`ExportError`]; nothing is exported then.
pub(crate) async fn export(entries: &[Entry], env: &Env) -> Result<(), ExportError> {
    let limits = Limits::of_user(env.var("HOME")).map_err(ExportError::Settings)?;
    let Some(path) = env.var(STORE_VARIABLE) else {
        limits.check(0, entries)?;
        return envman::add_all(None, entries, env.envman_time).await.map_err(|error| match error {
            AddError::NotFound => ExportError::NoEnvstore,
            error => ExportError::Envman(error),
        });
    };
    let shown = || redact::path(Path::new(path));
    match envstore::write(Path::new(path), entries, limits) {
        Ok(()) => Ok(()),
        Err(EnvstoreError::TooLarge(error)) => Err(error.into()),
        Err(EnvstoreError::Oversize) => Err(ExportError::Oversize { path: shown() }),
        Err(EnvstoreError::NotRegular) => Err(ExportError::NotRegular { path: shown() }),
        Err(EnvstoreError::UnknownForm) => {
            log::debug(&text!("The envstore is not in the form that envman writes: envman add is used."));
            limits.check(0, entries)?;
            envman::add_all(Some(path), entries, env.envman_time)
                .await
                .map_err(|error| ExportError::UnknownForm { path: shown(), error })
        }
        Err(EnvstoreError::Io(error)) => {
            Err(ExportError::Envstore { path: shown(), why: redact::os(&error) })
        }
    }
}
