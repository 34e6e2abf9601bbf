//! May the API key do what the build needs?

use std::collections::BTreeSet;

use serde::de::IgnoredAny;

use super::client::{Client, Reply};
use super::{Unverified, Verification, VerifyError, shown_in_error};
use crate::apple::api_key::{ApiKey, Owner};
use crate::apple::app_store_connect::Access;
use crate::log::RunLog;
use crate::redact::text;
use crate::redact::{Text, sentences};

sentences! {
    /// The key may not do what `required_access` asks for.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum AccessDenied {
        #[error("The API key {key_id} is an individual key, which cannot provision, and `required_access` asks for provisioning: use a team's key, or take provisioning out of `required_access`.")]
        Individual { key_id: Text },
        #[error("`required_access` asks for provisioning, but the API key {key_id} may not see certificates: use a key with the role App Manager or Admin, from Users and Access > Integrations. Apple said: {detail}.")]
        Provisioning { key_id: Text, detail: Text },
        #[error("`required_access` asks for admin, but the API key {key_id} does not have the role Admin: use one that has it, from Users and Access > Integrations. Apple said: {detail}.")]
        Admin { key_id: Text, detail: Text },
    }
}

/// What needs no question.
///
/// # Errors
/// [`AccessDenied::Individual`]
pub(super) fn check_kind(key: &ApiKey, required: &BTreeSet<Access>) -> Result<(), AccessDenied> {
    if key.owner == Owner::Individual && required.contains(&Access::Provisioning) {
        return Err(AccessDenied::Individual { key_id: key.id.shown() });
    }
    Ok(())
}

/// Lists one of what only a key with this access may see.
///
/// # Errors
/// [`AccessDenied`] when Apple says that it may not.
pub(super) async fn ask(
    client: &Client<'_>,
    access: Access,
    verification: &mut Verification,
    run_log: &mut RunLog,
) -> Result<(), VerifyError> {
    let key_id = client.key.id.shown();
    match client.list::<IgnoredAny>(access.list(), &[("limit", "1")]).await? {
        Reply::Listed(_) => run_log.detail(
            "Access",
            match access {
                Access::Provisioning => {
                    text!("sees certificates (whether it may make them, Apple does not tell)")
                }
                Access::Admin => text!("sees the team's users, as an Admin's key does"),
            },
        ),
        Reply::Forbidden(error) if error.is_agreement_missing() => {
            verification.unverified.push(Unverified::AgreementMissing);
        }
        Reply::Forbidden(error) => {
            let detail = shown_in_error(error.words());
            return Err(match access {
                Access::Provisioning => AccessDenied::Provisioning { key_id, detail }.into(),
                Access::Admin => AccessDenied::Admin { key_id, detail }.into(),
            });
        }
        Reply::Open(reason) => verification.unverified.push(reason),
    }
    Ok(())
}
