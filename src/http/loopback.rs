//! Recognizes URLs that stay on this machine.

use reqwest::Url;

/// Whether a request to a URL stays on this machine, where plain http is allowed.
#[must_use]
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback_by_name_and_by_address() -> Result<(), url::ParseError> {
        for host in ["localhost", "127.0.0.1", "127.8.0.1", "[::1]"] {
            assert!(is_loopback(&Url::parse(&format!("http://{host}:8080/"))?), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "10.0.0.1", "0.0.0.0", "[::2]", "128.0.0.1"] {
            assert!(!is_loopback(&Url::parse(&format!("http://{host}:8080/"))?), "{host}");
        }
        Ok(())
    }
}
