//! A Bitrise Step that hands the connected Apple credential to every later Step and tool.
//!
//! Data flows one way: [`inputs`], [`source`], [`credential`], [`files`], [`outputs`],
//! [`export`]. [`apple`] and [`bitrise`] hold what those two define; [`host`] is the machine.

pub mod apple;
pub mod bitrise;
pub mod clock;
pub mod credential;
pub mod export;
pub mod files;
pub mod host;
pub mod http;
pub mod inputs;
pub mod outputs;
pub mod report;
pub mod source;
pub mod yaml;

use crate::bitrise::log::{done, set_verbose, title};
use crate::bitrise::step_yml::StepYml;
use crate::files::Files;
use crate::host::Host;
use crate::inputs::{IfMissing, Inputs, Values};
use crate::outputs::Run;

/// The whole run.
///
/// # Errors
/// One sentence: what is wrong, then what to do. Nothing is exported and no file is left then.
pub async fn run(host: &Host) -> anyhow::Result<()> {
    let step_yml = StepYml::embedded()?;
    let values = Values::read(&step_yml, host);
    report::values(&values);
    let inputs = Inputs::check(values, host)?;
    set_verbose(inputs.verbose_log);
    report::ignored(&inputs);

    title("Looking for the Apple credential");
    let found = source::resolve(&inputs, host).await?;
    match &found {
        Some(found) => report::found(found, (host.now)()),
        None if inputs.if_missing == IfMissing::Skip => log::warn!("{}", report::missing(&inputs)),
        None => anyhow::bail!(report::missing(&inputs)),
    }

    title("Exporting it to the next steps");
    let files = Files::write(found.as_ref().map(|found| &found.credential), &host.temp_dir)?;
    let entries = outputs::entries(Run {
        found: found.as_ref(),
        files: &files,
        sms_default_phone_number: inputs.sms_default_phone_number.as_deref(),
    })?;
    export::export(&entries, host)?;
    files.keep();
    report::outputs(&entries);
    done("Done.");
    Ok(())
}
