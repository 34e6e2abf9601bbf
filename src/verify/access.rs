//! Can the API key do what the build needs?

use std::collections::BTreeSet;

use time::Duration;

use super::client::Client;
use super::{CheckError, Unverified, error_line_with_detail};
use crate::apple::api_key::{ApiKey, KeyKind};
use crate::apple::app_store_connect::{Access, CERTIFICATES, CertificateAttributes, USERS};
use crate::log::RunLog;
use crate::redact::{FatalError, text};
use crate::timestamp;

/// Lists the certificates that sign for App Store, ad hoc and enterprise distribution.
const DISTRIBUTION_QUERY: [(&str, &str); 2] = [
    ("filter[certificateType]", "DISTRIBUTION,IOS_DISTRIBUTION"),
    ("fields[certificates]", "certificateType,expirationDate"),
];

/// Logs how many distribution certificates of the team are valid. Warns if none is, or if the last one expires soon.
async fn check_provisioning(client: &Client<'_>, run_log: &mut RunLog) -> Result<(), CheckError> {
    let request = client.read_list::<CertificateAttributes>(CERTIFICATES, &DISTRIBUTION_QUERY, |_| false);
    let certificates = request.await?;
    let expiry_dates: Vec<_> = certificates.iter().map(|entry| entry.attributes.expires_at()).collect();
    run_log
        .log_detail("Access", text!("can list certificates (Apple does not say whether it can create them)"));
    let now = client.http.now();
    let valid = expiry_dates.iter().filter(|expiry| expiry.is_none_or(|end| end > now)).count();
    let (state, problem) = match expiry_dates.into_iter().flatten().max() {
        None if valid > 0 => (text!("{}, expiry unknown", valid), None),
        None => (text!("none"), Some(text!("The team has no distribution certificate: create one"))),
        Some(last) if valid == 0 => {
            let expired = text!("the last one expired on {}", timestamp::format(last));
            let problem =
                text!("The team has no valid distribution certificate ({}): create a new one", expired);
            (text!("none, {}", expired), Some(problem))
        }
        Some(last) => {
            let (date, left) = (timestamp::format(last), timestamp::time_left(last, now));
            let state = text!("{}, latest expiry {} ({} left)", valid, date, left);
            let problem = || {
                text!(
                    "The team's last distribution certificate expires on {} ({} left): create a new one",
                    date,
                    left
                )
            };
            (state, (last - now <= Duration::days(30)).then(problem))
        }
    };
    if let Some(problem) = problem {
        run_log.warn(text!(
            "{} at developer.apple.com > Account > Certificates, unless Xcode manages signing with an Admin key.",
            problem
        ));
    }
    run_log.log_detail("Distribution certificates", state);
    Ok(())
}

/// Fails if `required` includes access that this kind of key never has. Makes no request.
pub(super) fn check_kind(key: &ApiKey, required: &BTreeSet<Access>) -> Result<(), FatalError> {
    if key.kind() == KeyKind::Individual && required.contains(&Access::Provisioning) {
        return Err(FatalError::new(text!(
            "The API key {} is an individual key, which has no access to provisioning, but `required_access` includes provisioning: use a team key, or remove provisioning from `required_access`.",
            key.id.to_text()
        )));
    }
    Ok(())
}

/// Reads a list that only a key with this access can read.
pub(super) async fn check(
    client: &Client<'_>,
    access: Access,
    run_log: &mut RunLog,
) -> Result<(), CheckError> {
    let (result, problem, remedy) = match access {
        Access::Provisioning => (
            check_provisioning(client, run_log).await,
            "can't list certificates",
            "Use a key with the role Developer, or Admin if Xcode manages signing (Users and Access > Integrations)",
        ),
        Access::Admin => (
            client.probe(USERS).await.map(|()| {
                run_log.log_detail("Access", text!("can list the team's users, as an Admin key can"));
            }),
            "does not have the role Admin",
            "Create a key with that role in Users and Access > Integrations",
        ),
    };
    let Err(CheckError::Unverified(Unverified::RoleTooLow { detail, .. })) = result else { return result };
    let prefix = text!(
        "`required_access` includes {}, but the API key {} {}. Apple's response",
        access.name(),
        client.key.id.to_text(),
        problem
    );
    Err(CheckError::Rejected(FatalError::new(error_line_with_detail(&prefix, &detail, remedy))))
}
