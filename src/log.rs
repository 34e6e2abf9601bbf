//! The build log, in the colours of Bitrise's own Steps, and the run log that the summary repeats.
//!
//! The Bitrise CLI shows the last block between `ESC[31;1m` and the next colour code as the Step's error
//! message, so the log has colour codes even when the output is not a terminal.
//!
//! Lines are [`Text`]: nothing reaches the log without passing [`crate::redact`].

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use secrecy::SecretString;

use crate::redact::{self, Failed, Secrets, Text, text};
use crate::signals::Stop;

const CRATE: &str = "apple_services_connection";
const TITLE: &str = "apple_services_connection::title";
const DONE: &str = "apple_services_connection::done";

/// The codes of the Bitrise CLI, `log/corelog/console_logger.go`.
const RED: &str = "\x1b[31;1m";
const GREEN: &str = "\x1b[32;1m";
const YELLOW: &str = "\x1b[33;1m";
const BLUE: &str = "\x1b[34;1m";
const MAGENTA: &str = "\x1b[35;1m";
const RESET: &str = "\x1b[0m";

/// Starts the log on standard output, without debug lines; see [`set_verbose`].
///
/// Only this crate's lines are shown, whatever `RUST_LOG` says: those of HTTP and TLS
/// libraries could hold what they send.
///
/// A signal ends the wait for a reader that takes nothing more; what it was to read is lost then.
pub fn init(stop: Stop) {
    let started = env_logger::Builder::new()
        .filter_level(LevelFilter::Off)
        .filter_module(CRATE, LevelFilter::Debug)
        .target(env_logger::Target::Pipe(Box::new(StandardOutput { stop, last_words: None })))
        .format(|out, record| {
            let line = line(record);
            out.write_all(line.as_bytes())
        })
        .try_init();
    // A second start in one process, as tests do, keeps the first log.
    if started.is_ok() {
        set_verbose(false);
    }
}

/// Standard output, written only as far as somebody reads it.
struct StandardOutput {
    stop: Stop,
    /// When a stopped run no longer waits for its last lines to be read.
    last_words: Option<Instant>,
}

impl StandardOutput {
    /// So many bytes fit into a pipe at once where any do (`PIPE_BUF` of POSIX).
    const PIECE: usize = 512;
    /// How long a signal can go unnoticed that comes just before a wait.
    const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    /// How long a stopped run waits for the reader of its last lines.
    const LAST_WORDS: Duration = Duration::from_secs(5);

    fn is_over(&mut self) -> bool {
        if self.stop.received().is_none() {
            return false;
        }
        if !self.stop.is_exit_allowed() {
            // What the run wrote must go first.
            return true;
        }
        let end = *self.last_words.get_or_insert_with(|| Instant::now() + Self::LAST_WORDS);
        Instant::now() >= end
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = io::stdout();
        loop {
            match poll(&mut [PollFd::new(&out, PollFlags::OUT)], Some(&Self::LOOK)) {
                Ok(0) | Err(Errno::INTR) if self.is_over() => return Err(ErrorKind::TimedOut.into()),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => {
                    let piece = bytes.get(..Self::PIECE).unwrap_or(bytes);
                    match rustix::io::write(out.as_fd(), piece) {
                        // Of a pipe that does not wait, as some programs leave theirs.
                        Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
                        written => return Ok(written?),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Turns debug lines on or off.
pub(crate) fn set_verbose(verbose: bool) {
    log::set_max_level(if verbose { LevelFilter::Debug } else { LevelFilter::Info });
}

/// Begins a section.
pub(crate) fn title(text: &'static str) {
    log::info!(target: TITLE, "{text}");
}

/// Ends a piece of work that succeeded.
pub(crate) fn done(text: &Text) {
    log::info!(target: DONE, "{text}");
}

pub(crate) fn info(text: &Text) {
    log::info!("{text}");
}

pub(crate) fn warn(text: &Text) {
    log::warn!("{text}");
}

/// For whoever looks for a fault: shown with `verbose_log: yes`.
pub(crate) fn debug(text: &Text) {
    log::debug!("{text}");
}

/// The red line: the last one of a failed run.
pub fn error(text: &Text) {
    log::error!("{text}");
}

/// Logs lines, and keeps those that the summary repeats.
#[derive(Debug, Default)]
pub struct RunLog {
    details: Vec<(&'static str, Text)>,
    warnings: Vec<Text>,
    secrets: Secrets,
}

impl RunLog {
    /// Hides a secret of this run in text from outside, should a service repeat it.
    pub(crate) fn hide(&mut self, secret: &SecretString) {
        self.secrets.add(secret);
    }

    /// The error of this run, without its secrets.
    #[must_use]
    pub(crate) fn masked(&self, failed: Failed) -> Failed {
        failed.masked(&self.secrets)
    }

    /// Logs a line.
    pub fn info(&self, text: &Text) {
        info(&text.clone().masked(&self.secrets));
    }

    /// Logs a detail of the credential, such as its team, under a label.
    pub fn detail(&mut self, label: &'static str, value: Text) {
        let value = value.masked(&self.secrets);
        info(&text!("- {}: {}", label, value));
        self.details.push((label, value));
    }

    /// Warns about something the user chose or has to act on.
    pub fn warn(&mut self, text: Text) {
        let text = text.masked(&self.secrets);
        warn(&text);
        self.warnings.push(text);
    }

    /// The details of the credential so far, in order.
    #[must_use]
    pub fn details(&self) -> &[(&'static str, Text)] {
        &self.details
    }

    /// The warnings so far, in order.
    #[must_use]
    pub fn warnings(&self) -> &[Text] {
        &self.warnings
    }
}

fn line(record: &Record<'_>) -> String {
    let text = record.args().to_string();
    let text = redact::plain(&text);
    match (record.level(), record.target()) {
        (_, TITLE) => format!("\n{BLUE}{text}{RESET}\n"),
        (_, DONE) => format!("{GREEN}{text}{RESET}\n"),
        (Level::Error, _) => format!("{RED}{text}{RESET}\n"),
        (Level::Warn, _) => format!("{YELLOW}{text}{RESET}\n"),
        (Level::Info, _) => format!("{text}\n"),
        (Level::Debug | Level::Trace, _) => format!("{MAGENTA}{text}{RESET}\n"),
    }
}
