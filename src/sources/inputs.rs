//! The credential in the Step's inputs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::can_use_session;
use crate::apple::api_key::{ApiKey, InvalidId, IssuerId, KeyFileName, KeyId, KeyKind};
use crate::apple::private_key::{self, PrivateKey, PrivateKeyError};
use crate::bitrise::connection::non_empty;
use crate::config::{
    ApiKeyInputs, INDIVIDUAL_KEY_NAME_PROBLEM, INDIVIDUAL_KEY_NAME_WARNING, KeyLocation,
    MISSING_ISSUER_PROBLEM,
};
use crate::credential::AppleId;
use crate::formats::fastlane_session::{self, PASTE_NEW_SESSION, SessionError};
use crate::formats::key_json::{self, KeyJson, KeyJsonError};
use crate::http::{self, Failure, Get, Http, Redirects};
use crate::log::RunLog;
use crate::redact::{self, Text, error_messages, text};
use crate::regular_file::{self, ReadError};
use crate::timestamp;

error_messages! {
    /// Why the inputs do not contain a usable credential.
    #[derive(Debug, thiserror::Error)]
    pub(super) enum InputsError {
        #[error("The content of `api_key_path` {}: {}.", .0, .0.remedy())]
        PrivateKey(#[from] PrivateKeyError),
        #[error("The file in `api_key_path` does not exist ({path}): correct the path, or create the file in an earlier step.")]
        FileNotFound { path: Text },
        #[error("`api_key_path` is a folder ({path}) that contains no file AuthKey_<ID>.p8: provide the path of that file.")]
        NoKeyInFolder { path: Text },
        #[error("`api_key_path` is a folder that contains {count} keys ({names}): provide the path of one of them, or set `api_key_id` to its ID.")]
        SeveralKeysInFolder { count: usize, names: Text },
        #[error("`api_key_id` is empty (or its variable is empty or misspelled), and neither the name nor the content of `api_key_path` contains the key ID: set `api_key_id` to the key ID.")]
        MissingKeyId,
        #[error("`api_issuer` {0}.")]
        MissingIssuer(&'static str),
        #[error("The API key JSON in `api_key_path` {0}: correct it, or provide AuthKey_<ID>.p8.")]
        KeyJson(#[from] KeyJsonError),
        #[error("In the API key JSON in `api_key_path`, `{field}` {problem}: {}.", .problem.remedy())]
        WrongField { field: &'static str, problem: InvalidId },
        #[error("`{input}` is {typed}, but the API key JSON in `api_key_path` {says}: correct `{input}`, or provide the JSON that matches `{input}`.")]
        ContradictsJson { input: &'static str, typed: Text, says: Text },
        #[error("`api_key_path` is not a regular file ({path}): provide the path of AuthKey_<ID>.p8.")]
        NotARegularFile { path: Text },
        #[error("The file in `api_key_path` cannot be read ({path}: {why}): correct its permissions.")]
        Unreadable { path: Text, why: Text },
        #[error("The private key in `api_key_path` cannot be downloaded{}", describe_download_failure(.site, .failure))]
        Download { site: Text, failure: Failure },
        #[error("`fastlane_session` {}: {}.", .0, .0.remedy())]
        Session(#[from] SessionError),
        #[error("The session in `fastlane_session` expired on {expired_on}: {PASTE_NEW_SESSION}.")]
        Expired { expired_on: Text },
    }
}

/// Completes a sentence that begins with "The private key in `api_key_path` cannot be downloaded".
fn describe_download_failure(site: &Text, failure: &Failure) -> Text {
    let remedy = match failure {
        Failure::InvalidVariable { name, problem } => return Failure::explain_variable(name, problem),
        failure if failure.is_transient() => {
            "Run the build again, or set `api_key_path` to a Secret with the key's text"
        }
        Failure::Status { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. } => {
            "The link may have expired: set `api_key_path` to a new one, or to a Secret with the key's text"
        }
        _ => "Check the link in `api_key_path`, or set it to a Secret with the key's text",
    };
    text!(": {} {}. {}.", site, failure, remedy)
}

/// Reads or downloads the API key in the inputs.
pub(super) async fn load_api_key(
    inputs: &ApiKeyInputs,
    http: &Http<'_>,
    run_log: &mut RunLog,
) -> Result<ApiKey, InputsError> {
    let location_in_folder = match &inputs.location {
        KeyLocation::File(path) if path.is_dir() => {
            Some(KeyLocation::File(find_in_folder(path, inputs.id.as_ref())?))
        }
        _ => None,
    };
    // False unless the key is in a folder: the name in a path or URL was checked with the other inputs.
    let is_named_individual = location_in_folder.as_ref().is_some_and(KeyLocation::is_named_individual);
    let location = location_in_folder.as_ref().unwrap_or(&inputs.location);
    let id_in_name = match location.file_name() {
        Some(KeyFileName::Api { id, .. }) => Some(id),
        _ => None,
    };
    let content = match location {
        KeyLocation::Inline(text) => Zeroizing::new(text.expose_secret().as_bytes().to_vec()),
        KeyLocation::File(path) => {
            regular_file::read(path, private_key::MAX_BYTES).map_err(|error| read_error(path, &error))?
        }
        KeyLocation::Url(url) => download(url, http).await?,
    };
    if let Some(json) = key_json::read(&content) {
        let key = from_json(inputs, &json?)?;
        if let Some(in_name) = id_in_name.filter(|in_name| *in_name != key.id) {
            run_log.warn(text!(
                "The API key JSON in `api_key_path` contains the key {}, which the Step uses, but the name of the file contains {}: check that it is the right file.",
                key.id.to_text(),
                in_name.to_text()
            ));
        }
        return Ok(key);
    }
    let private_key = PrivateKey::from_bytes(&content)?;
    let id = inputs.id.as_ref().or(id_in_name.as_ref()).ok_or(InputsError::MissingKeyId)?.clone();
    let issuer = match (&inputs.issuer, inputs.kind) {
        (Some(issuer), _) => {
            if is_named_individual {
                run_log.warn(text!("{}", INDIVIDUAL_KEY_NAME_WARNING));
            }
            Some(issuer.clone())
        }
        (None, KeyKind::Individual) => None,
        (None, KeyKind::Team) if is_named_individual => {
            return Err(InputsError::MissingIssuer(INDIVIDUAL_KEY_NAME_PROBLEM));
        }
        (None, KeyKind::Team) => return Err(InputsError::MissingIssuer(MISSING_ISSUER_PROBLEM)),
    };
    let other_id = id_in_name.filter(|in_name| *in_name != id);
    if let Some(in_name) = &other_id {
        run_log.warn(text!(
            "`api_key_id` is {}, but the name of the file in `api_key_path` contains {}. The Step uses {}. If the name is right, correct `api_key_id`. If it is the wrong file, correct `api_key_path`.",
            id.to_text(),
            in_name.to_text(),
            id.to_text()
        ));
    }
    Ok(ApiKey { id, issuer, private_key, is_enterprise: inputs.is_enterprise, id_in_file_name: other_id })
}

/// Reads the key in an API key JSON, which the inputs must not contradict.
fn from_json(inputs: &ApiKeyInputs, json: &KeyJson) -> Result<ApiKey, InputsError> {
    let wrong_field = |field| move |problem| InputsError::WrongField { field, problem };
    let contradiction = |input, typed, says| Err(InputsError::ContradictsJson { input, typed, says });
    let id = KeyId::parse(json.key_id.expose_secret().trim()).map_err(wrong_field("key_id"))?;
    let issuer = non_empty(json.issuer_id.as_ref()).map(IssuerId::parse);
    let issuer = issuer.transpose().map_err(wrong_field("issuer_id"))?;
    if let Some(typed) = inputs.id.as_ref().filter(|typed| **typed != id) {
        return contradiction("api_key_id", typed.to_text(), text!("says {}", id.to_text()));
    }
    match (&inputs.issuer, &issuer) {
        (Some(typed), Some(issuer)) if !typed.as_str().eq_ignore_ascii_case(issuer.as_str()) => {
            return contradiction("api_issuer", typed.to_text(), text!("says {}", issuer.to_text()));
        }
        (_, Some(_)) if inputs.kind == KeyKind::Individual => {
            return contradiction(
                "api_key_type",
                text!("individual"),
                text!("has an issuer ID, so it belongs to a team key"),
            );
        }
        _ => {}
    }
    if inputs.is_enterprise && json.in_house == Some(false) {
        return contradiction("api_key_enterprise_account", text!("yes"), text!("says false"));
    }
    Ok(ApiKey {
        id,
        // fastlane also treats a key without an issuer as an individual key.
        issuer: issuer.or(inputs.issuer.clone()),
        private_key: PrivateKey::from_bytes(json.key.expose_secret().as_bytes())?,
        is_enterprise: inputs.is_enterprise || json.in_house == Some(true),
        id_in_file_name: None,
    })
}

async fn download(url: &Url, http: &Http<'_>) -> Result<Zeroizing<Vec<u8>>, InputsError> {
    let request = Get {
        url: url.clone(),
        headers: http::HeaderMap::new(),
        redirects: Redirects::Followed,
        max_bytes: private_key::MAX_BYTES,
        timeout: http::DOCUMENT_TIMEOUT,
    };
    http.get(&request).await.map_err(|failure| match failure {
        Failure::TooLarge { .. } => PrivateKeyError::TooLarge.into(),
        failure => InputsError::Download { site: redact::site(url), failure },
    })
}

/// Finds the file of the wanted key in a folder, or else the only key file in it.
fn find_in_folder(folder: &Path, wanted: Option<&KeyId>) -> Result<PathBuf, InputsError> {
    /// With more names, the error would be too long.
    const MAX_LISTED: usize = 4;
    let entries = std::fs::read_dir(folder).map_err(|error| read_error(folder, &error.into()))?;
    let mut keys: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let KeyFileName::Api { id, .. } = KeyFileName::parse(&name)? else { return None };
            Some((name, id))
        })
        .collect();
    // Puts a key before its copies, such as `AuthKey_<ID> (1).p8`.
    keys.sort_unstable_by_key(|(name, _)| (name.len(), name.clone()));
    let wanted_key = keys.iter().find(|(_, id)| Some(id) == wanted);
    match (wanted_key, keys.as_slice()) {
        (Some((name, _)), _) | (None, [(name, _)]) => Ok(folder.join(name)),
        (None, []) => Err(InputsError::NoKeyInFolder { path: redact::path(folder) }),
        (None, _) => {
            let shown_names = keys.iter().map(|(name, _)| redact::path(Path::new(name)));
            let ellipsis = (keys.len() > MAX_LISTED).then(|| text!("…"));
            let names = Text::join(shown_names.take(MAX_LISTED).chain(ellipsis), ", ");
            Err(InputsError::SeveralKeysInFolder { count: keys.len(), names })
        }
    }
}

fn read_error(path: &Path, error: &ReadError) -> InputsError {
    let path = redact::path(path);
    match error {
        ReadError::TooLarge => PrivateKeyError::TooLarge.into(),
        ReadError::NotRegular => InputsError::NotARegularFile { path },
        ReadError::Io(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => InputsError::FileNotFound { path },
            _ => InputsError::Unreadable { path, why: redact::os(error) },
        },
    }
}

/// Adds the session in input `fastlane_session` to the Apple ID in the other inputs. Skips an expired session with a
/// warning if the run can do without it.
pub(super) fn add_session(
    apple_id: &AppleId,
    fastlane_session: Option<&SecretString>,
    needs_session: bool,
    now: OffsetDateTime,
    run_log: &mut RunLog,
) -> Result<AppleId, InputsError> {
    let session = fastlane_session.map(fastlane_session::from_pasted).transpose()?;
    let expired_error = |at| InputsError::Expired { expired_on: timestamp::format(at) };
    let expires_at = session.as_ref().and_then(|session| session.expires_at);
    let is_usable = can_use_session(apple_id, expires_at, needs_session, now, expired_error, run_log)?;
    Ok(AppleId { session: session.filter(|_| is_usable), ..apple_id.clone() })
}
