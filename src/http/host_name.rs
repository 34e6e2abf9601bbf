//! Looks up host names, each in a thread of its own: the system's resolver cannot be awaited.

use std::io;
use std::net::ToSocketAddrs as _;
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// The system's resolver. Where no thread can be started for it, that is an error like another;
/// the HTTP library's own would panic.
pub(super) struct Resolver;

#[derive(Debug, thiserror::Error)]
#[error("this user may start no more threads and processes: raise the limit, ulimit -u")]
struct NoThread;

#[derive(Debug, thiserror::Error)]
#[error("the resolver gave no answer")]
struct NoAnswer;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            // Nobody waits for one that was given up.
            let look_up = move || drop(sender.send((name.as_str(), 0).to_socket_addrs()));
            thread::Builder::new().spawn(look_up).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => NoThread.into(),
                _ => Box::<dyn std::error::Error + Send + Sync>::from(error),
            })?;
            let addresses: Addrs = Box::new(receiver.await.map_err(|_| NoAnswer)??);
            Ok(addresses)
        })
    }
}
