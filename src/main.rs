//! The edge: logger, one call, exit status.

use std::process::ExitCode;

use apple_services_connection::bitrise::log;
use apple_services_connection::host::Host;

fn main() -> ExitCode {
    if let Some(argument) = std::env::args_os().nth(1) {
        return answer(&argument.to_string_lossy());
    }
    log::init();
    // A panic's own message could hold a value; where it happened is all that helps.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        ::log::error!(
            "The Step has a defect at {place}, and exported nothing: please report it with this line."
        );
    }));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            ::log::error!("The Step cannot start ({error}): run the build again.");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async { apple_services_connection::run(&Host::system()).await });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ::log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The Step takes its inputs from the environment; arguments only ask about it.
fn answer(argument: &str) -> ExitCode {
    match argument {
        "--version" | "-V" => println!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
        "--help" | "-h" => println!("{HELP}"),
        _ => {
            println!("The Step takes no arguments: its inputs are environment variables, see --help.");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

const HELP: &str = "\
Hands the Apple credential that is connected on Bitrise, or the one in the inputs,
to every later Step and tool.

The Bitrise CLI sets the inputs as environment variables; step.yml lists them with
their defaults and allowed values. To try it without the CLI:

  ENVMAN_ENVSTORE_PATH=/tmp/envstore.yml connection=off \\
  api_key_path=AuthKey_XXXXXXXXXX.p8 api_issuer=<issuer ID> apple-services-connection

Options:
  --help     this text
  --version  name and version";
