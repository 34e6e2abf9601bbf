//! A Bitrise Step that exports a team's Apple credential to later Steps and tools.
//!
//! [`run`] is the whole run: read the inputs, find the credential, verify it with Apple, write its files,
//! export its outputs, report. `CONTRIBUTING.md` lists the modules in the order in which data flows.

pub mod apple;
pub mod bitrise;
mod config;
pub mod credential;
pub mod env;
mod export;
pub mod formats;
mod http;
pub mod log;
pub mod redact;
mod regular_file;
mod report;
pub mod signals;
pub mod sources;
mod timestamp;
pub mod tools;
mod verify;
mod yaml;

use crate::apple::token;
use crate::bitrise::annotation;
use crate::bitrise::entry::Entry;
use crate::config::{Config, IfMissing, Job, RawInputs, RemoveInputs};
use crate::credential::{Credential, ResolvedCredential};
use crate::env::Env;
use crate::export::files::Files;
use crate::export::outputs::{self, ExportPlan, OutputContext, SignedToken};
use crate::http::Http;
use crate::redact::{Failed, sentences};
use crate::report::Report;
use crate::verify::Verification;

sentences! {
    /// Errors of the run as a whole.
    #[derive(Debug, thiserror::Error)]
    enum RunError {
        #[error("The Step was interrupted ({0}) and exported nothing. If nobody aborted the build, raise the Step's `timeout` in the workflow, or run the build again.")]
        Interrupted(&'static str),
        #[error("`export_token` is yes, but only an API key can sign a token, not an Apple ID: set `export_token` to no, or use an API key.")]
        TokenNeedsApiKey,
    }
}

/// Runs the Step and writes its summary. Returns whether it logged a warning. If `interrupted` completes
/// first, with the name of a signal, the run stops there.
///
/// # Errors
/// The error that fails the build: what is wrong, then what to do. Nothing is exported and no file is left.
pub async fn run(env: &Env, interrupted: impl Future<Output = &'static str>) -> Result<bool, Failed> {
    let mut report = Report::new((env.now)());
    let http = Http::new(env);
    let mut time_limit = annotation::TIME_LIMIT;
    let result = tokio::select! {
        // A run that has exported its outputs is not undone by a late signal.
        biased;
        result = start(env, &http, &mut report) => result,
        signal = interrupted => {
            time_limit = annotation::TIME_LIMIT_WHEN_INTERRUPTED;
            Err(RunError::Interrupted(signal).into())
        }
    };
    let result = result.map_err(|failed| report.run_log.masked(failed));
    report.write_summary(result.as_ref().err(), time_limit, env, &http).await;
    result.map(|()| !report.run_log.warnings().is_empty())
}

async fn start(env: &Env, http: &Http, report: &mut Report) -> Result<(), Failed> {
    let inputs = RawInputs::read(env)?;
    report.inputs(&inputs);
    match Job::new(inputs, env)? {
        Job::Export(config) => export_credential(&config, env, http, report).await,
        Job::Remove(inputs) => remove_credential(&inputs, env, report).await,
    }
}

async fn export_credential(
    config: &Config,
    env: &Env,
    http: &Http,
    report: &mut Report,
) -> Result<(), Failed> {
    report.warn_about_inputs(config);

    report.stage("Finding the Apple credential", (env.now)());
    let sources::Resolution { resolved, other_connected, test_devices } =
        sources::resolve(config, http, &mut report.run_log).await?;
    match &resolved {
        Some(resolved) => {
            resolved.credential.secrets().for_each(|secret| report.run_log.hide(secret));
            report.resolved(resolved, config, (env.now)());
        }
        None if config.if_missing == IfMissing::Skip => {
            report.run_log.warn(report::missing(config, other_connected));
        }
        None => return Err(Failed::new(report::missing(config, other_connected))),
    }
    let token = sign_token(config, resolved.as_ref(), env)?;
    let devices = report.usable_devices(&test_devices);
    let context = OutputContext {
        resolved: resolved.as_ref(),
        devices: &devices,
        token: token.as_ref(),
        team_id: config.team_id.as_ref(),
        itc_team_id: config.itc_team_id,
        sms_default_phone_number: config.sms_default_phone_number.as_deref(),
    };
    let plan = ExportPlan::new(&config.export_for, context)?;
    report.skipped_tools(&plan.skipped_tools, resolved.as_ref(), config);

    let verification = match (&resolved, &config.checks) {
        (Some(resolved), Some(checks)) => {
            report.stage("Verifying it with Apple", (env.now)());
            let verification = verify::verify(resolved, checks, config, http, &mut report.run_log).await?;
            if checks.is_strict {
                verification.require_verified()?;
            }
            verification
        }
        _ => Verification::default(),
    };
    report.verification(&verification);

    // Without an await so far, a pending signal is only noticed here.
    tokio::task::yield_now().await;
    report.stage("Exporting it to later Steps", (env.now)());
    tokio::task::yield_now().await;
    let credential = resolved.as_ref().map(|resolved| &resolved.credential);
    let files = Files::write(&plan.files(), credential, &devices, &env.temp_dir, &mut report.run_log)?;
    let outputs = plan.outputs(&verification, &files)?;
    tokio::task::yield_now().await;
    export::export(&outputs.entries, env).await?;
    files.keep();
    let earlier = resolved.as_ref().and_then(|resolved| {
        outputs::earlier_credential(&config.export_for, resolved, &outputs.entries, env)
    });
    report.outputs(outputs);
    if let Some(warning) = earlier {
        report.run_log.warn(warning);
    }
    report.done((env.now)());
    Ok(())
}

fn sign_token(
    config: &Config,
    resolved: Option<&ResolvedCredential>,
    env: &Env,
) -> Result<Option<SignedToken>, Failed> {
    let (Some(lifetime), Some(resolved)) = (config.export_token, resolved) else { return Ok(None) };
    let Credential::ApiKey(key) = &resolved.credential else {
        return Err(RunError::TokenNeedsApiKey.into());
    };
    let now = (env.now)();
    let token = token::sign(key, now, lifetime)?;
    Ok(Some(SignedToken { token, expires_at: token::expiry(now, lifetime) }))
}

async fn remove_credential(inputs: &RemoveInputs, env: &Env, report: &mut Report) -> Result<(), Failed> {
    report.stage("Removing the credential", (env.now)());
    let removed = inputs.credentials_dir.as_ref().map(|folder| export::remove::remove_folder(folder, env));
    // Even if the folder can't be deleted, nobody needs its outputs any more.
    let names = export::remove::outputs_set(inputs.credentials_dir.as_deref(), env);
    let entries: Vec<_> = names.into_iter().map(Entry::unset).collect();
    export::export(&entries, env).await?;
    let folder_deleted = removed.transpose()?.unwrap_or(false);
    report.removal(folder_deleted, &entries);
    report.done((env.now)());
    Ok(())
}
