//! Looks up host names, each in its own thread: the system's resolver can't be awaited.

use std::error::Error;
use std::net::ToSocketAddrs as _;
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// The system's resolver. If no thread can be started, it returns an error, where the HTTP library's own
/// [`Resolve`] would panic.
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
                // The resolver's own errors, such as an unknown name, have no code of the operating system.
                match error.raw_os_error() {
                    Some(_) => Box::<dyn Error + Send + Sync>::from(error),
                    None => NameNotFound.into(),
                }
            })?;
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
