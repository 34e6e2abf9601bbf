//! The credential that is connected to the project on Bitrise.

use std::path::Path;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

use super::can_use_session;
use crate::apple::api_key::{ApiKey, InvalidId, IssuerId, KeyId};
use crate::apple::cookie::DamagedCookie;
use crate::apple::private_key::{PrivateKey, PrivateKeyError};
use crate::apple::session::Session;
use crate::bitrise::connection::{
    Connection, FILE_NAME, MAX_BYTES, Malformed, RE_AUTHENTICATE, RECONNECT, non_empty,
};
use crate::config::BuildLocation;
use crate::credential::{AppleId, Method};
use crate::http::{self, Failure, Get, Http, Redirects, endpoint, secret_header};
use crate::log::RunLog;
use crate::redact::{self, Text, error_messages, text};
use crate::regular_file::{self, ReadError};
use crate::timestamp;

const TOKEN_HEADER: HeaderName = HeaderName::from_static("build_api_token");

/// How to run without the connection. Completes a sentence.
const USE_INPUTS: &str = "set `connection` to off to use only the inputs";

error_messages! {
    /// Why the credential in the connection can't be used.
    #[derive(Debug, thiserror::Error)]
    pub enum ConnectionError {
        #[error("Bitrise rejected the build's token (HTTP 401), as it does by design on pull-request builds of public projects: run this build for a branch, or {USE_INPUTS}.")]
        Unauthorized,
        #[error("`build_api_token` is empty: reset it to its default, the variable BITRISE_BUILD_API_TOKEN, which Bitrise sets in every build.")]
        MissingToken,
        #[error("`build_api_token` contains characters that are not allowed in a token: reset it to its default, the variable BITRISE_BUILD_API_TOKEN.")]
        BadToken,
        #[error("The Apple service connection cannot be read{}", describe_fetch_failure(.site, .failure))]
        Fetch { site: Text, failure: Failure },
        #[error("The Apple service connection cannot be read from the file in `build_url` ({path}: {why}): correct `build_url`.")]
        File { path: Text, why: Text },
        #[error("The file in `build_url` ({path}) is larger than 4 MiB, so it does not contain an Apple service connection: correct `build_url`.")]
        FileTooLarge { path: Text },
        #[error("The Apple service connection cannot be read: Bitrise sent {0}. Run the build again, or {USE_INPUTS}.")]
        Malformed(Malformed),
        #[error("The Apple service connection cannot be read from the file in `build_url` ({path}): it contains {error}. Correct `build_url`, or the file.")]
        MalformedFile { path: Text, error: Malformed },
        #[error("The connected API key is incomplete: {0} is empty. {RECONNECT}.")]
        Incomplete(&'static str),
        #[error("The connected API key's {field} {problem}. {RECONNECT}.")]
        WrongField { field: &'static str, problem: InvalidId },
        #[error("The private key of the connected API key {0}. {RECONNECT}.")]
        PrivateKey(#[from] PrivateKeyError),
        #[error("The session of the connected Apple ID {0}. To fix it, {RE_AUTHENTICATE}.")]
        Session(#[from] DamagedCookie),
        #[error("The session of the connected Apple ID expired on {on} ({ago}): {RE_AUTHENTICATE}.")]
        Expired { on: Text, ago: Text },
        #[error("The expiry date of the session of the connected Apple ID cannot be read. To fix it, {RE_AUTHENTICATE}.")]
        UnreadableDate,
        #[error("The connected Apple ID has no password, session or app-specific password. To fix it, {RE_AUTHENTICATE}.")]
        MissingSecret,
    }
}

/// Completes a sentence that begins with "The Apple service connection cannot be read".
fn describe_fetch_failure(site: &Text, failure: &Failure) -> Text {
    let remedy = match failure {
        Failure::InvalidVariable { name, problem } => return Failure::explain_variable(name, problem),
        failure if failure.is_transient() => "Run the build again",
        Failure::UntrustedIssuer(_) => "Install that issuer's certificate on the machine",
        _ => "Reset `build_url` and `build_api_token` to their defaults",
    };
    text!(": {} {}. {}, or {}.", site, failure, remedy, USE_INPUTS)
}

/// Reads the connection from Bitrise or from a file.
///
/// The build's token is sent only to the origin of the build URL: redirects are not followed.
pub(super) async fn read(
    location: &BuildLocation,
    api_token: Option<&SecretString>,
    http: &Http<'_>,
) -> Result<Connection, ConnectionError> {
    let build_url = match location {
        BuildLocation::Url(url) => url,
        BuildLocation::File(file) => return read_file(file),
    };
    let api_token = api_token.ok_or(ConnectionError::MissingToken)?;
    let token = secret_header(api_token.expose_secret()).ok_or(ConnectionError::BadToken)?;
    let url = endpoint(build_url, &[FILE_NAME]);
    let site = redact::site(&url);
    let request = Get {
        url,
        headers: HeaderMap::from_iter([(TOKEN_HEADER, token)]),
        redirects: Redirects::Refused,
        max_bytes: MAX_BYTES,
        timeout: http::DOCUMENT_TIMEOUT,
    };
    let json = http.get(&request).await.map_err(|failure| match failure {
        Failure::Status { status: StatusCode::UNAUTHORIZED, .. } => ConnectionError::Unauthorized,
        failure => ConnectionError::Fetch { site, failure },
    })?;
    Connection::from_json(&json).map_err(ConnectionError::Malformed)
}

fn read_file(file: &Path) -> Result<Connection, ConnectionError> {
    let path = redact::path(file);
    match regular_file::read(file, MAX_BYTES) {
        Ok(json) => {
            Connection::from_json(&json).map_err(|error| ConnectionError::MalformedFile { path, error })
        }
        Err(ReadError::TooLarge) => Err(ConnectionError::FileTooLarge { path }),
        Err(error) => Err(ConnectionError::File { path, why: Text::of(&error) }),
    }
}

/// Returns the connected API key, if there is one.
///
/// # Errors
/// [`ConnectionError`] if a part of the key is missing or invalid.
pub fn api_key(connection: &Connection) -> Result<Option<ApiKey>, ConnectionError> {
    if !connection.has(Method::ApiKey) {
        return Ok(None);
    }
    let id = non_empty(connection.key_id.as_ref()).ok_or(ConnectionError::Incomplete("the key ID"))?;
    let issuer =
        non_empty(connection.issuer_id.as_ref()).ok_or(ConnectionError::Incomplete("the issuer ID"))?;
    let private_key = non_empty(connection.private_key.as_ref());
    let private_key = private_key.ok_or(ConnectionError::Incomplete("the private key"))?;
    let wrong_field = |field| move |problem| ConnectionError::WrongField { field, problem };
    Ok(Some(ApiKey {
        id: KeyId::parse(id).map_err(wrong_field("key ID"))?,
        issuer: Some(IssuerId::parse(issuer).map_err(wrong_field("issuer ID"))?),
        private_key: PrivateKey::from_bytes(private_key.as_bytes())?,
        is_enterprise: connection.is_enterprise_account.unwrap_or(false),
        id_in_file_name: None,
    }))
}

/// Returns the connected Apple ID, if there is one, and takes its session out of the connection.
///
/// Skips an expired session with a warning if the run can do without it. `app_password_input` is used if the
/// connection has no app-specific password.
///
/// # Errors
/// [`ConnectionError`] if the session can't be read, if it has expired and the run needs it, or if there is neither a
/// password nor a session.
pub fn apple_id(
    connection: &mut Connection,
    app_password_input: Option<&SecretString>,
    needs_session: bool,
    now: OffsetDateTime,
    run_log: &mut RunLog,
) -> Result<Option<AppleId>, ConnectionError> {
    let Some(email) = non_empty(connection.apple_id.as_ref()) else { return Ok(None) };
    let expires_at = match connection.connection_expiry_date.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(date) => Some(timestamp::parse(date).ok_or(ConnectionError::UnreadableDate)?),
    };
    // A blank password counts as missing. Any other password keeps its spaces.
    let non_blank = |field: &Option<SecretString>| non_empty(field.as_ref()).and(field.clone());
    let mut apple_id = AppleId {
        email: email.into(),
        password: non_blank(&connection.password),
        app_password: non_blank(&connection.app_specific_password).or(app_password_input.cloned()),
        session: None,
    };
    let expired_error =
        |at| ConnectionError::Expired { on: timestamp::format(at), ago: timestamp::days_ago(at, now) };
    let is_usable = can_use_session(&apple_id, expires_at, needs_session, now, expired_error, run_log)?;
    let cookies = connection.session_cookies.take().and_then(|origins| Some(origins.idmsa?.0));
    if let Some(cookies) = cookies.filter(|cookies| is_usable && !cookies.is_empty()) {
        apple_id.session = Some(Session::from_connection(cookies, expires_at)?);
    }
    if apple_id.session.is_none() && !apple_id.has_password() {
        return Err(ConnectionError::MissingSecret);
    }
    Ok(Some(apple_id))
}
