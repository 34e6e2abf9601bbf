//! The sources of a credential, one file each, and the search through them.
//!
//! A source returns `Ok(None)` if nothing is set up, so that the search continues, and an error if a credential
//! is set up but can't be used.

pub mod connection;
mod inputs;

use std::fmt;

use time::OffsetDateTime;

use crate::apple::device::DeviceRecord;
use crate::bitrise::connection::Connection;
use crate::config::{Config, InputCredential};
use crate::credential::{AppleId, ConnectionMode, Credential, Method, ResolvedCredential, Source};
use crate::http::Http;
use crate::log::RunLog;
use crate::redact::{FatalError, Show, Text, text};

use connection::ConnectionError;

/// The result of the search.
#[derive(Debug)]
pub struct Resolution {
    pub resolved: Option<ResolvedCredential>,
    /// The kind of a connected credential that was not used because input `connection` excludes it.
    pub excluded_method: Option<Method>,
    /// The devices in the connection, even if the credential comes from the inputs.
    pub test_devices: Vec<DeviceRecord>,
}

/// Tries the sources in the order of the connection mode and returns the first credential.
///
/// With `connection: automatic`, if the connection can't be used but the inputs have a complete
/// credential, the Step warns and uses the inputs.
///
/// # Errors
/// If a credential is set up but can't be used.
pub async fn resolve(
    config: &Config,
    http: &Http<'_>,
    run_log: &mut RunLog,
) -> Result<Resolution, FatalError> {
    let has_fallback = config.connection == ConnectionMode::Automatic && config.credential.is_some();
    let mut resolved = None;
    let mut is_connection_unusable = false;
    let mut connection = None;
    for &(source, method) in config.connection.order() {
        let credential = match source {
            Source::Connection if is_connection_unusable => continue,
            Source::Connection => {
                let result = read_connected(method, &mut connection, config, http, run_log).await;
                if has_fallback && let Err(error) = &result {
                    run_log.warn(text!(
                        "The Step uses the credential in the inputs, because it cannot use the connected one. {}",
                        error
                    ));
                    is_connection_unusable = true;
                    continue;
                }
                result?
            }
            Source::Inputs => match (&config.credential, method) {
                (Some(InputCredential::ApiKey(inputs)), Method::ApiKey) => {
                    Some(Credential::ApiKey(inputs::load_api_key(inputs, http, run_log).await?))
                }
                (Some(InputCredential::AppleId { apple_id, fastlane_session }), Method::AppleId) => {
                    let (session, needs_session) = (fastlane_session.as_ref(), config.needs_session());
                    let apple_id =
                        inputs::add_session(apple_id, session, needs_session, http.now(), run_log)?;
                    Some(Credential::AppleId(apple_id))
                }
                _ => None,
            },
        };
        if let Some(credential) = credential {
            resolved = Some(ResolvedCredential { credential, source });
            break;
        }
        run_log.info(&absence_message(source, method, config));
    }
    // If the search found nothing, input `connection` excludes every kind that is connected.
    let excluded_method = [Method::ApiKey, Method::AppleId].into_iter().find(|method| {
        resolved.is_none() && connection.as_ref().is_some_and(|connection| connection.has(*method))
    });
    let test_devices = connection.and_then(|connection| connection.test_devices).unwrap_or_default();
    Ok(Resolution { resolved, excluded_method, test_devices })
}

fn absence_message(source: Source, method: Method, config: &Config) -> Text {
    let name = match method {
        Method::ApiKey => "API key",
        Method::AppleId => "Apple ID",
    };
    match source {
        Source::Connection if config.build_url.is_none() => {
            text!("- No {} is connected: `build_url` is empty, so this is not a build on Bitrise.", name)
        }
        Source::Connection => text!("- No {} is connected to this project on Bitrise.", name),
        Source::Inputs => text!("- The inputs contain no {}.", name),
    }
}

/// Returns the connected credential of one kind. Reads the connection, which can have both kinds, only if `connection` is
/// still `None`.
async fn read_connected(
    method: Method,
    connection: &mut Option<Connection>,
    config: &Config,
    http: &Http<'_>,
    run_log: &mut RunLog,
) -> Result<Option<Credential>, ConnectionError> {
    let Some(build_url) = &config.build_url else { return Ok(None) };
    let connection = if let Some(connection) = connection {
        connection
    } else {
        let connection =
            connection.insert(connection::read(build_url, config.build_api_token.as_ref(), http).await?);
        connection.apple_id_secrets().for_each(|value| run_log.secrets.add(value));
        connection
    };
    Ok(match method {
        Method::ApiKey => connection::api_key(connection)?.map(Credential::ApiKey),
        Method::AppleId => {
            let app_password = config.app_password.as_ref();
            connection::apple_id(connection, app_password, config.needs_session(), http.now(), run_log)?
                .map(Credential::AppleId)
        }
    })
}

/// Whether to use the session of an Apple ID, which ends at `expires_at`. Skips an expired session with a warning
/// if no tool needs it and there is a password.
///
/// # Errors
/// The error that `expired_error` makes of the expiry date, if the run can't do without the session.
fn can_use_session<E: Show + fmt::Display>(
    apple_id: &AppleId,
    expires_at: Option<OffsetDateTime>,
    needs_session: bool,
    now: OffsetDateTime,
    expired_error: impl FnOnce(OffsetDateTime) -> E,
    run_log: &mut RunLog,
) -> Result<bool, E> {
    let Some(ended_at) = expires_at.filter(|expires_at| *expires_at <= now) else { return Ok(true) };
    let error = expired_error(ended_at);
    if needs_session || !apple_id.has_password() {
        return Err(error);
    }
    run_log.warn(Text::of(&error));
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/step/tools.rs` has the runs with a password.
    #[test]
    fn without_a_password_an_expired_session_is_an_error_even_if_no_tool_needs_it() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let apple_id = AppleId { email: "x".into(), password: None, app_password: None, session: None };
        let can_use = |end| {
            can_use_session(&apple_id, Some(end), false, now, |_| text!("expired"), &mut RunLog::default())
        };
        assert_eq!(can_use(now), Err(text!("expired")));
        assert_eq!(can_use(now + time::Duration::SECOND), Ok(true));
    }
}
