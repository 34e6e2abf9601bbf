//! A credential in the Step's inputs.

use std::io::ErrorKind;
use std::path::Path;

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::apple::api_key::ApiKey;
use crate::apple::private_key::{self, PrivateKey, Refusal};
use crate::apple::session::SessionUse;
use crate::clock;
use crate::credential::{AppleId, Credential};
use crate::fastlane::session::{self, SessionError};
use crate::http::{self, Failure, Get, Http, Redirects, RetryPolicy};
use crate::inputs::{ApiKeyInputs, AppleIdInputs, InputCredential, KeyLocation};
use crate::journal::Journal;
use crate::redaction::{self, Text, sentences};
use crate::regular_file::{self, ReadError};
use crate::remedies::NEW_SESSION;

sentences! {
    /// Why the inputs make no credential.
    #[derive(Debug, thiserror::Error)]
    pub enum StepInputsError {
        #[error("The private key in `api_key_path` {}: {}.", .0, .0.remedy())]
        Refused(#[from] Refusal),
        #[error("`api_key_path` is a file that does not exist ({path}): correct the path, or create the file in an earlier step.")]
        NoFile { path: Text },
        #[error("`api_key_path` is a folder ({path}): give the path of the file AuthKey_<ID>.p8 in it.")]
        Folder { path: Text },
        #[error("`api_key_path` is not a regular file ({path}): give the path of AuthKey_<ID>.p8.")]
        NoRegularFile { path: Text },
        #[error("The file in `api_key_path` cannot be read ({path}: {why}): correct its permissions.")]
        Unreadable { path: Text, why: Text },
        #[error("The private key in `api_key_path` cannot be downloaded: {site} {failure}. Check the link, or give the key's text in `api_key_path`.")]
        Download { site: Text, failure: Failure },
        #[error("The session in `fastlane_session` {0}: {NEW_SESSION}.")]
        Session(#[from] SessionError),
        #[error("The session in `fastlane_session` expired on {expired_on}: {NEW_SESSION}.")]
        Expired { expired_on: Text },
    }
}

/// Makes the credential that the inputs describe: reads or downloads the key, reads the session.
/// Without `needs_session`, an expired one is left out with a warning.
///
/// # Errors
/// [`StepInputsError`]
pub async fn credential(
    inputs: &InputCredential,
    needs_session: bool,
    http: &Http,
    journal: &mut Journal,
) -> Result<Credential, StepInputsError> {
    match inputs {
        InputCredential::ApiKey(inputs) => Ok(Credential::ApiKey(api_key(inputs, http).await?)),
        InputCredential::AppleId(inputs) => {
            Ok(Credential::AppleId(apple_id(inputs, needs_session, http, journal)?))
        }
    }
}

async fn api_key(inputs: &ApiKeyInputs, http: &Http) -> Result<ApiKey, StepInputsError> {
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
                failure => StepInputsError::Download { site: redaction::site(url), failure },
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
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, StepInputsError> {
    let shown = redaction::path(path);
    regular_file::read(path, private_key::MAX_BYTES).map_err(|error| match error {
        ReadError::TooLarge => Refusal::TooLarge.into(),
        ReadError::NotRegular => StepInputsError::NoRegularFile { path: shown },
        ReadError::Io(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => StepInputsError::NoFile { path: shown },
            ErrorKind::IsADirectory => StepInputsError::Folder { path: shown },
            _ => StepInputsError::Unreadable { path: shown, why: redaction::os(&error) },
        },
    })
}

fn apple_id(
    inputs: &AppleIdInputs,
    needs_session: bool,
    http: &Http,
    journal: &mut Journal,
) -> Result<AppleId, StepInputsError> {
    let mut session = inputs.fastlane_session.as_ref().map(session::from_pasted).transpose()?;
    let has_password = inputs.password.is_some() || inputs.app_password.is_some();
    let session_use = SessionUse { is_needed: needs_session, has_password, now: http.now() };
    let expired = |at| StepInputsError::Expired { expired_on: clock::day(at) };
    let expires_at = session.as_ref().and_then(|session| session.expires_at);
    if !session_use.admits(expires_at, expired, journal)? {
        session = None;
    }
    Ok(AppleId {
        email: inputs.email.clone(),
        password: inputs.password.clone(),
        app_password: inputs.app_password.clone(),
        session,
    })
}
