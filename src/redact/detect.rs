//! Recognizes text that may contain a secret.

use zeroize::Zeroizing;

/// Whether a value starts like a path: at the root, or in the home, working or parent folder.
pub(crate) fn is_path_like(value: &str) -> bool {
    ["/", "~/", "./", "../"].iter().any(|start| value.starts_with(start))
}

/// Whether text may contain a key or a session, even a damaged or encoded one. When in doubt, returns `true`.
#[must_use]
pub fn may_hold_secret(text: &str) -> bool {
    const MARKERS: [&str; 6] =
        ["PRIVATE KEY", "-----BEGIN", "FASTLANE_SESSION", "HTTP::Cookie", "myacinfo", "\"kty\""];
    if MARKERS.iter().any(|marker| text.contains(marker)) {
        return true;
    }
    // Joins the lines of wrapped base64, even if `\r` and `\n` are escaped.
    let joined = Zeroizing::new(text.replace("\\r", "").replace("\\n", ""));
    let mut compact = Zeroizing::new(String::with_capacity(joined.len()));
    compact.extend(joined.chars().filter(|c| !c.is_whitespace()));
    // Paths and base64 both contain slashes. In a path, each name is checked separately.
    let is_path = is_path_like(text);
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '=') || (c == '/' && !is_path);
    // Dashes and underscores are part of URL-safe base64, but also separate words in names, which are shorter.
    let is_url_safe_base64 = |c: char| is_base64(c) || matches!(c, '-' | '_');
    // People put checksums into names: an SHA-1 sum has 40 digits.
    let is_long_hex = |part: &str| part.len() > 40 && is_hex(part);
    let mut parts = compact.split(|c| !is_base64(c));
    parts.any(|part| is_random(part) || begins_like_key(part) || is_long_hex(part))
        || compact.split(|c| !is_url_safe_base64(c)).any(|part| part.len() >= 64 && is_random(part))
}

/// Whether text may contain a short secret in a known format: an app-specific password, a hexadecimal token, or
/// a URL with a user.
pub(super) fn may_hold_token(text: &str) -> bool {
    /// Many tokens are as long as an MD5 sum.
    const MIN_HEX: usize = 32;
    let begins_with_user = |after_slashes: &str| {
        let rest = after_slashes.trim_start_matches('/');
        let authority = rest.split(|c: char| c == '/' || c.is_whitespace()).next().unwrap_or_default();
        authority.contains('@')
    };
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(contains_app_password)
        || text.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part.len() >= MIN_HEX && is_hex(part))
        || text.split("//").skip(1).any(begins_with_user)
}

/// Whether a value has the format of an app-specific password: four groups of four lower-case letters.
///
/// Source: <https://support.apple.com/102654>
pub(crate) fn is_app_password(value: &str) -> bool {
    value.len() == 19 && contains_app_password(value)
}

/// Whether four consecutive groups between dashes have four lower-case letters each.
fn contains_app_password(text: &str) -> bool {
    let mut consecutive = 0;
    text.split('-').any(|group| {
        let is_match = group.len() == 4 && group.bytes().all(|b| b.is_ascii_lowercase());
        consecutive = if is_match { consecutive + 1 } else { 0 };
        consecutive == 4
    })
}

/// Whether a piece of base64 is too long and too mixed to be a name. A name in camel case changes between upper
/// case, lower case and digits once per word; random text changes at about every other character.
fn is_random(text: &str) -> bool {
    const MIN_LENGTH: usize = 24;
    let count = |is_counted: fn(&u8) -> bool| text.bytes().filter(is_counted).count();
    let (upper, lower, digits) =
        (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase), count(u8::is_ascii_digit));
    let class = |b: u8| (b.is_ascii_uppercase(), b.is_ascii_lowercase(), b.is_ascii_digit());
    let begins_word = |previous: u8, next: u8| previous.is_ascii_uppercase() && next.is_ascii_lowercase();
    let pairs = text.bytes().zip(text.bytes().skip(1));
    let is_change =
        |&(previous, next): &(u8, u8)| class(previous) != class(next) && !begins_word(previous, next);
    let changes = pairs.filter(is_change).count();
    let is_mixed = upper >= 2 && lower >= 2 && digits >= 2 && changes * 5 >= text.len();
    // In a name, fewer than a quarter of the letters are capitals.
    let has_many_capitals = upper * 4 >= text.len() && lower * 4 >= text.len();
    text.len() >= MIN_LENGTH && (is_mixed || has_many_capitals)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether base64 begins like an encoded EC key (DER), "-----BEGIN" or JSON object.
fn begins_like_key(base64: &str) -> bool {
    base64.len() >= 16
        && ["MIG", "MIH", "MHc", "LS0tLS1CRUdJTi", "eyJ"].iter().any(|start| base64.starts_with(start))
}
