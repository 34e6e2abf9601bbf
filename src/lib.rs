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
use crate::config::{Config, IfMissing, Job, RawInputs, RemoveConfig};
use crate::credential::{Credential, ResolvedCredential};
use crate::env::Env;
use crate::export::files::Files;
use crate::export::outputs::{self, ExportPlan, OutputContext, SignedToken};
use crate::http::Http;
use crate::redact::FatalError;
use crate::report::Report;
use crate::verify::Verification;

pub use crate::config::env_from_arguments;

/// Runs the Step and writes its summary. Returns whether it logged a warning, not counting those about retries.
/// If `interrupted` completes first, with the name of a signal, the run fails.
///
/// # Errors
/// The error that fails the build: what is wrong, then what to do. A failed export leaves no outputs or files.
pub async fn run(env: &Env, interrupted: impl Future<Output = &'static str>) -> Result<bool, FatalError> {
    let mut report = Report::new(env.now);
    let http = Http::new(env);
    let mut summary_time_limit = annotation::TIME_LIMIT;
    let result = tokio::select! {
        // Polls the run first: if it has just exported its outputs, a late signal must not turn it into a failure.
        biased;
        result = run_job(env, &http, &mut report) => result,
        signal = interrupted => {
            summary_time_limit = annotation::TIME_LIMIT_WHEN_INTERRUPTED;
            Err(FatalError::new(text!("The Step was interrupted ({}) before it changed any output. If nobody aborted the build, raise the Step's `timeout` in the workflow, or run the build again.", signal)))
        }
    };
    let result = result.map_err(|error| error.mask(&report.run_log.secrets));
    report.write_summary(result.as_ref().err(), summary_time_limit, env, &http).await;
    result.map(|()| !report.run_log.warnings.is_empty())
}

/// Reads the inputs and runs the job that `action` selects.
async fn run_job(env: &Env, http: &Http<'_>, report: &mut Report) -> Result<(), FatalError> {
    let inputs = RawInputs::read(env)?;
    report.log_inputs(&inputs);
    match Job::new(inputs, env)? {
        Job::Export(config) => export_credential(&config, env, http, report).await,
        Job::Remove(config) => remove_credential(&config, env, report).await,
    }
}

async fn export_credential(
    config: &Config,
    env: &Env,
    http: &Http<'_>,
    report: &mut Report,
) -> Result<(), FatalError> {
    report.warn_about_inputs(config);
    report.start_stage("Finding the Apple credential");
    let sources::Resolution { resolved, excluded_method, test_devices } =
        sources::resolve(config, http, &mut report.run_log).await?;
    match &resolved {
        Some(resolved) => {
            resolved.credential.secrets().into_iter().for_each(|secret| report.run_log.secrets.add(secret));
            report.log_credential(resolved, config);
        }
        None if config.if_missing == IfMissing::Skip => {
            report.run_log.warn(report::missing_credential_message(config, excluded_method));
        }
        None => return Err(FatalError::new(report::missing_credential_message(config, excluded_method))),
    }
    let resolved = resolved.as_ref();
    let token = sign_token(config, resolved, env)?;
    let devices = report.skip_unusable_devices(&test_devices);
    let context = OutputContext { config, resolved, devices: &devices, token: token.as_ref() };
    let plan = ExportPlan::new(context)?;
    report.warn_about_skipped_tools(&plan.skipped_tools, context);

    let verification = match (resolved, &config.checks) {
        (Some(resolved), Some(checks)) => {
            report.start_stage("Verifying the credential with Apple");
            let verification = verify::verify(resolved, checks, config, http, &mut report.run_log).await?;
            if checks.is_strict {
                verification.require_verified()?;
            }
            verification
        }
        _ => Verification::default(),
    };
    report.log_verification(&verification, config);

    // Without requests, nothing above yields: only these calls let the run notice a pending signal.
    tokio::task::yield_now().await;
    report.start_stage(if config.is_check { "Result" } else { "Exporting the credential to later Steps" });
    tokio::task::yield_now().await;
    let credential = resolved.map(|resolved| &resolved.credential);
    let files = Files::write(&plan.files(), credential, &devices, &env.temp_dir, &mut report.run_log)?;
    let outputs = plan.outputs(&verification, &files)?;
    tokio::task::yield_now().await;
    // Outside a build there is no envstore, and a check does not need one.
    if !config.is_check || env.var(export::STORE_VARIABLE).is_some() {
        export::export(&outputs.entries, env).await?;
    }
    files.keep();
    let warning = resolved.filter(|_| !config.is_check).and_then(|resolved| {
        outputs::earlier_credential_warning(&config.outputs, resolved, &outputs.entries, env)
    });
    report.log_outputs(outputs);
    if let Some(warning) = warning {
        report.run_log.warn(warning);
    }
    report.finish();
    Ok(())
}

fn sign_token(
    config: &Config,
    resolved: Option<&ResolvedCredential>,
    env: &Env,
) -> Result<Option<SignedToken>, FatalError> {
    let (Some(lifetime), Some(resolved)) = (config.outputs.token_lifetime, resolved) else { return Ok(None) };
    let Credential::ApiKey(key) = &resolved.credential else {
        return Err(FatalError::new(text!(
            "`export_token` is yes, but only an API key can sign a token, not an Apple ID: set `export_token` to no, or use an API key."
        )));
    };
    let now = (env.now)();
    let token = token::sign(key, now, lifetime)?;
    Ok(Some(SignedToken { token, expires_at: now + lifetime }))
}

async fn remove_credential(config: &RemoveConfig, env: &Env, report: &mut Report) -> Result<(), FatalError> {
    report.start_stage("Removing the credential");
    let folder = config.credentials_dir.as_deref();
    let deletion = folder.map(|folder| export::remove::remove_folder(folder, env));
    // Unsets the outputs even if the folder can't be deleted.
    let entries = export::remove::outputs_to_unset(folder, &config.output_prefix, env);
    export::export(&entries, env).await?;
    let is_folder_deleted = deletion.transpose()?.unwrap_or(false);
    if let Some(warning) = export::remove::outputs_left_warning(folder, &config.output_prefix, env) {
        report.run_log.warn(warning);
    }
    report.log_removal(is_folder_deleted, &entries);
    report.finish();
    Ok(())
}
