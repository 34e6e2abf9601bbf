//! Chooses the proxy for a request.
//!
//! On its own, the HTTP library would silently bypass a proxy if `REQUEST_METHOD` is set (a rule for CGI
//! scripts), if the upper-case variable is empty but the lower-case one isn't, or if the value isn't the address
//! of a proxy. The Step uses the proxy in the first two cases and fails in the third.
//!
//! `NO_PROXY` takes precedence over `HTTPS_PROXY`, which takes precedence over `ALL_PROXY`. Each upper-case
//! name takes precedence over the lower-case one, as in Go and the HTTP library. `HTTP_PROXY` never applies,
//! because only https requests leave this machine.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::NoProxy;
use url::{ParseError, Url};

use crate::env::Env;
use crate::redact::text;

use super::failure::Failure;

const PROXY: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

pub(super) struct Proxy {
    variable: &'static str,
    /// Can contain a password. `None` if the value isn't the address of an HTTP proxy.
    address: Option<Url>,
    exempt: String,
}

impl Proxy {
    /// `None` if no variable is set. The system's own settings then apply, as on a Mac.
    pub(super) fn from_env(env: &Env) -> Option<Self> {
        let is_set = |name: &&&str| env.var(name).is_some() || env.is_not_utf8(name);
        let variable = PROXY.iter().find(is_set)?;
        let exempt = NO_PROXY.iter().find_map(|name| env.var(name)).unwrap_or_default().to_owned();
        Some(Self { variable, address: env.var(variable).and_then(parse_address), exempt })
    }

    /// Fails if requests to this URL need the proxy, and its address is invalid.
    pub(super) fn check(&self, url: &Url) -> Result<(), Failure> {
        // Interprets NO_PROXY as the HTTP library does, which doesn't expose this.
        let any_proxy = Matcher::builder().https("http://proxy").no(&self.exempt).build();
        let is_needed = || url.as_str().parse::<Uri>().is_ok_and(|uri| any_proxy.intercept(&uri).is_some());
        if self.address.is_none() && is_needed() {
            let problem =
                text!("does not contain the address of an HTTP proxy, such as http://proxy.example.com:3128");
            return Err(Failure::InvalidVariable { name: self.variable, problem });
        }
        Ok(())
    }

    pub(super) fn for_client(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        // With an invalid address, requests go only to hosts in NO_PROXY. A redirect to another host fails.
        let address = self.address.as_ref().map_or("http://proxy.invalid", Url::as_str);
        Ok(reqwest::Proxy::https(address)?.no_proxy(NoProxy::from_string(&self.exempt)))
    }
}

/// Parses `host`, optionally with a scheme (http or https) and a user before it, and a port after it.
fn parse_address(value: &str) -> Option<Url> {
    let url = match Url::parse(value) {
        Ok(url) if url.has_host() => url,
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
    fn an_invalid_address_is_an_error_unless_the_host_is_exempt() -> Result<(), ParseError> {
        assert!(Proxy::from_env(&Env::for_tests(&[("HTTP_PROXY", "a"), ("HTTPS_PROXY", "")])).is_none());
        let url = Url::parse("https://api.example.com/v1/apps")?;
        for (no_proxy, is_exempt) in [("example.com", true), ("*", true), ("other.com", false)] {
            let invalid = [("HTTPS_PROXY", "socks5://a:1"), ("https_proxy", "b")];
            let env = Env::for_tests(&[&invalid[..], &[("NO_PROXY", ""), ("no_proxy", no_proxy)]].concat());
            let checked = Proxy::from_env(&env).map(|proxy| proxy.check(&url).is_ok());
            assert_eq!(checked, Some(is_exempt), "{no_proxy}");
        }
        Ok(())
    }
}
