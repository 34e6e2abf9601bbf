//! Exports the outputs to later Steps, all or none.

pub(crate) mod files;
pub(crate) mod outputs;
pub(crate) mod remove;

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::bitrise::entry::Entry;
use crate::bitrise::envman::{self, EnvmanError};
use crate::bitrise::envstore::{self, EnvstoreError};
use crate::bitrise::limits::{LimitError, Limits};
use crate::env::Env;
use crate::log;
use crate::redact::{self, Text, error_messages, text};
use crate::regular_file::ReadError;

pub(crate) const STORE_VARIABLE: &str = "ENVMAN_ENVSTORE_PATH";

error_messages! {
    /// Why nothing was exported.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum ExportError {
        #[error("Cannot export outputs: {STORE_VARIABLE} is not set and envman is not on the PATH. Run the Step with the Bitrise CLI, which sets both, or set {STORE_VARIABLE} to the path of a new file.")]
        NoEnvstore,
        #[error("Cannot export outputs: {0}.")]
        Limits(#[from] LimitError),
        #[error("Cannot export outputs to {path} ({why}): {remedy}, or set {STORE_VARIABLE} to the path of another file.")]
        Envstore { path: Text, why: Text, remedy: &'static str },
        #[error("Cannot export outputs: the file in {STORE_VARIABLE} ({path}) is larger than {} MiB, which is more than Linux and macOS can pass to a Step. Correct the earlier Step that wrote so much to it.", envstore::MAX_BYTES / 1024 / 1024)]
        Oversize { path: Text },
        #[error("Cannot export outputs: {path} ({STORE_VARIABLE}) is not a regular file. Set {STORE_VARIABLE} to the path of a file.")]
        NotRegular { path: Text },
        #[error("Cannot export outputs: {path} ({STORE_VARIABLE}) is not in the format that envman writes, and {error}. An earlier Step may have changed the file. Correct that Step.")]
        UnknownFormat { path: Text, error: EnvmanError },
        #[error("Cannot export outputs: {0}. Run the build again, or set {STORE_VARIABLE} to the path of a new file.")]
        Envman(EnvmanError),
    }
}

/// How to fix an error when writing to a file or folder. Completes a sentence.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space there",
        ErrorKind::PermissionDenied => "let this build's user write there",
        ErrorKind::NotFound => "create that folder",
        _ => "fix that problem",
    }
}

/// Writes the entries into the envstore. If [`STORE_VARIABLE`] is not set, or the envstore is not in the format
/// that envman writes, runs envman instead.
///
/// # Errors
/// [`ExportError`]. Nothing is exported then.
pub(crate) async fn export(entries: &[Entry], env: &Env) -> Result<(), ExportError> {
    let limits = Limits::from_settings(env.var("HOME"))?;
    let Some(path) = env.var(STORE_VARIABLE).map(Path::new) else {
        limits.check(0, entries)?;
        return envman::export(None, entries, env).await.map_err(|error| match error {
            EnvmanError::NotFound => ExportError::NoEnvstore,
            error => ExportError::Envman(error),
        });
    };
    let shown_path = redact::path(path);
    let _lock = envstore::lock::lock(path, env).await;
    match envstore::write(path, entries, limits) {
        Ok(()) => Ok(()),
        Err(EnvstoreError::Limits(error)) => Err(error.into()),
        Err(EnvstoreError::File(ReadError::TooLarge)) => Err(ExportError::Oversize { path: shown_path }),
        Err(EnvstoreError::File(ReadError::NotRegular)) => Err(ExportError::NotRegular { path: shown_path }),
        Err(EnvstoreError::File(ReadError::Io(error))) => {
            let why = match error.kind() {
                // A missing envstore is not an error, since the Step creates it.
                ErrorKind::NotFound => text!("its folder does not exist"),
                _ => redact::os(&error),
            };
            Err(ExportError::Envstore { path: shown_path, why, remedy: remedy(&error) })
        }
        Err(EnvstoreError::UnknownFormat) => {
            log::debug(&text!(
                "The envstore is not in the format that envman writes. Exporting with `envman add` instead."
            ));
            limits.check(0, entries)?;
            envman::export(Some(path), entries, env)
                .await
                .map_err(|error| ExportError::UnknownFormat { path: shown_path, error })
        }
    }
}
