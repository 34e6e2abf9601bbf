//! Turns values from outside the program into [`Text`], and hides what may be secret.

use std::io::{self, ErrorKind};
use std::path::Path;

use reqwest::Url;

use super::detect::{is_path_like, may_hold_secret, may_hold_token};
use super::{
    HIDDEN, MARKS, Text, UNTRUSTED_BACKTICK, UNTRUSTED_END, UNTRUSTED_START, is_invisible, normalize_spaces,
    one_line, text,
};

/// A path as a user typed it: shown if it looks like a path and no part of it looks like a secret. If only a
/// folder in it looks like a secret, the name of a key file is still shown.
pub(crate) fn path(path: &Path) -> Text {
    /// No path in a build is longer.
    const MAX_PATH: usize = 300;
    let Some(text) = path.to_str() else { return Text::hidden() };
    if text.len() > MAX_PATH || !is_path(text) || holds_credentials(text) || names_unusual_key(text) {
        Text::hidden()
    } else if !may_hold_secret(text) {
        verbatim(text)
    } else {
        key_file_name(text).map_or(Text::hidden(), |name| text!("{}/{}", HIDDEN, name))
    }
}

/// The path or URL of a file that the Step created in the temporary folder. Hidden if the file name contains a
/// key ID in an unusual format, which can be a secret in the wrong field.
pub(crate) fn own_path(path: &str) -> Text {
    if names_unusual_key(path) { Text::hidden() } else { verbatim(path) }
}

/// A URL: shown if it has no user, query or fragment, and nothing in it looks like a secret.
pub(crate) fn url(url: &Url) -> Text {
    if is_plain_url(url) { verbatim(url.as_str()) } else { Text::hidden() }
}

/// The scheme, host and port of a URL; "its server" for a URL that is hidden, because the Bitrise CLI does not
/// redact parts of a Secret.
pub(crate) fn site(url: &Url) -> Text {
    if is_plain_url(url) { verbatim(&url.origin().ascii_serialization()) } else { text!("its server") }
}

/// An e-mail address: its first letter and its domain, enough to tell accounts apart.
pub(crate) fn email(address: &str) -> Text {
    /// The maximum length of a host name (RFC 1035).
    const MAX_DOMAIN: usize = 253;
    let Some((name, domain)) = address.split_once('@') else { return Text::hidden() };
    let is_domain = domain.len() <= MAX_DOMAIN
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty())
        && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    match name.chars().next() {
        Some(first) if is_domain && !first.is_control() && !may_hold_secret(domain) => {
            verbatim(&format!("{first}***@{domain}"))
        }
        _ => Text::hidden(),
    }
}

/// A value in a format that rules out a secret, such as a UUID or a number. Hidden if it has another format.
#[must_use]
pub fn checked(value: &str, has_format: fn(&str) -> bool) -> Text {
    if has_format(value) { verbatim(value) } else { Text::hidden() }
}

/// Text that a service sent, such as a team's name or an error: at most `max` characters, hidden if it may
/// hold a secret.
pub(crate) fn service_text(text: &str, max: usize) -> Text {
    let visible: String = text.chars().filter(|&c| !is_invisible(c)).collect();
    if [text, &visible].into_iter().any(|text| may_hold_secret(text) || may_hold_token(text)) {
        return Text::hidden();
    }
    let mut rest = text.chars();
    let mut start: String = rest.by_ref().take(max).collect();
    if rest.next().is_some() {
        start.push('…');
    }
    verbatim(&normalize_spaces(&start))
}

/// A library's description of a failure, hidden if it may hold a secret. The libraries used here never include
/// the values that they received.
pub(crate) fn cause(error: &(dyn std::error::Error + 'static)) -> Text {
    let text = error.to_string();
    if may_hold_secret(&text) { Text::hidden() } else { verbatim(&text) }
}

/// The operating system's reason for an error. Completes a sentence.
#[must_use]
pub fn os(error: &io::Error) -> Text {
    match error.kind() {
        ErrorKind::NotFound => text!("it does not exist"),
        ErrorKind::PermissionDenied => text!("permission denied"),
        ErrorKind::StorageFull => text!("the disk is full"),
        ErrorKind::ReadOnlyFilesystem => text!("the disk is read-only"),
        ErrorKind::NotADirectory => text!("a part of its path is not a folder"),
        ErrorKind::IsADirectory => text!("it is a folder"),
        // Only an error with a code has the system's own message; others can contain any text.
        kind => Text(error.raw_os_error().map_or(kind.to_string(), |code| {
            let message = io::Error::from_raw_os_error(code).to_string();
            // Removes the number in `File too large (os error 27)`.
            message.split(" (os error").next().unwrap_or_default().to_lowercase()
        })),
    }
}

/// Whether a value is written as a path, or has the extension of a key or JSON file.
fn is_path(text: &str) -> bool {
    let is_key_file =
        |extension: &std::ffi::OsStr| ["p8", "pem", "json"].iter().any(|known| extension == *known);
    is_path_like(text) || (!text.contains(':') && Path::new(text).extension().is_some_and(is_key_file))
}

fn is_plain_url(url: &Url) -> bool {
    let path = url.path();
    // A user, a query or a fragment.
    !url.as_str().contains(['@', '?', '#'])
        && !holds_credentials(path)
        && !may_hold_secret(path)
        && !may_hold_token(path)
        && !names_unusual_key(path)
}

/// Whether a path contains parts of a URL that can be secrets: a user and password, or parameters.
fn holds_credentials(path: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    decoded.contains(['@', ';', '=', '?', '&'])
}

/// The IDs in names like `AuthKey_<ID>.p8`, anywhere in a path.
fn key_ids(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|name| ["AuthKey_", "ApiKey_"].iter().find_map(|kind| name.strip_prefix(kind)))
        .map(|id| id.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
}

/// Whether a file name in a path contains a key ID in an unusual format. Such an ID is hidden, because people
/// paste passwords into the key ID's field.
fn names_unusual_key(path: &str) -> bool {
    key_ids(path).any(|id| !is_usual_key_id(id))
}

/// Whether a value has the usual format of a key ID: 10 upper-case letters and digits.
pub(crate) fn is_usual_key_id(id: &str) -> bool {
    id.len() == 10 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The file name in a path, if it is exactly that of a key file.
fn key_file_name(path: &str) -> Option<Text> {
    let name = path.rsplit('/').next()?;
    let id = key_ids(name).next()?;
    ["AuthKey", "ApiKey"].iter().any(|kind| name == format!("{kind}_{id}.p8")).then(|| verbatim(name))
}

/// A value that can be shown, with its backticks and its ends marked. [`Text::mask`] still hides it if it
/// contains a secret of the run.
fn verbatim(value: &str) -> Text {
    let value = value.replace(MARKS, " ");
    let value = one_line(&value.replace('`', UNTRUSTED_BACKTICK.encode_utf8(&mut [0; 4])));
    Text(format!("{UNTRUSTED_START}{value}{UNTRUSTED_END}"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_path_is_shown_unless_a_part_of_it_looks_like_a_secret() {
        let shown = |text: &str| path(&PathBuf::from(text)).plain();
        for plain in [
            "~/keys/AuthKey_2X9R4HXF34.p8",
            "/Users/vagrant/NorthwindTradersReleaseBuildKeysFolder/AuthKey_2X9R4HXF34 (1).p8",
            "/Users/vagrant/iOSDistribution2024Certificates/AuthKey_2X9R4HXF34.p8",
            "./certs/key.pem",
            "AuthKey_2X9R4HXF34.p8",
            "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/AuthKey_2X9R4HXF34.p8",
            "/tmp/apple-services-connection-aB3dE6/AuthKey_2X9R4HXF34.p8",
        ] {
            assert_eq!(shown(plain), plain);
        }
        for hidden in [
            "/keys/MIGTAgEAMBMGByqGSM49AgEG",
            "~/wK7mZ2pQ9rT4vX8yB1nC5dF0.p8",
            "user:password.p8",
            "//jane:password@127.0.0.1/x.p8",
            "./a;sig=password/x.p8",
            "./ApiKey_correcthorse.p8",
        ] {
            assert_eq!(shown(hidden), HIDDEN, "{hidden}");
        }
        let odd = "/wK7mZ2pQ9rT4vX8yB1nC5dF0/AuthKey_2X9R4HXF34.p8";
        assert_eq!((shown(odd), own_path(odd).plain()), ("*****/AuthKey_2X9R4HXF34.p8".into(), odd.into()));
    }

    #[test]
    fn a_url_is_shown_whole_or_not_at_all() -> Result<(), url::ParseError> {
        let plain = Url::parse("https://example.com/keys/AuthKey_2X9R4HXF34.p8")?;
        assert_eq!(url(&plain).plain(), plain.as_str());
        assert_eq!(site(&plain).plain(), "https://example.com");
        for secret in [
            "https://token@example.com/key.p8",
            "https://example.com/key.p8#token",
            "https://example.com/wK7mZ2pQ9rT4vX8yB1nC5dF0/key.p8",
            "https://example.com/a%3Fsig%3Dpassword/key.p8",
            "https://example.com/0123456789abcdef0123456789abcdef/key.p8",
            "https://example.com/abcd-efgh-ijkl-mnop/key.p8",
            "file:///keys/AuthKey_hunter22.p8",
        ] {
            let secret = Url::parse(secret)?;
            assert_eq!((url(&secret).plain(), site(&secret).plain()), (HIDDEN.into(), "its server".into()));
        }
        Ok(())
    }

    #[test]
    fn an_email_address_is_masked_and_anything_else_is_hidden() {
        assert_eq!(email("jane@example.com").plain(), "j***@example.com");
        let long = format!("jane@{}.com", "x".repeat(250));
        for other in ["jane", "@example.com", "jane@host", "a@b@example.com", "jane@exa mple.com", &long] {
            assert_eq!(email(other).plain(), HIDDEN, "{other}");
        }
    }

    #[test]
    fn text_from_a_service_is_one_line_without_color_codes() {
        assert_eq!(service_text("a\x1b[31;1mb\nc\u{202e}d", 60).plain(), "a [31;1mb c d");
        let invisible = "a\u{ad}b\u{61c}c\u{200b}d\u{200f}e\u{2060}f\u{2064}g";
        assert_eq!(service_text(invisible, 60).plain(), "a b c d e f g");
        assert_eq!(service_text("abcdef", 3).plain(), "abc…");
    }

    #[test]
    fn text_from_a_service_is_hidden_when_it_looks_like_a_secret() {
        for secret in [
            "use (abcd-efgh-ijkl-mnop).",
            "pw-abcd-efgh-ijkl-mnop-",
            "abcd-ef\u{fe0f}gh-ijkl-m\u{3164}nop",
            "01234567\u{ad}89abcdef\u{2060}0123456789abcdef",
            "0123456789abcdef0123456789abcdef",
            "see https://user:pw@example.com/x",
            "https://token@example.com",
            "//bob:pw12@x.y",
        ] {
            assert_eq!(service_text(secret, 300).plain(), HIDDEN, "{secret}");
        }
        for plain in [
            "The API key in use does not allow this request",
            "jane@example.com",
            "57246542-96fe-1a63-e053-0824d011072a",
            "four-more-word-groups-with-more-caps",
            "https://developer.apple.com//account",
            "00008030-001A2B3C4D5E6F70",
        ] {
            assert_eq!(service_text(plain, 300).plain(), plain);
        }
    }
    #[test]
    fn os_errors_are_shown_without_their_error_code() {
        assert_eq!(os(&io::Error::from_raw_os_error(27)).plain(), "file too large");
    }
}
