//! The signals that ask the process to end. A run that receives one deletes its files first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use rustix::process::Signal;
use signal_hook::flag;
use tokio::signal::unix::{SignalKind, signal};

const SIGNALS: [(&str, Signal); 4] =
    [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGHUP", Signal::HUP), ("SIGQUIT", Signal::QUIT)];

/// Records which of the signals has arrived. Unlike tokio's streams, the record is up to date immediately, so
/// that a run notices a signal at its next await.
#[derive(Debug, Default)]
pub struct Stop {
    /// The number of the last signal, or 0.
    received: Arc<AtomicUsize>,
}

impl Stop {
    /// Catches the signals from now on. A signal that can't be caught keeps its default action.
    #[must_use]
    pub fn catch() -> Self {
        let stop = Self::default();
        for (_, signal) in SIGNALS {
            let number = signal.as_raw();
            let value = usize::try_from(number).unwrap_or_default();
            drop(flag::register_usize(number, Arc::clone(&stop.received), value));
        }
        // Caught and ignored, so that a write beyond the file size limit fails and the run can clean up.
        drop(flag::register(Signal::XFSZ.as_raw(), Arc::new(AtomicBool::new(false))));
        stop
    }

    fn received(&self) -> Option<&'static str> {
        let number = i32::try_from(self.received.load(Ordering::Relaxed)).ok()?;
        SIGNALS.iter().find(|(_, signal)| signal.as_raw() == number).map(|(name, _)| *name)
    }

    /// Waits for a signal and returns its name. Call it inside a tokio runtime.
    pub fn wait(self) -> impl Future<Output = &'static str> {
        // These streams only wake the task.
        let mut streams = SIGNALS.map(|(_, number)| signal(SignalKind::from_raw(number.as_raw())).ok());
        std::future::poll_fn(move |context| {
            for stream in streams.iter_mut().flatten() {
                while let Poll::Ready(Some(())) = stream.poll_recv(context) {}
            }
            self.received().map_or(Poll::Pending, Poll::Ready)
        })
    }
}
