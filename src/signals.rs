//! The signals that ask the process to end: each is caught, so that what the run wrote goes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use rustix::process::Signal;
use signal_hook::flag;
use tokio::signal::unix::{SignalKind, signal};

/// All whose default is to end the process and that say nothing about a defect of it, of those
/// that both Linux and macOS have.
const ENDING: [(&str, Signal); 12] = [
    ("SIGTERM", Signal::TERM),
    ("SIGINT", Signal::INT),
    ("SIGHUP", Signal::HUP),
    ("SIGQUIT", Signal::QUIT),
    ("SIGABRT", Signal::ABORT),
    ("SIGUSR1", Signal::USR1),
    ("SIGUSR2", Signal::USR2),
    ("SIGALRM", Signal::ALARM),
    ("SIGVTALRM", Signal::VTALARM),
    ("SIGPROF", Signal::PROF),
    ("SIGXCPU", Signal::XCPU),
    ("SIGXFSZ", Signal::XFSZ),
];

/// The exit status of a run that a second signal ends.
const FAILURE: i32 = 1;

/// Knows whether one of the signals has come, also in code that waits for something and cannot
/// await it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// The number of the last one; 0: none yet.
    received: Arc<AtomicUsize>,
    allow_exit: Arc<AtomicBool>,
}

impl Stop {
    /// Catches the signals from now on. One that cannot be caught keeps its default action.
    #[must_use]
    pub fn catch() -> Self {
        let stop = Self::default();
        for (_, signal) in ENDING {
            let number = signal.as_raw();
            drop(flag::register_conditional_shutdown(number, FAILURE, Arc::clone(&stop.allow_exit)));
            let value = usize::try_from(number).unwrap_or_default();
            drop(flag::register_usize(number, Arc::clone(&stop.received), value));
        }
        stop
    }

    /// The name of the signal that has come.
    #[must_use]
    pub fn received(&self) -> Option<&'static str> {
        let number = i32::try_from(self.received.load(Ordering::Relaxed)).ok()?;
        ENDING.iter().find(|(_, signal)| signal.as_raw() == number).map(|(name, _)| *name)
    }

    /// Ends with the name of the signal, once one has come. Call inside a tokio runtime.
    pub fn wait(&self) -> impl Future<Output = &'static str> + use<> {
        let stop = self.clone();
        // These only wake the task up.
        let mut signals = ENDING.map(|(_, ending)| signal(SignalKind::from_raw(ending.as_raw())).ok());
        std::future::poll_fn(move |context| {
            for signal in signals.iter_mut().flatten() {
                while let Poll::Ready(Some(())) = signal.poll_recv(context) {}
            }
            stop.received().map_or(Poll::Pending, Poll::Ready)
        })
    }

    /// When a signal has ended the run: from now on a further one ends the process at once. Not
    /// before what the run wrote is gone, since some send every signal twice, such as `timeout`,
    /// to a process and to its group.
    pub fn allow_exit(&self) {
        if self.received().is_some() {
            self.allow_exit.store(true, Ordering::Relaxed);
        }
    }

    /// Whether all that is left to do is to say so.
    #[must_use]
    pub(crate) fn is_exit_allowed(&self) -> bool {
        self.allow_exit.load(Ordering::Relaxed)
    }
}
