//! The edge: logger, one call, exit status.

use std::io::IsTerminal as _;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

use apple_services_connection::env::Env;
use apple_services_connection::log;
use apple_services_connection::redact::{self, Failed, ISSUES};
use apple_services_connection::signals::Stop;
use apple_services_connection::text;

fn main() -> ExitCode {
    if let Some(argument) = std::env::args_os().nth(1) {
        return answer(&argument.to_string_lossy());
    }
    be_private();
    // Before the run begins: a signal that nobody catches would leave files behind.
    let stop = Stop::catch();
    log::init(stop.clone());
    // A panic's own message could hold a value; where it happened is all that helps.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(
            || text!("an unknown place"),
            |place| text!("line {} of {}", place.line(), redact::source_file(place)),
        );
        log::error(&text!(
            "The Step has a defect ({}), and exported nothing. Please report this line at {}.",
            place,
            ISSUES
        ));
    }));
    // A panic inside ends the run like any error; what it says was said by the hook.
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failed::new(text!("The Step cannot start ({}).", redact::os(&error))))?;
        runtime.block_on(async {
            let stopped = stop.wait();
            apple_services_connection::run(&Env::system(), stopped).await
        })
    }));
    stop.allow_exit();
    let (status, has_more_to_say) = match result {
        Ok(Ok(warned)) => (ExitCode::SUCCESS, warned),
        Ok(Err(failed)) => {
            failed.lines().for_each(log::error);
            (ExitCode::FAILURE, true)
        }
        Err(_panic) => (ExitCode::FAILURE, true),
    };
    if has_more_to_say {
        let_the_log_be_read();
    }
    status
}

/// What holds for the process, and for what it starts: a core dump would hold the credential, and
/// so would a file that others may read. A umask that takes rights from the user too, which some
/// machines have, would keep the Step out of its own folder.
fn be_private() {
    // A limit that is lower already is as good.
    let _as_low = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    umask(Mode::RWXG | Mode::RWXO);
}

/// The Bitrise CLI stops reading when a Step ends, even if the last lines are still in the pipe
/// (`stepruncmd/timeoutcmd`: it waits for the process, not for its output). What matters must
/// have been read by then.
fn let_the_log_be_read() {
    if !std::io::stdout().is_terminal() {
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The Step takes its inputs from the environment; arguments only ask about it.
fn answer(argument: &str) -> ExitCode {
    match argument {
        "--version" | "-V" => {
            println!("{} {} ({COMMIT})", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        }
        "--help" | "-h" => println!("{HELP}"),
        _ => {
            println!("The Step takes no arguments: its inputs are environment variables, see --help.");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The commit of the sources. `release/build` gives it; a build elsewhere may have no git at hand.
const COMMIT: &str = match option_env!("APPLE_SERVICES_CONNECTION_COMMIT") {
    Some(commit) => commit,
    None => "not a release",
};

const HELP: &str = "\
Hands the Apple credential that is connected on Bitrise, or the one in the inputs,
to every later Step and tool.

The Bitrise CLI sets the inputs as environment variables; step.yml lists them with
their defaults and allowed values. To try it without the CLI:

  ENVMAN_ENVSTORE_PATH=/tmp/envstore.yml connection=off \\
  api_key_path=AuthKey_XXXXXXXXXX.p8 api_issuer=<issuer ID> apple-services-connection

Options:
  --help     this text
  --version  name, version and commit";
