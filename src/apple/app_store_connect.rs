//! The App Store Connect API, as far as it is asked what a key is good for.
//!
//! Source: <https://developer.apple.com/documentation/appstoreconnectapi>

use reqwest::Url;
use serde::Deserialize;

use crate::apple::bundle_id::is_app_id;

/// Lists apps; most roles may.
pub(crate) const APPS: &[&str] = &["v1", "apps"];

/// Lists bundle IDs: the Enterprise Program has no apps.
pub(crate) const BUNDLE_IDS: &[&str] = &["v1", "bundleIds"];

const CERTIFICATES: &[&str] = &["v1", "certificates"];

const USERS: &[&str] = &["v1", "users"];

/// The most that a list has on one page.
pub(crate) const PAGE: &str = "200";

/// The header that says how many requests are left, on every answer.
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/identifying-rate-limits>
pub(crate) const RATE_LIMIT: &str = "x-rate-limit";

/// What a key can be asked to show that it may do. Apple tells no key's role, but answers 403 where
/// it does not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Certificates, identifiers and profiles: that it may see them, not that it may make them.
    Provisioning,
    /// What only an Admin's key may.
    Admin,
}

impl Access {
    pub(crate) const ALL: [Self; 2] = [Self::Provisioning, Self::Admin];

    /// As the user types it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Admin => "admin",
        }
    }

    /// The list that shows it.
    #[must_use]
    pub(crate) fn list(self) -> &'static [&'static str] {
        match self {
            Self::Provisioning => CERTIFICATES,
            Self::Admin => USERS,
        }
    }
}

/// What a list endpoint answers with 200.
#[derive(Debug, Deserialize)]
pub(crate) struct Listing<T> {
    pub(crate) data: Vec<T>,
    #[serde(default)]
    links: PagedDocumentLinks,
    meta: Option<PagingInformation>,
}

/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/pageddocumentlinks>
#[derive(Debug, Default, Deserialize)]
struct PagedDocumentLinks {
    next: Option<String>,
}

/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/paginginformation>
#[derive(Debug, Deserialize)]
struct PagingInformation {
    paging: Paging,
}

#[derive(Debug, Deserialize)]
struct Paging {
    total: Option<usize>,
}

impl<T> Listing<T> {
    /// What leads to the next page. Only that is taken from the link: a token goes to no address
    /// that an answer names.
    #[must_use]
    pub(crate) fn cursor(&self) -> Option<String> {
        let next = Url::parse(self.links.next.as_deref()?).ok()?;
        next.query_pairs().find(|(name, _)| name == "cursor").map(|(_, cursor)| cursor.into_owned())
    }

    /// How many there are on all pages.
    #[must_use]
    pub(crate) fn total(&self) -> usize {
        let total = self.meta.as_ref().and_then(|meta| meta.paging.total);
        total.unwrap_or(0).max(self.data.len())
    }
}

/// An app, or in the Enterprise Program a bundle ID.
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/app>
#[derive(Debug, Deserialize)]
pub(crate) struct App {
    id: String,
    pub(crate) attributes: AppAttributes,
}

/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/bundleid>
#[derive(Debug, Deserialize)]
pub(crate) struct AppAttributes {
    #[serde(rename = "bundleId", alias = "identifier")]
    pub(crate) bundle_id: String,
    pub(crate) name: Option<String>,
}

impl App {
    /// The app's number in App Store Connect, which a bundle ID has not.
    #[must_use]
    pub(crate) fn id(&self) -> Option<&str> {
        Some(self.id.as_str()).filter(|id| is_app_id(id))
    }
}

/// What every endpoint answers with an error status.
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/errorresponse>
#[derive(Debug, Deserialize)]
struct ErrorResponse {
    errors: Vec<ApiError>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ApiError {
    pub(crate) code: String,
    title: Option<String>,
    detail: Option<String>,
}

impl ApiError {
    /// The first error, when the body is Apple's.
    #[must_use]
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let response: ErrorResponse = serde_json::from_slice(body).ok()?;
        response.errors.into_iter().next()
    }

    /// Whether the Account Holder has an agreement of the Developer Program to accept.
    #[must_use]
    pub(crate) fn is_agreement_missing(&self) -> bool {
        self.code.starts_with("FORBIDDEN.REQUIRED_AGREEMENTS")
    }

    /// Whether it says no more than that the key may not do this.
    #[must_use]
    pub(crate) fn is_of_the_role(&self) -> bool {
        self.code == "FORBIDDEN_ERROR"
    }

    /// Apple's own words, without the full stop.
    #[must_use]
    pub(crate) fn words(&self) -> &str {
        self.detail.as_deref().or(self.title.as_deref()).unwrap_or_default().trim_end().trim_end_matches('.')
    }
}

/// How many requests a key has in an hour, and how many are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
}

impl RateLimit {
    /// Reads `user-hour-lim:3500;user-hour-rem:500;`.
    #[must_use]
    pub(crate) fn read(header: &str) -> Option<Self> {
        let value = |name: &str| {
            let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once(':'));
            pairs.find(|(found, _)| *found == name)?.1.trim().parse().ok()
        };
        Some(Self { limit: value("user-hour-lim")?, remaining: value("user-hour-rem")? })
    }

    /// Whether less than a twentieth is left.
    #[must_use]
    pub(crate) fn is_nearly_used_up(self) -> bool {
        u64::from(self.remaining) * 20 < u64::from(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_is_low_below_a_twentieth() {
        let limit = |header| RateLimit::read(header).map(RateLimit::is_nearly_used_up);
        assert_eq!(limit("user-hour-lim:3500;user-hour-rem:175;"), Some(false));
        assert_eq!(limit("user-hour-lim:3500;user-hour-rem:174;"), Some(true));
        assert_eq!(limit("user-hour-rem:0; user-hour-lim:3500"), Some(true));
        for unknown in [
            "",
            "user-hour-lim:3500;",
            "user-hour-lim:x;user-hour-rem:1;",
            "user-hour-lim:-1;user-hour-rem:0",
        ] {
            assert_eq!(limit(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn only_the_cursor_of_the_next_page_is_taken() -> Result<(), serde_json::Error> {
        let page = r#"{"data": [], "links": {"next": "https://elsewhere.invalid/v1/apps?limit=2&cursor=a%2Bb"}, "meta": {"paging": {"total": 7, "limit": 2}}}"#;
        let listing: Listing<App> = serde_json::from_str(page)?;
        assert_eq!((listing.cursor().as_deref(), listing.total()), (Some("a+b"), 7));
        let last: Listing<App> = serde_json::from_str(r#"{"data": []}"#)?;
        assert_eq!((last.cursor(), last.total()), (None, 0));
        Ok(())
    }
}
