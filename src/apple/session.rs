//! A two-factor Apple ID session: the cookies of an Apple login.

use time::OffsetDateTime;

use crate::apple::cookie::{Cookie, CookieRecord, DamagedCookie, cookies_from};

/// Apple's identity service, to which the login cookies belong.
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
    /// Creates a session from the cookies of a connected Apple ID, which Bitrise stores under idmsa.apple.com.
    ///
    /// # Errors
    /// If fastlane can't load one of the cookies.
    pub fn from_connection(
        records: Vec<CookieRecord>,
        expires_at: Option<OffsetDateTime>,
    ) -> Result<Self, DamagedCookie> {
        Ok(Self { cookies: cookies_from(records, Some(IDMSA_HOST))?, expires_at })
    }
}
