//! Looks up host names, each in its own thread: the system's resolver can't be awaited.

use std::net::ToSocketAddrs as _;
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

use crate::redact::text;

use super::failure::Failure;

/// The system's resolver. If no thread can be started, it returns an error, where the HTTP library's own
/// [`Resolve`] would panic.
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            // After a timeout, no one waits for the result.
            let look_up = move || drop(sender.send((name.as_str(), 0).to_socket_addrs()));
            thread::Builder::new().spawn(look_up)?;
            match receiver.await {
                Ok(Ok(addresses)) => Ok(Box::new(addresses) as Addrs),
                // The resolver's own errors, such as an unknown name, have no code of the operating system.
                Ok(Err(error)) if error.raw_os_error().is_some() => Err(error.into()),
                _ => Err(Failure::Unreachable(text!("its host name cannot be resolved")).into()),
            }
        })
    }
}
