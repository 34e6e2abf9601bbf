//! Chooses the proxy for a request.
//!
//! `NO_PROXY` takes precedence over `HTTPS_PROXY`, which takes precedence over `ALL_PROXY`. Each upper-case
//! name takes precedence over the lower-case one, as in Go and the HTTP library. `HTTP_PROXY` never applies,
//! because only https requests leave this machine.
//!
//! On its own, the HTTP library would silently bypass a proxy if `REQUEST_METHOD` is set (a rule for CGI
//! scripts), if the upper-case variable is empty but the lower-case one isn't, or if the value isn't the address
//! of a proxy. The Step uses the proxy in the first two cases and fails in the third.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::NoProxy;
use url::{ParseError, Url};

use crate::env::Env;
use crate::redact::text;

use super::failure::Failure;

const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

pub(super) struct Proxy {
    variable: &'static str,
    /// Can contain a password. `None` if the value isn't the address of an HTTP proxy.
    address: Option<Url>,
    /// The hosts that bypass the proxy, in the format of `NO_PROXY`.
    exempt_hosts: String,
}

impl Proxy {
    /// `None` if no variable is set. The system's settings then apply, for example on a Mac.
    pub(super) fn from_env(env: &Env) -> Option<Self> {
        let is_set = |name: &&str| env.var(name).is_some() || env.is_not_utf8(name);
        let variable = PROXY_VARIABLES.into_iter().find(is_set)?;
        let exempt_hosts = NO_PROXY_VARIABLES.into_iter().find_map(|name| env.var(name)).unwrap_or_default();
        let address = env.var(variable).and_then(parse_address);
        Some(Self { variable, address, exempt_hosts: exempt_hosts.to_owned() })
    }

    /// Fails if requests to this URL need the proxy but its address is invalid.
    pub(super) fn check(&self, url: &Url) -> Result<(), Failure> {
        // The HTTP library matches NO_PROXY with the same type. The address here is only a placeholder.
        let matcher = Matcher::builder().https("http://proxy").no(&self.exempt_hosts).build();
        let is_needed = || url.as_str().parse::<Uri>().is_ok_and(|uri| matcher.intercept(&uri).is_some());
        if self.address.is_none() && is_needed() {
            let problem =
                text!("does not contain the address of an HTTP proxy, such as http://proxy.example.com:3128");
            return Err(Failure::InvalidVariable { name: self.variable, problem });
        }
        Ok(())
    }

    pub(super) fn for_client(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        // With an invalid address, `check` accepts only hosts in NO_PROXY. A redirect to another host then fails.
        let address = self.address.as_ref().map_or("http://proxy.invalid", Url::as_str);
        Ok(reqwest::Proxy::https(address)?.no_proxy(NoProxy::from_string(&self.exempt_hosts)))
    }
}

/// Parses `host`, optionally with a scheme (http or https) and a user before it, and a port after it.
fn parse_address(value: &str) -> Option<Url> {
    let url = match Url::parse(value) {
        Ok(url) if url.has_host() => url,
        // Without a scheme, the host in `proxy:3128` is parsed as a scheme.
        Ok(_) | Err(ParseError::RelativeUrlWithoutBase) => Url::parse(&format!("http://{value}")).ok()?,
        Err(_) => return None,
    };
    Some(url).filter(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_with_an_optional_port_user_and_scheme() {
        for proxy in [
            "https://proxy.example.com",
            "http://user:pass@10.0.0.1:8080/",
            "user:p@ss@proxy:8080",
            "proxy.example.com:3128",
            "proxy",
            "http://[::1]:3128",
        ] {
            assert!(parse_address(proxy).is_some(), "{proxy}");
        }
        for wrong in ["http://", "proxy:99999", "ftp://proxy:21", "://proxy", "pr oxy:3128", "próxy:3128"] {
            assert!(parse_address(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_upper_case_variable_takes_precedence_unless_it_is_empty() {
        let vars = [("HTTPS_PROXY", "a"), ("https_proxy", "b"), ("NO_PROXY", ""), ("no_proxy", "c")];
        let proxy = Proxy::from_env(&Env::for_tests(&vars)).map(|proxy| (proxy.variable, proxy.exempt_hosts));
        assert_eq!(proxy, Some(("HTTPS_PROXY", "c".to_owned())));
    }
}
