//! Does Apple accept the API key?

use super::client::{Client, ListError};
use super::{Verification, VerifyError, shown_code_and_detail};
use crate::apple::app_store_connect::{APPS, BUNDLE_IDS};
use crate::log::RunLog;
use crate::redact::text;

/// Lists one app, or one bundle ID in the Enterprise Program, which has no apps.
///
/// # Errors
/// If Apple rejects the key.
pub(super) async fn check(
    client: &Client<'_>,
    verification: &mut Verification,
    run_log: &mut RunLog,
) -> Result<(), VerifyError> {
    let list = if client.key.enterprise { BUNDLE_IDS } else { APPS };
    match client.probe(list).await? {
        Ok(()) => {}
        // Apple accepted the token, or it would have returned 401.
        Err(ListError::Errors(_, errors)) if errors.is_role_too_low() => {
            let (code, detail) = shown_code_and_detail(&errors);
            run_log.warn(text!("The API key is valid, but it can't list apps ({}: {}).", code, detail));
        }
        Err(error) => verification.unverified.push(error.into()),
    }
    Ok(())
}
