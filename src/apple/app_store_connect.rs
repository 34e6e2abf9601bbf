//! The parts of the App Store Connect API that the Step uses: lists, errors and rate limits.
//!
//! Source: <https://developer.apple.com/documentation/appstoreconnectapi>

use reqwest::Url;
use serde::Deserialize;
use serde::de::IgnoredAny;
use time::OffsetDateTime;

use crate::timestamp;

/// The list of apps, which most roles can read. The name of a list is also the `type` of its resources.
pub(crate) const APPS: &str = "apps";

/// The list of bundle IDs, used for the Enterprise Program, which has no apps.
pub(crate) const BUNDLE_IDS: &str = "bundleIds";

/// A list that requires [`Access::Provisioning`].
pub(crate) const CERTIFICATES: &str = "certificates";

/// A list that requires [`Access::Admin`].
pub(crate) const USERS: &str = "users";

/// The maximum for the parameter `limit`.
pub(crate) const MAX_PAGE_SIZE: &str = "200";

/// The header with the number of requests left. Every response has it.
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/identifying-rate-limits>
pub(crate) const RATE_LIMIT: &str = "x-rate-limit";

/// Access that a build needs. Apple's API doesn't return a key's role, but answers 403 if the role is too low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reading certificates, identifiers and profiles. The check doesn't show whether the key can also create them.
    Provisioning,
    /// Everything that requires the role Admin.
    Admin,
}

impl Access {
    pub(crate) const ALL: [Self; 2] = [Self::Provisioning, Self::Admin];

    /// As users write it in `required_access`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Admin => "admin",
        }
    }
}

/// Reads `T` only from a JSON object. By default, serde also reads a struct from an array of its fields, but not if one
/// of them is flattened.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Object<T> {
    #[serde(flatten)]
    pub(crate) fields: T,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<A> {
    data: Vec<Object<Resource<A>>>,
    links: Object<PagedDocumentLinks>,
    errors: Option<IgnoredAny>,
}

/// An entry of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Resource<A> {
    #[serde(rename = "type")]
    kind: String,
    pub(crate) id: String,
    pub(crate) attributes: A,
}

/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/pageddocumentlinks>
#[derive(Debug, Deserialize)]
struct PagedDocumentLinks {
    #[serde(rename = "self")]
    _this_page: String,
    next: Option<String>,
}

/// Where a list continues after a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextPage {
    /// The page is the last one.
    None,
    Cursor(String),
    /// The link to the next page is not a URL with a cursor.
    Unknown,
}

impl<A: for<'de> Deserialize<'de>> Page<A> {
    /// Reads a page of `list`. Returns `None` if it isn't in Apple's format.
    pub(crate) fn read(body: &[u8], list: &str) -> Option<Self> {
        let page = serde_json::from_slice::<Object<Self>>(body).ok()?.fields;
        let types_match = page.data.iter().all(|resource| resource.fields.kind == list);
        (page.errors.is_none() && types_match).then_some(page)
    }

    /// Reads the cursor from the link to the next page. Ignores the rest of the link, so that the token is only
    /// sent to the address that the Step knows.
    pub(crate) fn next(&self) -> NextPage {
        let Some(link) = &self.links.fields.next else { return NextPage::None };
        let cursor = Url::parse(link).ok().and_then(|link| {
            link.query_pairs().find(|(name, _)| name == "cursor").map(|(_, cursor)| cursor.into_owned())
        });
        cursor.map_or(NextPage::Unknown, NextPage::Cursor)
    }

    pub(crate) fn into_resources(self) -> impl Iterator<Item = Resource<A>> {
        self.data.into_iter().map(|resource| resource.fields)
    }
}

/// The attributes of an app, or of a bundle ID.
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/app>,
/// <https://developer.apple.com/documentation/appstoreconnectapi/bundleid>
#[derive(Debug, Deserialize)]
pub(crate) struct AppAttributes {
    #[serde(rename = "bundleId", alias = "identifier")]
    pub(crate) bundle_id: String,
    pub(crate) name: Option<String>,
}

/// An app, whose `id` is its number in App Store Connect, or an entry of [`BUNDLE_IDS`] for the Enterprise Program.
pub(crate) type App = Resource<AppAttributes>;

/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/certificate>
#[derive(Debug, Deserialize)]
pub(crate) struct CertificateAttributes {
    #[serde(rename = "expirationDate")]
    expiration_date: Option<String>,
}

impl CertificateAttributes {
    /// When the certificate expires. Apple's offset can lack the colon, as in `2020-02-12T13:17:50.000+0000`
    /// (`tests/apple/resources/mocks/certificate.json` in <https://github.com/codemagic-ci-cd/cli-tools>).
    pub(crate) fn expires_at(&self) -> Option<OffsetDateTime> {
        timestamp::parse(&self.expiration_date.as_ref()?.replace("+0000", "Z"))
    }
}

/// The parts of Apple's error codes before the first dot.
///
/// From <https://developer.apple.com/documentation/appstoreconnectapi/parsing-the-error-response-code>, and
/// from responses in public reports: `egodigital/node-appstore-connect` issue 3 (`NOT_AUTHORIZED`),
/// `AvdLee/appstoreconnect-swift-sdk` issues 101 (`FORBIDDEN`), 182 (`FORBIDDEN_ERROR`) and 239
/// (`RATE_LIMIT_EXCEEDED`), `MortenGregersen/Bagbutik` issue 181 (`PARAMETER_ERROR`).
const CODE_FAMILIES: [&str; 7] = [
    "ENTITY_ERROR",
    "FORBIDDEN",
    "FORBIDDEN_ERROR",
    "NOT_AUTHORIZED",
    "NOT_FOUND",
    "PARAMETER_ERROR",
    "RATE_LIMIT_EXCEEDED",
];

/// The errors in a response, one or more.
/// Source: <https://developer.apple.com/documentation/appstoreconnectapi/errorresponse>
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorResponse {
    errors: Vec<Object<ApiError>>,
}

#[derive(Debug, Deserialize)]
struct ApiError {
    status: String,
    code: String,
    title: String,
    detail: Option<String>,
}

impl ErrorResponse {
    /// Reads the body of a response with this status. Returns `None` if it isn't in Apple's format, or if no code
    /// fits the status: proxies also send errors in JSON.
    pub(crate) fn read(status: u16, body: &[u8]) -> Option<Self> {
        let response = serde_json::from_slice::<Object<Self>>(body).ok()?.fields;
        let fits_status = |error: &ApiError| {
            let family = error.code.split('.').next().unwrap_or_default();
            error.status == status.to_string()
                && match status {
                    401 => family == "NOT_AUTHORIZED",
                    403 => ["FORBIDDEN", "FORBIDDEN_ERROR"].contains(&family),
                    _ => CODE_FAMILIES.contains(&family),
                }
        };
        Some(response).filter(|response| response.iter().any(fits_status))
    }

    fn iter(&self) -> impl Iterator<Item = &ApiError> {
        self.errors.iter().map(|error| &error.fields)
    }

    /// Whether the Account Holder has to accept an agreement of the Developer Program.
    pub(crate) fn is_agreement_missing(&self) -> bool {
        // In 2026, Apple's codes for this begin with one of these.
        let codes = ["FORBIDDEN.REQUIRED_AGREEMENTS", "FORBIDDEN_ERROR.PLA_"];
        // Other responses only name the agreement in the text, as in `AvdLee/appstoreconnect-swift-sdk` issue 101.
        let agreement = "Program License Agreement";
        self.iter().any(|error| {
            codes.iter().any(|code| error.code.starts_with(code))
                || error.title.contains(agreement)
                || error.detail_or_title().contains(agreement)
        })
    }

    /// Whether every error says that the key's role doesn't allow the request.
    pub(crate) fn is_role_too_low(&self) -> bool {
        self.iter().all(ApiError::is_role_too_low)
    }

    /// The code and detail of the first error that isn't about the key's role, or else of the first error.
    pub(crate) fn code_and_detail(&self) -> (&str, &str) {
        let error = self.iter().find(|error| !error.is_role_too_low()).or_else(|| self.iter().next());
        error.map_or(("", ""), |error| (&error.code, error.detail_or_title()))
    }
}

impl ApiError {
    /// Checks the detail too, because the same code can mean something else, such as an expired membership.
    fn is_role_too_low(&self) -> bool {
        self.status == "403"
            && self.code == "FORBIDDEN_ERROR"
            && self.detail_or_title().contains("does not allow this request")
    }

    /// Apple's description of the error, without the full stop.
    fn detail_or_title(&self) -> &str {
        let detail = self.detail.as_deref().filter(|detail| !detail.trim().is_empty());
        detail.unwrap_or(&self.title).trim_end().trim_end_matches('.')
    }
}

/// How many requests a key can make per hour, and how many of them are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
}

impl RateLimit {
    /// Reads `user-hour-lim:3500;user-hour-rem:500;`.
    pub(crate) fn read(header: &str) -> Option<Self> {
        let read_number = |name: &str| {
            let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once(':'));
            pairs.find(|(key, _)| *key == name)?.1.trim().parse().ok()
        };
        Some(Self { limit: read_number("user-hour-lim")?, remaining: read_number("user-hour-rem")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_needs_both_numbers_in_any_order() {
        let expected = RateLimit { limit: 3500, remaining: 0 };
        assert_eq!(RateLimit::read("user-hour-rem:0; user-hour-lim:3500"), Some(expected));
        assert_eq!(RateLimit::read("user-hour-lim:3500;"), None);
    }

    /// `tests/step/account.rs` tests links without a cursor, and links to another host.
    #[test]
    fn only_a_response_in_apples_format_is_a_page_and_its_cursor_is_decoded() {
        let app = r#"{"type": "apps", "id": "1", "attributes": {"bundleId": "com.example.app"}}"#;
        let links =
            r#""links": {"self": "x", "next": "https://elsewhere.invalid/v1/apps?limit=2&cursor=a%2Bb"}"#;
        let read = |body: &str| Page::<AppAttributes>::read(body.as_bytes(), APPS);
        let next = read(&format!(r#"{{"data": [{app}], {links}}}"#)).map(|page| page.next());
        assert_eq!(next, Some(NextPage::Cursor("a+b".to_owned())));
        for foreign in [
            "{}".to_owned(),
            r#"{"data": []}"#.to_owned(),
            format!(r#"[[{app}], {{"self": "x"}}, null]"#),
            format!(r#"{{"data": ["please log in"], {links}}}"#),
            format!(r#"{{"data": [{{"type": "login"}}], {links}}}"#),
            format!(r#"{{"data": [["apps", "1", {{"bundleId": "a.b"}}]], {links}}}"#),
            format!(r#"{{"data": [{}], {links}}}"#, app.replace("apps", "users")),
            format!(r#"{{"data": [{app}], {links}, "errors": []}}"#),
        ] {
            assert!(read(&foreign).is_none(), "{foreign}");
        }
    }

    /// `tests/step/verification.rs` tests codes that do not fit the status.
    #[test]
    fn errors_in_another_format_are_rejected() {
        let is_accepted = |body: &str| ErrorResponse::read(403, body.as_bytes()).is_some();
        let valid = r#"{"errors": [{"status": "403", "code": "FORBIDDEN_ERROR.NEW", "title": "t"}]}"#;
        assert!(is_accepted(valid));
        for foreign in [
            r#"{"errors": []}"#,
            r#"{"errors": [{"code": "FORBIDDEN", "message": "Blocked by policy"}]}"#,
            r#"{"errors": [{"status": "403", "code": "FORBIDDENX", "title": "t"}]}"#,
            r#"{"errors": [{"status": "401", "code": "FORBIDDEN", "title": "t"}]}"#,
            r#"{"errors": [["403", "FORBIDDEN", "t"]]}"#,
            r#"[[{"status": "403", "code": "FORBIDDEN", "title": "t"}]]"#,
        ] {
            assert!(!is_accepted(foreign), "{foreign}");
        }
    }

    #[test]
    fn only_a_403_means_that_the_role_is_too_low() {
        for (status, expected) in [(403, true), (404, false)] {
            let title = "The API key in use does not allow this request";
            let error = format!(r#"{{"status": "{status}", "code": "FORBIDDEN_ERROR", "title": "{title}"}}"#);
            let errors = ErrorResponse::read(status, format!(r#"{{"errors": [{error}]}}"#).as_bytes());
            assert_eq!(errors.map(|errors| errors.is_role_too_low()), Some(expected), "{status}");
        }
    }
}
