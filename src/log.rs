//! The build log, in the colors of Bitrise's own Steps, and [`RunLog`], which keeps the lines for the summary.
//!
//! The Bitrise CLI shows the last block between `ESC[31;1m` and the next color code as the Step's error
//! message, so the log has color codes even if the output is not a terminal.
//!
//! Titles are literals and all other lines are [`Text`], so any untrusted text has passed through [`crate::redact`].

use std::io::{self, ErrorKind, Write};

use log::{Level, LevelFilter, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::redact::{self, Secrets, Text, text};

/// The Bitrise CLI's colors (`log/corelog/console_logger.go`).
const RED: &str = "\x1b[31;1m";
const GREEN: &str = "\x1b[32;1m";
const YELLOW: &str = "\x1b[33;1m";
const BLUE: &str = "\x1b[34;1m";
const MAGENTA: &str = "\x1b[35;1m";
const RESET: &str = "\x1b[0m";

/// Starts the log on standard output, without debug lines until `set_verbose(true)`.
///
/// Shows only this crate's lines, whatever `RUST_LOG` is set to: HTTP and TLS libraries could log the data that
/// they send.
pub fn init() {
    env_logger::Builder::new()
        .filter_level(LevelFilter::Off)
        .filter_module("apple_services_connection", LevelFilter::Debug)
        .target(env_logger::Target::Pipe(Box::new(StandardOutput { is_stalled: false })))
        .format(|out, record| out.write_all(format_record(record).as_bytes()))
        .init();
    set_verbose(false);
}

/// Standard output. If its reader stalls, the log ends and the run continues.
struct StandardOutput {
    is_stalled: bool,
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        /// A pipe that is ready takes this many bytes without blocking (`PIPE_BUF` of POSIX).
        const MAX_WRITE: usize = 512;
        const MAX_WAIT: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
        let out = io::stdout();
        while !self.is_stalled {
            match poll(&mut [PollFd::new(&out, PollFlags::OUT)], Some(&MAX_WAIT)) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => self.is_stalled = true,
                Ok(_) => match rustix::io::write(&out, bytes.get(..MAX_WRITE).unwrap_or(bytes)) {
                    Err(Errno::AGAIN) => {}
                    written => return Ok(written?),
                },
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn set_verbose(is_verbose: bool) {
    log::set_max_level(if is_verbose { LevelFilter::Debug } else { LevelFilter::Info });
}

pub(crate) fn title(text: &'static str) {
    log::info!("\n{BLUE}{text}{RESET}");
}

/// Logs that something succeeded, in green.
pub(crate) fn success(text: &Text) {
    log::info!("{GREEN}{text}{RESET}");
}

pub(crate) fn info(text: &Text) {
    log::info!("{text}");
}

pub(crate) fn warn(text: &Text) {
    log::warn!("{text}");
}

/// Logs a line that only `verbose_log: yes` shows.
pub(crate) fn debug(text: &Text) {
    log::debug!("{text}");
}

/// Logs an error line, in red.
pub fn error(text: &Text) {
    log::error!("{text}");
}

/// Logs lines, and keeps those that the summary repeats.
#[derive(Debug, Default)]
pub struct RunLog {
    /// The labels and values from `log_detail`.
    pub(crate) details: Vec<(&'static str, Text)>,
    pub(crate) warnings: Vec<Text>,
    /// Untrusted text that contains one of these is hidden, because a service can echo a secret.
    pub(crate) secrets: Secrets,
}

impl RunLog {
    pub(crate) fn mask_text(&self, text: &Text) -> Text {
        text.clone().mask(&self.secrets)
    }

    pub fn info(&self, text: &Text) {
        info(&self.mask_text(text));
    }

    /// Logs a detail of the credential, such as its team, under a label.
    pub fn log_detail(&mut self, label: &'static str, value: Text) {
        let value = value.mask(&self.secrets);
        info(&text!("- {}: {}", label, value));
        self.details.push((label, value));
    }

    /// Warns about something that the user chose or has to act on.
    pub fn warn(&mut self, text: Text) {
        let text = text.mask(&self.secrets);
        warn(&text);
        self.warnings.push(text);
    }
}

#[must_use]
pub fn format_record(record: &Record<'_>) -> String {
    let text = record.args().to_string();
    let text = redact::remove_marks(&text);
    match record.level() {
        Level::Error => format!("{RED}{text}{RESET}\n"),
        Level::Warn => format!("{YELLOW}{text}{RESET}\n"),
        Level::Info => format!("{text}\n"),
        Level::Debug | Level::Trace => format!("{MAGENTA}{text}{RESET}\n"),
    }
}
