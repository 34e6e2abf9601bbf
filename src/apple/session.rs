//! A two-factor Apple ID session: the cookies of Apple's log-in.

use time::OffsetDateTime;

use crate::apple::cookie::{Cookie, CookieRecord, DamagedCookie, Defaults, cookies_from};

/// The origin of the cookies with which fastlane logs in: Apple's identity service.
pub(crate) const IDMSA_ORIGIN: &str = "https://idmsa.apple.com";
const IDMSA_HOST: &str = "idmsa.apple.com";

/// A session that fastlane can load.
#[derive(Debug, Clone)]
pub struct Session {
    pub cookies: Vec<Cookie>,
    /// When Apple asks for the second factor again, if that is known.
    pub expires_at: Option<OffsetDateTime>,
}

impl Session {
    /// Makes a session of a connected Apple ID's cookies, which Bitrise keeps under the origin of
    /// idmsa.apple.com.
    ///
    /// # Errors
    /// If fastlane can't load one of the cookies.
    pub fn from_connection(
        records: Vec<CookieRecord>,
        expires_at: Option<OffsetDateTime>,
    ) -> Result<Self, DamagedCookie> {
        let defaults = Defaults { domain: Some(IDMSA_HOST), is_restricted: false };
        let cookies = cookies_from(records, defaults)?;
        Ok(Self { cookies, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use crate::apple::cookie::Lifetime;
    use crate::timestamp;

    use super::*;

    type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

    fn connected(json: &str) -> Result<Session> {
        Ok(Session::from_connection(serde_json::from_str(json)?, None)?)
    }

    #[test]
    fn a_connected_cookie_keeps_its_flags_and_has_the_defaults_of_bitrise() -> Result {
        let session = connected(
            r#"[{"name":"a","value":"1","domain":".apple.com","path":"/x","secure":true,"httponly":false},
                {"name":"b","value":"2","domain":"idmsa.apple.com","for_domain":false,"httponly":true},
                {"name":"c","value":"3","domain":"apple.com"},
                {"name":"d","value":"4"}]"#,
        )?;
        let flags: Vec<_> = session
            .cookies
            .iter()
            .map(|c| (c.domain.as_str(), c.for_domain, c.path.as_str(), c.secure, c.httponly))
            .collect();
        assert_eq!(
            flags,
            [
                ("apple.com", true, "/x", true, false),
                ("idmsa.apple.com", false, "/", false, true),
                ("apple.com", true, "/", false, false),
                ("idmsa.apple.com", false, "/", false, false),
            ]
        );
        Ok(())
    }

    #[test]
    fn expires_overrides_max_age() -> Result {
        let session = connected(
            r#"[{"name":"a","value":"1","expires":"2026-12-01T08:00:00Z","max_age":5},
                {"name":"b","value":"1","max_age":5},
                {"name":"c","value":"1","expires":"soon"}]"#,
        )?;
        let lifetimes: Vec<_> = session.cookies.iter().map(|c| c.lifetime).collect();
        let until = timestamp::parse("2026-12-01T08:00:00Z").ok_or("no instant")?;
        let expected =
            [Lifetime::Until(until), Lifetime::Seconds { max_age: 5, created_at: None }, Lifetime::Session];
        assert_eq!(lifetimes, expected);
        Ok(())
    }
}
