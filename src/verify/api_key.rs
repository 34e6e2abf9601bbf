//! Does Apple accept the API key?

use super::CheckError;
use super::client::{Client, RoleTooLow};
use crate::apple::app_store_connect::{APPS, BUNDLE_IDS};
use crate::log::RunLog;
use crate::redact::text;

/// Lists one app, or one bundle ID in the Enterprise Program, which has no apps.
pub(super) async fn check(client: &Client<'_>, run_log: &mut RunLog) -> Result<(), CheckError> {
    let list = if client.key.enterprise { BUNDLE_IDS } else { APPS };
    // Apple accepted the token, or it would have returned 401.
    if let Err(RoleTooLow { code, detail }) = client.probe(list).await? {
        run_log.warn(text!("The API key is valid, but it can't list apps ({}: {}). If later Steps need the apps, use a key whose role allows that.", code, detail));
    }
    Ok(())
}
