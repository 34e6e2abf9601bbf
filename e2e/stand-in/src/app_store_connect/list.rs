//! Lists of resources, with filters, fields and pages.
//!
//! Supports these parameters of Apple's lists: one `fields[…]`, `filter[…]`, `limit` and `cursor`. Refuses all
//! others, as Apple refuses unknown parameters.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::error::Refusal;
use super::team::Resource;
use crate::route::{decode, encode};

/// The largest `limit`, and its default.
const MAX_LIMIT: usize = 200;
const DEFAULT_LIMIT: usize = 50;

/// The only filter that has a fixed set of values, and the only one that matches whole values.
const CERTIFICATE_TYPE: &str = "certificateType";

/// A list and its query parameters.
pub(super) struct List {
    /// The resources' type, which is also in the parameter `fields[<type>]`.
    pub kind: &'static str,
    /// The attributes that `filter[<name>]` accepts.
    pub filters: &'static [&'static str],
    /// The values of `fields`: attributes and relationships. Responses here never contain relationships.
    pub fields: &'static [&'static str],
}

/// <https://developer.apple.com/documentation/appstoreconnectapi/get-v1-apps>
pub(super) const APPS: List = List {
    kind: "apps",
    filters: &["bundleId", "name", "sku"],
    fields: &[
        "name",
        "bundleId",
        "sku",
        "primaryLocale",
        "isOrEverWasMadeForKids",
        "contentRightsDeclaration",
        "appInfos",
        "appStoreVersions",
        "betaGroups",
        "builds",
    ],
};

/// <https://developer.apple.com/documentation/appstoreconnectapi/get-v1-bundleids>, and the same in the
/// Enterprise Program API: <https://developer.apple.com/documentation/enterpriseprogramapi/bundle-ids>
pub(super) const BUNDLE_IDS: List = List {
    kind: "bundleIds",
    filters: &["identifier", "name", "platform", "seedId"],
    fields: &["name", "platform", "identifier", "seedId", "profiles", "bundleIdCapabilities", "app"],
};

/// <https://developer.apple.com/documentation/appstoreconnectapi/get-v1-certificates>, and the same in the
/// Enterprise Program API: <https://developer.apple.com/documentation/enterpriseprogramapi/certificates>
pub(super) const CERTIFICATES: List = List {
    kind: "certificates",
    filters: &["certificateType", "displayName", "serialNumber", "id"],
    fields: &[
        "name",
        "certificateType",
        "displayName",
        "serialNumber",
        "platform",
        "expirationDate",
        "certificateContent",
        "activated",
        "passTypeId",
    ],
};

/// The values of `filter[certificateType]`, in the order of Apple's error message that pull request 467 of
/// `codemagic-ci-cd/cli-tools` cites.
pub(super) const CERTIFICATE_TYPES: &[&str] = &[
    "APPLE_PAY",
    "APPLE_PAY_MERCHANT_IDENTITY",
    "APPLE_PAY_PSP_IDENTITY",
    "APPLE_PAY_RSA",
    "DEVELOPER_ID_KEXT",
    "DEVELOPER_ID_APPLICATION",
    "DEVELOPMENT",
    "DISTRIBUTION",
    "IDENTITY_ACCESS",
    "IOS_DEVELOPMENT",
    "IOS_DISTRIBUTION",
    "MAC_APP_DISTRIBUTION",
    "MAC_INSTALLER_DISTRIBUTION",
    "MAC_APP_DEVELOPMENT",
    "PASS_TYPE_ID",
    "PASS_TYPE_ID_WITH_NFC",
];

/// <https://developer.apple.com/documentation/appstoreconnectapi/get-v1-users>, and the same in the
/// Enterprise Program API: <https://developer.apple.com/documentation/enterpriseprogramapi/users>
pub(super) const USERS: List = List {
    kind: "users",
    filters: &["roles", "username"],
    fields: &[
        "username",
        "firstName",
        "lastName",
        "roles",
        "allAppsVisible",
        "provisioningAllowed",
        "visibleApps",
    ],
};

/// The parsed query of one request.
struct Query {
    filters: Vec<(String, Vec<String>)>,
    fields: Option<Vec<String>>,
    limit: usize,
    /// The number of resources on earlier pages.
    skipped: usize,
}

impl List {
    /// The body of the response: one page of the list. `url` is the list's URL without the query.
    pub(super) fn page(&self, resources: &[Resource], url: &str, query: &str) -> Result<Value, Refusal> {
        let parsed = self.parse(query)?;
        let matching: Vec<_> = resources.iter().filter(|resource| parsed.matches(resource)).collect();
        let page = matching.iter().skip(parsed.skipped).take(parsed.limit);
        let data: Vec<_> = page.map(|resource| self.entry(resource, &parsed, url)).collect();

        let own_url = if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") };
        let mut links = Map::from_iter([("self".to_owned(), json!(own_url))]);
        let end = parsed.skipped.saturating_add(data.len());
        if end < matching.len() {
            links.insert("next".to_owned(), json!(parsed.next_url(self, url, end)));
        }
        let paging = json!({"total": matching.len(), "limit": parsed.limit});
        Ok(json!({"data": data, "links": links, "meta": {"paging": paging}}))
    }

    fn entry(&self, resource: &Resource, query: &Query, url: &str) -> Value {
        let has_field =
            |name: &str| query.fields.as_ref().is_none_or(|fields| fields.iter().any(|f| f == name));
        let attributes: Map<_, _> = resource
            .attributes
            .iter()
            .filter(|(name, _)| has_field(name))
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        json!({
            "type": self.kind,
            "id": resource.id,
            "attributes": attributes,
            "links": {"self": format!("{url}/{}", resource.id)},
        })
    }

    fn parse(&self, query: &str) -> Result<Query, Refusal> {
        let mut parsed = Query { filters: Vec::new(), fields: None, limit: DEFAULT_LIMIT, skipped: 0 };
        let mut names: Vec<String> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let undecodable = || Refusal::invalid_parameter(name, "it is not percent-encoded UTF-8");
            let name = decode(name).ok_or_else(undecodable)?;
            let value = decode(value).ok_or_else(undecodable)?;
            if names.contains(&name) {
                return Err(Refusal::invalid_parameter(&name, "it was given more than once"));
            }
            self.parse_parameter(&mut parsed, &name, &value)?;
            names.push(name);
        }
        Ok(parsed)
    }

    fn parse_parameter(&self, parsed: &mut Query, name: &str, value: &str) -> Result<(), Refusal> {
        if name == format!("fields[{}]", self.kind) {
            let fields: Vec<_> = value.split(',').map(str::to_owned).collect();
            if let Some(unknown) = fields.iter().find(|field| !self.fields.contains(&field.as_str())) {
                let detail = format!("'{unknown}' is not a valid field name");
                return Err(Refusal::invalid_parameter(name, &detail));
            }
            parsed.fields = Some(fields);
        } else if let Some(filter) = name.strip_prefix("filter[").and_then(|rest| rest.strip_suffix(']')) {
            if !self.filters.contains(&filter) {
                let detail = format!("'{filter}' is not a valid filter type");
                return Err(Refusal::invalid_parameter(name, &detail));
            }
            let values: Vec<_> = value.split(',').map(str::to_owned).collect();
            if filter == CERTIFICATE_TYPE
                && let Some(unknown) =
                    values.iter().find(|value| !CERTIFICATE_TYPES.contains(&value.as_str()))
            {
                let known = CERTIFICATE_TYPES.join(", ");
                let detail = format!("'{unknown}' is not a valid filter value. Expected one of: {known}");
                return Err(Refusal::invalid_parameter(name, &detail));
            }
            parsed.filters.push((filter.to_owned(), values));
        } else if name == "limit" {
            let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
            let detail = format!("'{value}' is not a valid limit: it must be from 1 to {MAX_LIMIT}");
            parsed.limit = limit.ok_or_else(|| Refusal::invalid_parameter(name, &detail))?;
        } else if name == "cursor" {
            let detail = format!("'{value}' is not a valid cursor for this request");
            parsed.skipped = decode_cursor(value).ok_or_else(|| Refusal::invalid_parameter(name, &detail))?;
        } else {
            return Err(Refusal::illegal_parameter(name));
        }
        Ok(())
    }
}

impl Query {
    /// All filters except that for certificate types match substrings, as Apple's filter for bundle IDs does
    /// (`ittybittyapps/appstoreconnect-cli`'s issue 249; fastlane's `App.find` compares the results again).
    /// A filter with several values matches any of them.
    fn matches(&self, resource: &Resource) -> bool {
        self.filters.iter().all(|(name, values)| {
            let attribute = resource.attributes.iter().find(|(known, _)| known == name);
            let text = match attribute {
                Some((_, Value::String(text))) => text.to_ascii_lowercase(),
                Some((_, other)) => other.to_string().to_ascii_lowercase(),
                None => return false,
            };
            let is_match = |value: &String| {
                let value = value.to_ascii_lowercase();
                if name == CERTIFICATE_TYPE { text == value } else { text.contains(&value) }
            };
            values.iter().any(is_match)
        })
    }

    /// The URL of the next page: the same query with a cursor.
    fn next_url(&self, list: &List, url: &str, skipped: usize) -> String {
        let mut pairs = vec![("cursor".to_owned(), encode_cursor(skipped))];
        for (name, values) in &self.filters {
            pairs.push((format!("filter[{name}]"), values.join(",")));
        }
        if let Some(fields) = &self.fields {
            pairs.push((format!("fields[{}]", list.kind), fields.join(",")));
        }
        pairs.push(("limit".to_owned(), self.limit.to_string()));
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        format!("{url}?{}", pairs.join("&"))
    }
}

/// Cursors are opaque, like Apple's.
fn encode_cursor(skipped: usize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("after {skipped}"))
}

fn decode_cursor(cursor: &str) -> Option<usize> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("after ")?.parse().ok()
}
