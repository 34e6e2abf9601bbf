//! A Bitrise Step that hands the connected Apple credential to every later Step and tool.
//!
//! Data flows one way: [`inputs`], [`source`], [`credential`], [`verify`], [`files`],
//! [`outputs`], [`export`], [`report`]. [`apple`], [`bitrise`] and [`fastlane`] hold what those
//! three define, [`tools`] who reads which name; [`host`] is the machine. Whatever is said on the
//! way passes [`redaction`].

pub mod apple;
pub mod bitrise;
#[cfg(test)]
mod catalogue;
mod cleanup;
mod clock;
pub mod credential;
mod export;
pub mod fastlane;
mod files;
pub mod host;
mod http;
mod inputs;
pub mod journal;
mod outputs;
mod rcodesign;
pub mod redaction;
mod regular_file;
mod remedies;
pub use remedies::ISSUES;
mod report;
pub mod signals;
pub mod source;
pub mod tools;
mod verify;
mod yaml;

use crate::apple::{device, token};
use crate::bitrise::annotation;
use crate::bitrise::entry::Entry;
use crate::credential::{Credential, Found};
use crate::files::Files;
use crate::host::Host;
use crate::http::Http;
use crate::inputs::{Given, IfMissing, Inputs, Job, RemoveInputs};
use crate::outputs::{Known, Plan, SignedToken};
use crate::redaction::{Failed, sentences};
use crate::report::Report;
use crate::verify::Verification;

sentences! {
    /// Why a run fails, beside what its parts say.
    #[derive(Debug, thiserror::Error)]
    enum RunError {
        #[error("The Step was stopped from outside ({0}), and exported nothing. If nobody stopped the build, raise the Step's `timeout` in the workflow, or run the build again.")]
        Stopped(&'static str),
        #[error("`export_token` is yes, but only an API key can sign a token, not an Apple ID: set `export_token` to no, or use an API key.")]
        TokenOfAppleId,
    }
}

/// The whole run, with its summary in the end. Returns whether it warned of something. When
/// `stopped` ends first, with the name of a signal, the run ends there.
///
/// # Errors
/// What is wrong, then what to do. Nothing is exported and no file is left then.
pub async fn run(host: &Host, stopped: impl Future<Output = &'static str>) -> Result<bool, Failed> {
    let mut report = Report::new((host.now)());
    let http = Http::new(host);
    let mut time_limit = annotation::TIME_LIMIT;
    let result = tokio::select! {
        // What is written is written: a run that has ended is not undone by a late signal.
        biased;
        result = start(host, &http, &mut report) => result,
        signal = stopped => {
            time_limit = annotation::TIME_LIMIT_WHEN_STOPPED;
            Err(RunError::Stopped(signal).into())
        }
    };
    report.write_summary(result.as_ref().err(), time_limit, host, &http).await;
    result.map(|()| !report.journal.warnings().is_empty())
}

async fn start(host: &Host, http: &Http, report: &mut Report) -> Result<(), Failed> {
    let given = Given::read(host)?;
    report.given(&given);
    match Job::new(given, host)? {
        Job::Export(inputs) => export_credential(&inputs, host, http, report).await,
        Job::Remove(inputs) => remove_credential(&inputs, host, report).await,
    }
}

async fn export_credential(
    inputs: &Inputs,
    host: &Host,
    http: &Http,
    report: &mut Report,
) -> Result<(), Failed> {
    report.odd_inputs(inputs);

    report.stage("Looking for the Apple credential", (host.now)());
    let source::Resolution { found, other_connected, test_devices } =
        source::resolve(inputs, http, &mut report.journal).await?;
    match &found {
        Some(found) => report.found(found, inputs, (host.now)()),
        None if inputs.if_missing == IfMissing::Skip => {
            report.journal.warn(report::missing(inputs, other_connected));
        }
        None => return Err(Failed::new(report::missing(inputs, other_connected))),
    }
    let token = sign_token(inputs, found.as_ref(), host)?;
    let devices = device::clean(&test_devices, &mut report.journal);
    let known = Known {
        found: found.as_ref(),
        devices: &devices,
        token: token.as_ref(),
        team_id: inputs.team_id.as_ref(),
        itc_team_id: inputs.itc_team_id,
        sms_default_phone_number: inputs.sms_default_phone_number.as_deref(),
    };
    let plan = Plan::new(&inputs.export_for, known)?;
    report.unserved(&plan.unserved, found.as_ref(), inputs);

    let verification = match (&found, &inputs.checks) {
        (Some(found), Some(checks)) => {
            report.stage("Asking Apple whether it is good", (host.now)());
            let verification = verify::verify(found, checks, inputs, http, &mut report.journal).await?;
            if checks.is_strict {
                verification.insist()?;
            }
            verification
        }
        _ => Verification::default(),
    };
    report.verification(&verification);

    // Where nothing was awaited so far, a signal that has come is noticed here.
    tokio::task::yield_now().await;
    report.stage("Exporting it to the next steps", (host.now)());
    tokio::task::yield_now().await;
    let credential = found.as_ref().map(|found| &found.credential);
    let files = Files::write(&plan.files(), credential, &devices, &host.temp_dir, &mut report.journal)?;
    let outputs = plan.outputs(&verification, &files)?;
    tokio::task::yield_now().await;
    export::export(&outputs.entries, host).await?;
    files.keep();
    let earlier = found
        .as_ref()
        .and_then(|found| outputs::earlier_credential(&inputs.export_for, found, &outputs.entries, host));
    report.outputs(outputs);
    if let Some(warning) = earlier {
        report.journal.warn(warning);
    }
    report.done((host.now)());
    Ok(())
}

fn sign_token(inputs: &Inputs, found: Option<&Found>, host: &Host) -> Result<Option<SignedToken>, Failed> {
    let (Some(lifetime), Some(found)) = (inputs.export_token, found) else { return Ok(None) };
    let Credential::ApiKey(key) = &found.credential else {
        return Err(RunError::TokenOfAppleId.into());
    };
    let now = (host.now)();
    let token = token::sign(key, now, lifetime)?;
    Ok(Some(SignedToken { token, expires_at: token::expiry(now, lifetime) }))
}

async fn remove_credential(inputs: &RemoveInputs, host: &Host, report: &mut Report) -> Result<(), Failed> {
    report.stage("Removing what the Step left", (host.now)());
    let removed = inputs.credentials_dir.as_ref().map(|folder| cleanup::remove_folder(folder, host));
    // Also when the folder is not one to delete: nobody needs its outputs any more.
    let names = cleanup::outputs_set(inputs.credentials_dir.as_deref(), host);
    let entries: Vec<_> = names.into_iter().map(Entry::unset).collect();
    export::export(&entries, host).await?;
    let folder_deleted = removed.transpose()?.unwrap_or(false);
    report.removal(folder_deleted, &entries);
    report.done((host.now)());
    Ok(())
}
