//! A credential given in the Step's inputs.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::apple::api_key::ApiKey;
use crate::apple::private_key::{self, PrivateKey, Refusal};
use crate::apple::session::SessionUse;
use crate::clock;
use crate::credential::{AppleId, Credential};
use crate::fastlane::session::{self, SessionError};
use crate::host::Host;
use crate::http::{self, Failure, Get, Http, Redirects, RetryPolicy};
use crate::inputs::{ApiKeyInputs, AppleIdInputs, InputCredential, KeyLocation};
use crate::remedies::NEW_SESSION;
use crate::warnings::Warnings;

use super::shown;

/// Why the inputs make no credential.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    #[error("The private key in `api_key_path` {0}.")]
    Refused(#[from] Refusal),
    #[error(
        "The file in `api_key_path` ({path}) does not exist: correct the path, or create the file in an earlier step."
    )]
    NoFile { path: String },
    #[error("`api_key_path` ({path}) is a folder: give the path of the file AuthKey_<ID>.p8 in it.")]
    Folder { path: String },
    #[error("`api_key_path` ({path}) is no regular file: give the path of AuthKey_<ID>.p8.")]
    NoRegularFile { path: String },
    #[error("The file in `api_key_path` ({path}) cannot be read ({error}): correct its permissions.")]
    Unreadable { path: String, error: io::Error },
    #[error(
        "The download of `api_key_path` from {site} failed: the server {failure}. Check the link, or give the key's text in `api_key_path`."
    )]
    Download { site: String, failure: Failure },
    #[error("The session in `fastlane_session` {0}: {NEW_SESSION}.")]
    Session(#[from] SessionError),
    #[error("The session in `fastlane_session` expired on {expired_on}: {NEW_SESSION}.")]
    Expired { expired_on: String },
}

/// Makes the credential that the inputs describe: reads or downloads the key, reads the session.
/// Without `needs_session`, an expired one is left out with a warning.
///
/// # Errors
/// [`InputsError`]
pub async fn credential(
    inputs: &InputCredential,
    needs_session: bool,
    host: &Host,
    http: &Http,
    warnings: &mut Warnings,
) -> Result<Credential, InputsError> {
    match inputs {
        InputCredential::ApiKey(inputs) => Ok(Credential::ApiKey(api_key(inputs, http).await?)),
        InputCredential::AppleId(inputs) => {
            Ok(Credential::AppleId(apple_id(inputs, needs_session, host, warnings)?))
        }
    }
}

async fn api_key(inputs: &ApiKeyInputs, http: &Http) -> Result<ApiKey, InputsError> {
    let private_key = match &inputs.key {
        KeyLocation::Text(text) => PrivateKey::from_bytes(text.expose_secret().as_bytes())?,
        KeyLocation::File(path) => PrivateKey::from_bytes(&read(path)?)?,
        KeyLocation::Url(url) => {
            let request = Get {
                url: url.clone(),
                headers: http::HeaderMap::new(),
                redirects: Redirects::Followed,
                max_bytes: private_key::MAX_BYTES,
                timeout: http::DOCUMENT_TIMEOUT,
            };
            let body = http.get(&request, RetryPolicy::DOCUMENT).await.map_err(|failure| match failure {
                Failure::TooLarge { .. } => Refusal::TooLarge.into(),
                failure => InputsError::Download { site: http::site(url), failure },
            })?;
            PrivateKey::from_bytes(&body)?
        }
    };
    Ok(ApiKey {
        id: inputs.id.clone(),
        owner: inputs.owner.clone(),
        private_key,
        enterprise: inputs.enterprise,
    })
}

/// Reads a key file, no further than a key can be long.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, InputsError> {
    let unreadable = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => InputsError::NoFile { path: shown(path) },
        _ => InputsError::Unreadable { path: shown(path), error },
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(InputsError::Folder { path: shown(path) });
    }
    if !metadata.is_file() {
        return Err(InputsError::NoRegularFile { path: shown(path) });
    }
    let limit = private_key::MAX_BYTES + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
    let file = File::open(path).map_err(unreadable)?;
    file.take(limit as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn apple_id(
    inputs: &AppleIdInputs,
    needs_session: bool,
    host: &Host,
    warnings: &mut Warnings,
) -> Result<AppleId, InputsError> {
    let mut session = inputs.fastlane_session.as_ref().map(session::from_pasted).transpose()?;
    let has_password = inputs.password.is_some() || inputs.app_password.is_some();
    let session_use = SessionUse { is_needed: needs_session, has_password, now: (host.now)() };
    let expired = |at| InputsError::Expired { expired_on: clock::day(at) };
    let expires_at = session.as_ref().and_then(|session| session.expires_at);
    if !session_use.admits(expires_at, expired, warnings)? {
        session = None;
    }
    Ok(AppleId {
        email: inputs.email.clone(),
        password: inputs.password.clone(),
        app_password: inputs.app_password.clone(),
        session,
    })
}
