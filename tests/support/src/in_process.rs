//! A run inside the test's process: the call that `main` makes, with a log for each thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, Once};
use std::time::Duration;

use apple_services_connection::env::{Env, Vars};
use apple_services_connection::log::{error, format_record};
use log::{LevelFilter, Log, Metadata, Record};

thread_local! {
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Collects the lines that the Step itself logs, without those of libraries.
struct LogOfThread;

impl Log for LogOfThread {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("apple_services_connection")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.with_borrow_mut(|lines| lines.push_str(&format_record(record)));
        }
    }

    fn flush(&self) {}
}

/// The exit status and the log of a run with these environment variables.
///
/// If `network_time_limit` is `None`, pauses are skipped.
pub(crate) fn run(env: &BTreeMap<OsString, OsString>, network_time_limit: Option<Duration>) -> (i32, String) {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| log::set_logger(&LogOfThread).expect("no other logger"));

    let value = |name: &str| env.get(OsStr::new(name));
    let _turn = Turn::wait(value("verbose_log").is_some_and(|value| value.eq_ignore_ascii_case("yes")));
    LINES.take();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let mut system = Env {
            vars: Vars::default(),
            non_utf8_vars: Vec::new(),
            temp_dir: value("TMPDIR").map_or_else(|| "/tmp".into(), PathBuf::from),
            ..Env::system()
        };
        match network_time_limit {
            Some(limit) => system.network_time_limit = limit,
            None => system.sleep = Arc::new(|_| Box::pin(std::future::ready(()))),
        }
        for (name, value) in env {
            let name = name.to_string_lossy().into_owned();
            match value.to_str() {
                Some(value) => drop(system.vars.insert(name, value.into())),
                None => system.non_utf8_vars.push(name),
            }
        }
        apple_services_connection::run(&system, std::future::pending()).await
    });
    if let Err(failed) = &result {
        failed.lines().for_each(error);
    }
    (i32::from(result.is_err()), LINES.take())
}

/// `verbose_log` sets the log level of the whole process, so verbose runs and other runs wait for each other.
struct Turn;

/// Whether the current runs are verbose, and how many there are.
static RUNNING: Mutex<(bool, usize)> = Mutex::new((false, 0));
static ENDED: Condvar = Condvar::new();

impl Turn {
    fn wait(is_verbose: bool) -> Self {
        let running = RUNNING.lock().unwrap();
        let mut running =
            ENDED.wait_while(running, |(verbose, count)| *count > 0 && *verbose != is_verbose).unwrap();
        *running = (is_verbose, running.1 + 1);
        log::set_max_level(if is_verbose { LevelFilter::Debug } else { LevelFilter::Info });
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1 -= 1;
        ENDED.notify_all();
    }
}
