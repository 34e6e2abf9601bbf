//! Looks up host names, each in its own thread: the system's resolver can't be awaited.

use std::net::ToSocketAddrs as _;
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// The system's resolver. If it can't start a thread, it returns an error; the HTTP library's own resolver
/// would panic.
pub(super) struct Resolver;

#[derive(Debug, thiserror::Error)]
#[error("the host name cannot be resolved")]
pub(super) struct NameNotFound;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            // After a timeout, no one waits for the result.
            let look_up = move || drop(sender.send((name.as_str(), 0).to_socket_addrs()));
            thread::Builder::new().spawn(look_up)?;
            let addresses = receiver.await.map_err(|_| NameNotFound)?.map_err(|error| {
                // The resolver's own errors have no number.
                let error: Box<dyn std::error::Error + Send + Sync> = match error.raw_os_error() {
                    Some(_) => error.into(),
                    None => NameNotFound.into(),
                };
                error
            })?;
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
