//! Bitrise's connection, which is the connected credential, and a file server.

use crate::Behaviour;
use crate::http::{Decision, Head, Response};

/// A Bitrise build with its connection.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The expected value of the header `BUILD_API_TOKEN`.
    pub token: String,
    /// The response's body, served unchanged.
    pub body: String,
    /// The faults of the server: one behaviour per request, in order.
    pub behaviours: Vec<Behaviour>,
}

/// The name of the file that contains the connection, below the build URL.
pub(crate) const CONNECTION_FILE: &str = "apple_developer_portal_data.json";

/// `GET <build URL>/apple_developer_portal_data.json`
pub(crate) fn connection(token: &str, body: &[u8], head: &Head) -> Decision {
    let sent: Vec<_> = head.values("BUILD_API_TOKEN").collect();
    let refusal = match sent.as_slice() {
        [one] if *one == token => None,
        [_] => Some("the header BUILD_API_TOKEN is not the build's token".to_owned()),
        [] => Some("the header BUILD_API_TOKEN is missing".to_owned()),
        several => Some(format!("{} BUILD_API_TOKEN headers", several.len())),
    };
    match refusal {
        None => Decision::ok(Response::json(200, body)),
        Some(why) => Decision::refused(Response::json(401, r#"{"error_msg":"Unauthorized"}"#), why),
    }
}

/// `GET /files/<name>/<file name>`
pub(crate) fn file(bytes: &[u8]) -> Decision {
    Decision::ok(Response::new(200, "application/octet-stream", bytes))
}
