//! The variables that name a proxy. A value that is no proxy's address is silently as good as
//! none to the HTTP library, and requests go past the proxy.

use http::Uri;
use url::Url;

use crate::env::Env;

/// In the order in which the HTTP library looks at them; of two spellings the first that is set
/// counts.
const VARIABLES: [[&str; 2]; 3] =
    [["ALL_PROXY", "all_proxy"], ["HTTP_PROXY", "http_proxy"], ["HTTPS_PROXY", "https_proxy"]];

/// The variable that is set to something other than a proxy's address. Its value can hold a
/// password.
#[must_use]
pub(super) fn wrong_variable(env: &Env) -> Option<&'static str> {
    let set = VARIABLES.iter().filter_map(|spellings| {
        spellings.iter().find(|name| env.vars.contains_key(**name) || env.is_not_utf8(name))
    });
    set.copied().find(|name| env.is_not_utf8(name) || env.var(name).is_some_and(|value| !is_proxy(value)))
}

/// Whether the HTTP library takes a value, and as what was meant: `host:port`, with or without
/// `http://` or `https://` and a user before it.
fn is_proxy(value: &str) -> bool {
    let Ok(uri) = value.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let scheme = uri.scheme_str().unwrap_or("http");
    let users = authority.as_str().matches('@').count();
    // That reader leaves ports unread.
    matches!(scheme, "http" | "https")
        && users <= 1
        && Url::parse(&format!("{scheme}://{authority}/")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_with_an_optional_port_user_and_scheme() {
        for proxy in [
            "http://proxy.example.com:3128",
            "https://proxy.example.com",
            "http://user:pass@10.0.0.1:8080/",
            "proxy.example.com:3128",
            "proxy",
            "http://[::1]:3128",
        ] {
            assert!(is_proxy(proxy), "{proxy}");
        }
        for none in [
            "http://",
            "http:/proxy:3128",
            "http://proxy:99999",
            "http://proxy:port",
            "http://us er@proxy",
            "ftp://proxy:21",
            "socks5://proxy:1080",
            "://proxy",
            "/proxy",
            "próxy:3128",
        ] {
            assert!(!is_proxy(none), "{none}");
        }
    }
}
