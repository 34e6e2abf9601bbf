//! The process: arguments, logger, panic hook, signals, exit status.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};
use zeroizing_alloc::ZeroAlloc;

use apple_services_connection::env::Env;
use apple_services_connection::redact::{self, FatalError, ISSUES};
use apple_services_connection::signals::Signals;
use apple_services_connection::{log, text};

/// Wipes memory when it is freed, so that no library leaves a secret on the heap.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    match arguments.next().as_deref() {
        None => run_step(|| Ok(Env::system())),
        Some("check") => run_step(|| apple_services_connection::env_from_arguments(arguments, Env::system())),
        Some("--version" | "-V") => {
            // Only `release/build` sets this variable: a machine that builds from source might not have git.
            let commit = option_env!("APPLE_SERVICES_CONNECTION_COMMIT").unwrap_or("not a release");
            print(&format!("{} {} ({commit})", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")))
        }
        Some("--help" | "-h") => print(HELP),
        Some(_) => {
            print(
                "Unknown argument. Inputs are environment variables, or arguments after `check`: see --help.",
            );
            ExitCode::FAILURE
        }
    }
}

/// Prints text. Returns a failure if that is impossible, for example because the disk is full.
fn print(text: &str) -> ExitCode {
    writeln!(std::io::stdout(), "{text}").map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn run_step(read_env: impl FnOnce() -> Result<Env, FatalError>) -> ExitCode {
    make_private();
    // An uncaught signal would leave behind the files that the run writes.
    let signals = Signals::catch();
    log::init();
    std::panic::set_hook(Box::new(log_bug));
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = require_open_files()
            .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build())
            .map_err(|error| FatalError::new(text!("The Step cannot start ({}). Run the build again. If that fails too, raise the limits for open files and memory.", redact::os(&error))))?;
        let env = read_env()?;
        runtime.block_on(async { apple_services_connection::run(&env, signals.wait()).await })
    }));
    let (status, has_problems) = match result {
        Ok(Ok(has_warnings)) => (ExitCode::SUCCESS, has_warnings),
        Ok(Err(error)) => {
            error.lines().for_each(log::error);
            (ExitCode::FAILURE, true)
        }
        Err(_panic) => (ExitCode::FAILURE, true),
    };
    if has_problems {
        let_the_cli_read_the_log();
    }
    status
}

/// Fails if the process can't open eight more files. tokio needs fewer, but panics without them.
fn require_open_files() -> std::io::Result<()> {
    (0..4).map(|_| UnixStream::pair()).collect::<Result<Vec<_>, _>>().map(drop)
}

/// Keeps the credential out of core dumps, and its files private, including in child processes.
fn make_private() {
    // The run continues if a sandbox forbids this.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // Replaces the umask, because some machines set one that also restricts the user.
    umask(Mode::RWXG | Mode::RWXO);
}

/// Logs where a panic happened, but not its message, which could contain a secret.
fn log_bug(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or(text!("unknown line"), |location| {
        // The path of a source file can't be secret.
        text!("line {} of {}", location.line(), redact::checked(location.file(), |_| true))
    });
    log::error(&text!(
        "The Step hit a bug ({}) and exported nothing. Please report this line at {}.",
        location,
        ISSUES
    ));
}

/// Waits a moment. The Bitrise CLI stops reading when a Step ends, even if the last lines are still in the pipe
/// (its `stepruncmd/timeoutcmd` waits for the process, not for its output).
fn let_the_cli_read_the_log() {
    if !std::io::stdout().is_terminal() {
        std::thread::sleep(Duration::from_millis(200));
    }
}

const HELP: &str = "\
Exports the Apple credential that is connected on Bitrise, or the one in the inputs,
to later Steps and tools.

Inputs are environment variables, as the Bitrise CLI sets them. step.yml lists them
with their defaults and allowed values. To run the Step without the CLI:

  ENVMAN_ENVSTORE_PATH=/tmp/envstore.yml connection=off \\
  api_key_path=AuthKey_XXXXXXXXXX.p8 api_issuer=<issuer ID> apple-services-connection

To check a credential on your own machine, pass inputs as arguments. Set secret inputs
as environment variables instead:

  apple-services-connection check api_key_path=AuthKey_XXXXXXXXXX.p8 \\
  api_issuer=<issuer ID> bundle_id=com.example.app

Options:
  --help     show this text
  --version  show name, version and commit";
