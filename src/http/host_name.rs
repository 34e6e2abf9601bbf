//! Looks up host names, each in its own thread, because the system's resolver blocks.

use std::net::ToSocketAddrs as _;
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

use crate::redact::text;

use super::failure::Failure;

/// The system's resolver. If no thread can be started, it returns an error; the HTTP library's default would
/// panic.
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            // Sending fails if the request has timed out. Nothing needs the result then.
            let look_up = move || drop(sender.send((name.as_str(), 0).to_socket_addrs()));
            thread::Builder::new().spawn(look_up)?;
            match receiver.await {
                Ok(Ok(addresses)) => Ok(Box::new(addresses) as Addrs),
                // For example, the system ran out of memory. An unknown host name has no OS error code.
                Ok(Err(error)) if error.raw_os_error().is_some() => Err(error.into()),
                _ => Err(Failure::Unreachable(text!("its host name cannot be resolved")).into()),
            }
        })
    }
}
