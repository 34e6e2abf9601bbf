//! Does Apple know the API key?

use serde::de::IgnoredAny;

use super::client::{Client, Reply};
use super::{Unverified, Verification, VerifyError, shown};
use crate::apple::app_store_connect::{APPS, BUNDLE_IDS};
use crate::log::RunLog;
use crate::redact::text;

/// Lists one app, or one bundle ID.
///
/// # Errors
/// When Apple refuses the key.
pub(super) async fn ask(
    client: &Client<'_>,
    verification: &mut Verification,
    run_log: &mut RunLog,
) -> Result<(), VerifyError> {
    let list = if client.key.enterprise { BUNDLE_IDS } else { APPS };
    match client.list::<IgnoredAny>(list, &[("limit", "1")]).await? {
        Reply::Listed(_) => {}
        // The token was good, or the answer were 401.
        Reply::Forbidden(error) if error.is_of_the_role() => run_log.warn(text!(
            "Apple knows the key, but it may not list apps ({}: {}).",
            shown(&error.code),
            shown(error.words())
        )),
        Reply::Forbidden(error) => verification.unverified.push(Unverified::forbidden(&error)),
        Reply::Open(reason) => verification.unverified.push(reason),
    }
    Ok(())
}
