//! The files of a run, in one private folder that goes away unless everything succeeds.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Serialize;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::apple::api_key::ApiKey;
use crate::credential::Credential;

/// What the folder is called, before its random part.
pub const FOLDER_PREFIX: &str = "apple-services-connection-";

const FASTLANE_JSON: &str = "fastlane_api_key.json";

/// Why the files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error(
        "A private folder cannot be made in the temporary folder {folder} ({error}): free some space there, or set TMPDIR to a folder that this build may write to."
    )]
    Folder { folder: String, error: io::Error },
    #[error(
        "{name} cannot be written in the temporary folder {folder} ({error}): free some space there, or set TMPDIR to a folder that this build may write to."
    )]
    File { name: String, folder: String, error: io::Error },
    #[error(
        "The temporary folder {folder} has a name that is not UTF-8, which environment variables cannot carry: set TMPDIR to another folder."
    )]
    NotUtf8 { folder: String },
}

/// The files of a credential, on disk until dropped, or for good after [`Files::keep`].
#[derive(Debug)]
pub struct Files {
    folder: Option<TempDir>,
    pub api_key: Option<ApiKeyFiles>,
}

/// Where an API key is for the tools, as text that goes into outputs.
#[derive(Debug)]
pub struct ApiKeyFiles {
    pub folder: String,
    /// `AuthKey_<ID>.p8`
    pub private_key: String,
    /// The same as a `file://` URL.
    pub private_key_url: String,
    pub fastlane_json: String,
}

/// fastlane's API key file.
/// Source: <https://docs.fastlane.tools/app-store-connect-api/#using-fastlane-api-key-json-file>
#[derive(Serialize)]
struct FastlaneKey<'a> {
    key_id: &'a str,
    issuer_id: &'a str,
    key: &'a str,
    in_house: bool,
}

impl Files {
    /// Writes what must be a file for this credential: for an Apple ID, nothing.
    ///
    /// The folder has mode 0700 and the files 0600 from the moment they exist.
    ///
    /// # Errors
    /// [`FilesError`]; nothing is left behind then.
    pub fn write(credential: Option<&Credential>, temp_dir: &Path) -> Result<Self, FilesError> {
        let Some(Credential::ApiKey(key)) = credential else {
            return Ok(Self { folder: None, api_key: None });
        };
        let folder = private_folder(temp_dir)?;
        let private_key =
            write_private(folder.path(), &key.id.file_name(), key.private_key.expose_pem().as_bytes())?;
        let fastlane_json = write_private(folder.path(), FASTLANE_JSON, &fastlane_json(key))?;
        let url = Url::from_file_path(&private_key).map_err(|()| not_utf8(folder.path()))?;
        let api_key = ApiKeyFiles {
            folder: text(folder.path())?,
            private_key: text(&private_key)?,
            private_key_url: url.into(),
            fastlane_json: text(&fastlane_json)?,
        };
        Ok(Self { folder: Some(folder), api_key: Some(api_key) })
    }

    /// Lets the files stay for later Steps.
    pub fn keep(self) {
        if let Some(folder) = self.folder {
            // The path is in the outputs; nothing here needs it any more.
            let _path = folder.keep();
        }
    }
}

fn private_folder(temp_dir: &Path) -> Result<TempDir, FilesError> {
    let refused = |error| FilesError::Folder { folder: temp_dir.display().to_string(), error };
    // Later Steps run in other folders, and xcodebuild takes absolute paths only.
    let temp_dir = std::path::absolute(temp_dir).map_err(refused)?;
    tempfile::Builder::new()
        .prefix(FOLDER_PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(temp_dir)
        .map_err(refused)
}

fn write_private(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, FilesError> {
    let path = folder.join(name);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(bytes)
    };
    write().map_err(|error| FilesError::File {
        name: name.to_owned(),
        folder: folder.display().to_string(),
        error,
    })?;
    Ok(path)
}

fn fastlane_json(key: &ApiKey) -> Zeroizing<Vec<u8>> {
    let content = FastlaneKey {
        key_id: key.id.as_str(),
        issuer_id: key.issuer.as_str(),
        key: key.private_key.expose_pem(),
        in_house: key.enterprise,
    };
    // With room for all of it, so that no part stays behind where a buffer grew.
    let mut json = Zeroizing::new(Vec::with_capacity(1024));
    // Strings and a bool into memory: there is nothing that could fail.
    drop(serde_json::to_writer(&mut *json, &content));
    json
}

fn text(path: &Path) -> Result<String, FilesError> {
    path.to_str().map(str::to_owned).ok_or_else(|| not_utf8(path))
}

fn not_utf8(path: &Path) -> FilesError {
    FilesError::NotUtf8 { folder: path.display().to_string() }
}
