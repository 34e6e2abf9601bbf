//! Can the API key do what the build needs?

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};

use super::client::{Client, ListError};
use super::{Verification, VerifyError, error_line_with_detail, shown_code_and_detail};
use crate::apple::api_key::{ApiKey, KeyOwner};
use crate::apple::app_store_connect::{Access, CERTIFICATES, CertificateAttributes, ErrorResponse, USERS};
use crate::log::RunLog;
use crate::redact::{Text, error_messages, text};
use crate::timestamp;

/// Lists the certificates that sign for App Store, ad hoc and enterprise distribution.
const DISTRIBUTION_QUERY: [(&str, &str); 2] = [
    ("filter[certificateType]", "DISTRIBUTION,IOS_DISTRIBUTION"),
    ("fields[certificates]", "certificateType,expirationDate"),
];

/// The Step warns if the last certificate expires within this time.
const EXPIRY_WARNING: Duration = Duration::days(30);

error_messages! {
    /// The key lacks what `required_access` asks for.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    pub(crate) enum AccessDenied {
        #[error("The API key {key_id} is an individual key, which has no access to provisioning, but `required_access` includes provisioning: use a team key, or remove provisioning from `required_access`.")]
        Individual { key_id: Text },
        #[error("{0}")]
        Role(Text),
    }
}

/// Logs how many of the team's certificates are valid, and warns before the last one expires.
fn report_certificates(expiry_dates: &[Option<OffsetDateTime>], now: OffsetDateTime, run_log: &mut RunLog) {
    let valid = expiry_dates.iter().filter(|expiry| expiry.is_none_or(|at| at > now)).count();
    let last_expiry = expiry_dates.iter().copied().flatten().max();
    let (state, problem) = match (valid, last_expiry.map(|at| (at, timestamp::format(at)))) {
        (0, None) => (text!("none"), Some(text!("The team has no distribution certificate: create one"))),
        (0, Some((_, date))) => (
            text!("none, the last one expired on {}", date),
            Some(text!(
                "The team has no valid distribution certificate (the last one expired on {}): create a new one",
                date
            )),
        ),
        (_, None) => (text!("{}, expiry unknown", valid), None),
        (_, Some((at, date))) => {
            let left = timestamp::time_left(at, now);
            let problem = (at - now <= EXPIRY_WARNING).then(|| {
                text!(
                    "The team's last distribution certificate expires on {} ({} left): create a new one",
                    date,
                    left
                )
            });
            (text!("{}, the last one expires on {} ({} left)", valid, date, left), problem)
        }
    };
    if let Some(problem) = problem {
        run_log.warn(text!(
            "{} at developer.apple.com > Account > Certificates, unless Xcode manages signing with an Admin key.",
            problem
        ));
    }
    run_log.log_detail("Distribution certificates", state);
}

/// Rejects access that this kind of key never has. Needs no request.
///
/// # Errors
/// [`AccessDenied::Individual`]
pub(super) fn check_kind(key: &ApiKey, required: &BTreeSet<Access>) -> Result<(), AccessDenied> {
    if key.owner == KeyOwner::Individual && required.contains(&Access::Provisioning) {
        return Err(AccessDenied::Individual { key_id: key.id.shown() });
    }
    Ok(())
}

/// Reads a list that only a key with this access can read.
///
/// # Errors
/// [`AccessDenied::Role`] if Apple denies the key this access. Other errors if Apple rejects the key.
pub(super) async fn check(
    client: &Client<'_>,
    access: Access,
    verification: &mut Verification,
    run_log: &mut RunLog,
) -> Result<(), VerifyError> {
    let result = match access {
        Access::Provisioning => {
            let list =
                client.search::<CertificateAttributes>(CERTIFICATES, &DISTRIBUTION_QUERY, |_| false).await?;
            list.map(|list| {
                run_log.log_detail(
                    "Access",
                    text!("can list certificates (Apple does not say whether it can create them)"),
                );
                let dates: Vec<_> = list.others.iter().map(|entry| entry.attributes.expires_at()).collect();
                report_certificates(&dates, client.now(), run_log);
            })
        }
        Access::Admin => client.probe(USERS).await?.map(|()| {
            run_log.log_detail("Access", text!("can list the team's users, as an Admin key can"));
        }),
    };
    match result {
        Ok(()) => Ok(()),
        Err(ListError::Errors(_, errors)) if errors.is_role_too_low() => {
            Err(AccessDenied::Role(access_denied_message(access, &client.key.id.shown(), &errors)).into())
        }
        Err(error) => {
            verification.unverified.push(error.into());
            Ok(())
        }
    }
}

fn access_denied_message(access: Access, key_id: &Text, errors: &ErrorResponse) -> Text {
    let (problem, remedy) = match access {
        Access::Provisioning => (
            "can't list certificates",
            "Use a key with the role Developer, or Admin if Xcode manages signing (Users and Access > Integrations)",
        ),
        Access::Admin => {
            ("does not have the role Admin", "Create a key with that role in Users and Access > Integrations")
        }
    };
    let before = text!(
        "`required_access` asks for {}, but the API key {} {}. Apple's response",
        access.name(),
        key_id,
        problem
    );
    error_line_with_detail(&before, &shown_code_and_detail(errors).1, remedy)
}
