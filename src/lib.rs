//! A Bitrise Step that hands the connected Apple credential to every later Step and tool.
//!
//! Data flows one way: [`inputs`], [`source`], [`credential`], [`verify`], [`files`],
//! [`outputs`], [`export`], [`report`]. [`apple`], [`bitrise`] and [`fastlane`] hold what those three
//! define, [`tools`] who reads which name; [`host`] is the machine.

pub mod apple;
pub mod bitrise;
pub mod cleanup;
mod clock;
pub mod credential;
pub mod export;
pub mod fastlane;
pub mod files;
pub mod host;
pub mod http;
pub mod inputs;
pub mod outputs;
pub mod remedies;
pub mod report;
pub mod source;
pub mod tools;
pub mod verify;
pub mod warnings;
mod yaml;

use anyhow::{anyhow, bail};

use crate::apple::{device, token};
use crate::bitrise::entry::Entry;
use crate::bitrise::log::{done, set_verbose, title};
use crate::bitrise::step_yml::StepYml;
use crate::credential::{Credential, Found};
use crate::files::Files;
use crate::host::Host;
use crate::http::Http;
use crate::inputs::{IfMissing, Inputs, Job, RemoveInputs, Values};
use crate::outputs::{Run, SignedToken};
use crate::report::Report;
use crate::verify::Verification;

/// The whole run, with its page in the end. Returns whether it warned of something. When
/// `stopped` ends first, with the name of a signal, the run ends there.
///
/// # Errors
/// One sentence: what is wrong, then what to do. Nothing is exported and no file is left then.
pub async fn run(host: &Host, stopped: impl Future<Output = &'static str>) -> anyhow::Result<bool> {
    let mut report = Report::default();
    let result = tokio::select! {
        // What is written is written: a run that has ended is not undone by a late signal.
        biased;
        result = carry_out(host, &mut report) => result,
        name = stopped => Err(anyhow!(
            "The Step was stopped by {name}, and exported nothing: run the build again, or raise its time limit."
        )),
    };
    let error = result.as_ref().err().map(ToString::to_string);
    bitrise::page::write(&report.page(error.as_deref()), host, &mut report.warnings);
    result.map(|()| !report.warnings.all().is_empty())
}

async fn carry_out(host: &Host, report: &mut Report) -> anyhow::Result<()> {
    let values = Values::read(&StepYml::embedded()?, host);
    report.values(&values);
    match Job::from_values(values, host)? {
        Job::Export(inputs) => export_credential(&inputs, host, report).await,
        Job::Remove(inputs) => remove_credential(&inputs, host, report).await,
    }
}

async fn export_credential(inputs: &Inputs, host: &Host, report: &mut Report) -> anyhow::Result<()> {
    set_verbose(inputs.verbose_log);
    report.ignored(inputs);

    report.stage("Looking for the Apple credential", (host.now)());
    let http = Http::new(host);
    let source::Resolution { found, test_devices } =
        source::resolve(inputs, host, &http, &mut report.warnings).await?;
    match &found {
        Some(found) => report.found(found, inputs, (host.now)()),
        None if inputs.if_missing == IfMissing::Skip => report.warnings.add(report::missing(inputs)),
        None => bail!(report::missing(inputs)),
    }
    let token = sign_token(inputs, found.as_ref(), host)?;

    let verification = match (&found, &inputs.verify) {
        (Some(found), Some(services)) => {
            report.stage("Asking Apple whether it is good", (host.now)());
            verify::verify(found, services, inputs.needs_session(), &http, &mut report.warnings).await?
        }
        _ => Verification::NotAsked,
    };
    report.verification(&verification);

    report.stage("Exporting it to the next steps", (host.now)());
    let credential = found.as_ref().map(|found| &found.credential);
    let devices = device::clean(&test_devices, &mut report.warnings);
    let files = Files::write(&outputs::files(&inputs.export_for), credential, &devices, &host.temp_dir)?;
    let run = Run {
        found: found.as_ref(),
        verification: &verification,
        files: &files,
        token: token.as_ref(),
        sms_default_phone_number: inputs.sms_default_phone_number.as_deref(),
    };
    let entries = outputs::entries(&inputs.export_for, run)?;
    export::export(&entries, host).await?;
    files.keep();
    report.outputs(&entries, &inputs.export_for);
    report.end_stage((host.now)());
    done("Done.");
    Ok(())
}

fn sign_token(inputs: &Inputs, found: Option<&Found>, host: &Host) -> anyhow::Result<Option<SignedToken>> {
    let (Some(lifetime), Some(found)) = (inputs.export_token, found) else { return Ok(None) };
    let Credential::ApiKey(key) = &found.credential else {
        bail!(
            "`export_token` is yes, and only an API key can sign a token, not an Apple ID: set `export_token` to no, or use an API key."
        );
    };
    let now = (host.now)();
    let token = token::sign(key, now, lifetime)?;
    Ok(Some(SignedToken { token, expires_at: token::expiry(now, lifetime) }))
}

async fn remove_credential(inputs: &RemoveInputs, host: &Host, report: &mut Report) -> anyhow::Result<()> {
    set_verbose(inputs.verbose_log);
    title("Removing what the Step left");
    let removed = inputs.credentials_dir.as_ref().map(|folder| cleanup::remove_folder(folder, host));
    // Also when the folder is not one to delete: nobody needs the outputs any more.
    let names = cleanup::outputs_set(inputs.credentials_dir.as_deref(), host);
    let entries: Vec<_> = names.into_iter().map(Entry::unset).collect();
    export::export(&entries, host).await?;
    for entry in &entries {
        log::info!("- {} is taken from later steps.", entry.key);
    }
    let folder_deleted = removed.transpose()?.unwrap_or(false);
    log::info!(
        "- {}",
        if folder_deleted { "The folder is deleted." } else { "There is no folder to delete." }
    );
    report.removal(folder_deleted, &entries);
    done("Done.");
    Ok(())
}
