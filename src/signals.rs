//! The signals that ask the process to end. A run that receives one deletes its files first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::low_level::signal_name;
use tokio::signal::unix::{SignalKind, signal};

const SIGNALS: [i32; 4] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT];

/// Records which of the signals arrived last. Unlike tokio's streams, it is up to date at once, so that a run
/// notices a signal at its next await.
#[derive(Debug, Default)]
pub struct Signals {
    /// The number of the last signal, or 0.
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Catches the signals from now on. A signal that can't be caught keeps its default action.
    #[must_use]
    pub fn catch() -> Self {
        let signals = Self::default();
        for number in SIGNALS {
            let value = usize::try_from(number).unwrap_or_default();
            drop(flag::register_usize(number, Arc::clone(&signals.received), value));
        }
        // Ignored: a write beyond the file size limit then fails instead of killing the process before it cleans up.
        drop(flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))));
        signals
    }

    /// Waits for a signal and returns its name. Call it inside a tokio runtime.
    pub fn wait(self) -> impl Future<Output = &'static str> {
        // The streams only wake the task. `received` knows which signal arrived.
        let mut streams = SIGNALS.map(|number| signal(SignalKind::from_raw(number)).ok());
        std::future::poll_fn(move |context| {
            for stream in streams.iter_mut().flatten() {
                while let Poll::Ready(Some(())) = stream.poll_recv(context) {}
            }
            let number = i32::try_from(self.received.load(Ordering::Relaxed)).unwrap_or_default();
            signal_name(number).map_or(Poll::Pending, Poll::Ready)
        })
    }
}
