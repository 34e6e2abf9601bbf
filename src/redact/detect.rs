//! Recognizes text that may contain a secret.

use zeroize::Zeroizing;

/// Whether a value starts like a path: at the root, or in the home, working or parent folder.
pub(crate) fn is_path_like(value: &str) -> bool {
    ["/", "~/", "./", "../"].iter().any(|start| value.starts_with(start))
}

/// Whether text may contain a key or a session, even a damaged or encoded one. When in doubt, returns `true`.
#[must_use]
pub fn may_hold_secret(text: &str) -> bool {
    if ["PRIVATE KEY", "-----BEGIN", "FASTLANE_SESSION", "HTTP::Cookie", "myacinfo", "\"kty\""]
        .iter()
        .any(|mark| text.contains(mark))
    {
        return true;
    }
    // Joins the lines of wrapped base64.
    let joined = Zeroizing::new(text.replace("\\r", "").replace("\\n", ""));
    let mut compact = Zeroizing::new(String::with_capacity(joined.len()));
    compact.extend(joined.chars().filter(|c| !c.is_whitespace()));
    // Paths and base64 both contain slashes. In a path, each name is checked separately.
    let is_path = is_path_like(text);
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '=') || (c == '/' && !is_path);
    // Dashes and underscores are part of URL-safe base64, but also separate words in names.
    let is_url_safe_base64 = |c: char| is_base64(c) || matches!(c, '-' | '_');
    // The checksums that people put into names are shorter.
    let is_long_hex = |run: &str| run.len() > 40 && is_hex(run);
    let mut runs = compact.split(|c| !is_base64(c));
    runs.any(|run| is_random(run) || begins_like_key(run) || is_long_hex(run))
        || compact.split(|c| !is_url_safe_base64(c)).any(|run| run.len() >= 64 && is_random(run))
}

/// Whether text may contain a short secret in a known format: an app-specific password, a hexadecimal token, or
/// a URL with a user.
pub(super) fn may_hold_token(text: &str) -> bool {
    /// The length of an MD5 sum and of many tokens.
    const MIN_HEX: usize = 32;
    let has_user = |url: &str| {
        let url = url.trim_start_matches('/');
        let authority = url.split(|c: char| c == '/' || c.is_whitespace()).next().unwrap_or_default();
        authority.contains('@')
    };
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(contains_app_password)
        || text.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| run.len() >= MIN_HEX && is_hex(run))
        || text.split("//").skip(1).any(has_user)
}

/// Whether a value has the format of an app-specific password: four groups of four lower-case letters.
///
/// Source: <https://support.apple.com/102654>
pub(crate) fn is_app_password(value: &str) -> bool {
    value.len() == 19 && contains_app_password(value)
}

/// Whether four groups of four lower-case letters follow each other, perhaps among other groups.
fn contains_app_password(words: &str) -> bool {
    let mut groups = 0;
    words.split('-').any(|word| {
        let is_group = word.len() == 4 && word.bytes().all(|b| b.is_ascii_lowercase());
        groups = if is_group { groups + 1 } else { 0 };
        groups == 4
    })
}

/// Whether a run of base64 is too long and too mixed to be a name. A name in camel case changes between upper
/// case, lower case and digits once per word; random text changes at about every other character.
fn is_random(run: &str) -> bool {
    const MIN_LENGTH: usize = 24;
    let count = |class: fn(&u8) -> bool| run.bytes().filter(class).count();
    let (upper, lower, digits) =
        (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase), count(u8::is_ascii_digit));
    let class = |b: u8| (b.is_ascii_uppercase(), b.is_ascii_lowercase(), b.is_ascii_digit());
    let begins_word = |one: u8, next: u8| one.is_ascii_uppercase() && next.is_ascii_lowercase();
    let pairs = run.bytes().zip(run.bytes().skip(1));
    let changes = pairs.filter(|&(one, next)| class(one) != class(next) && !begins_word(one, next)).count();
    let is_mixed = upper >= 2 && lower >= 2 && digits >= 2 && changes * 5 >= run.len();
    // Words have few capital letters.
    let has_many_capitals = upper * 4 >= run.len() && lower * 4 >= run.len();
    run.len() >= MIN_LENGTH && (is_mixed || has_many_capitals)
}

fn is_hex(run: &str) -> bool {
    run.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a run begins like the base64 of an EC key's DER, of "-----BEGIN", or of a JSON object.
fn begins_like_key(run: &str) -> bool {
    run.len() >= 16
        && ["MIG", "MIH", "MHc", "LS0tLS1CRUdJTi", "eyJ"].iter().any(|start| run.starts_with(start))
}
