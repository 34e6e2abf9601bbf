//! Turns untrusted values into [`Text`], and hides those that may be secret.

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
    /// Longer than any path in a build.
    const MAX_PATH: usize = 300;
    let Some(text) = path.to_str() else { return Text::hidden() };
    if text.len() > MAX_PATH
        || !is_path_or_key_file(text)
        || holds_credentials(text)
        || has_unusual_key_id(text)
    {
        Text::hidden()
    } else if may_hold_secret(text) {
        key_file_name(text).map_or(Text::hidden(), |name| text!("{}/{}", HIDDEN, name))
    } else {
        verbatim(text)
    }
}

/// The path or URL of a file that the Step created in the temporary folder. Hidden if [`has_unusual_key_id`].
pub(crate) fn own_path(path: &str) -> Text {
    if has_unusual_key_id(path) { Text::hidden() } else { verbatim(path) }
}

/// A URL: shown if it has no user, query or fragment, and nothing in its path looks like a secret.
pub(crate) fn url(url: &Url) -> Text {
    if is_plain_url(url) { verbatim(url.as_str()) } else { Text::hidden() }
}

/// The scheme, host and port of a URL. If [`url()`] hides the URL, "its server": the URL can be a Bitrise Secret, and
/// the CLI does not redact a part of one.
pub(crate) fn site(url: &Url) -> Text {
    if is_plain_url(url) { verbatim(&url.origin().ascii_serialization()) } else { text!("its server") }
}

/// An email address: its first letter and its domain, enough to tell accounts apart.
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

/// Text that a service sent, such as a team's name or an error: at most `max_chars` characters, hidden if it may
/// hold a secret.
pub(crate) fn service_text(text: &str, max_chars: usize) -> Text {
    let visible: String = text.chars().filter(|&c| !is_invisible(c)).collect();
    if [text, &visible].into_iter().any(|text| may_hold_secret(text) || may_hold_token(text)) {
        return Text::hidden();
    }
    let mut rest = text.chars();
    let mut start: String = rest.by_ref().take(max_chars).collect();
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

/// Whether a value is written as a path, or is a file name with the extension of a key or JSON file.
fn is_path_or_key_file(text: &str) -> bool {
    let is_key_file =
        |extension: &std::ffi::OsStr| ["p8", "pem", "json"].iter().any(|known| extension == *known);
    is_path_like(text) || (!text.contains(':') && Path::new(text).extension().is_some_and(is_key_file))
}

fn is_plain_url(url: &Url) -> bool {
    let path = url.path();
    // They mark a user, a query and a fragment.
    !url.as_str().contains(['@', '?', '#'])
        && !holds_credentials(path)
        && !may_hold_secret(path)
        && !may_hold_token(path)
        && !has_unusual_key_id(path)
}

/// Whether a path contains parts of a URL that can be secrets: a user and password, or parameters.
fn holds_credentials(path: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    decoded.contains(['@', ';', '=', '?', '&'])
}

/// The key IDs in a path: those of all files and folders with a name like `AuthKey_<ID>.p8`.
fn key_ids(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|name| ["AuthKey_", "ApiKey_"].iter().find_map(|prefix| name.strip_prefix(prefix)))
        .map(|id| id.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
}

/// Whether a path contains a key ID in an unusual format. It could be a password that someone pasted into the field
/// for the key ID.
fn has_unusual_key_id(path: &str) -> bool {
    key_ids(path).any(|id| !is_usual_key_id(id))
}

/// Whether a value has the usual format of a key ID: 10 upper-case letters and digits.
pub(crate) fn is_usual_key_id(id: &str) -> bool {
    id.len() == 10 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The file name in a path, if it is exactly `AuthKey_<ID>.p8` or `ApiKey_<ID>.p8`.
fn key_file_name(path: &str) -> Option<Text> {
    let name = path.rsplit('/').next()?;
    let id = key_ids(name).next()?;
    ["AuthKey", "ApiKey"].iter().any(|prefix| name == format!("{prefix}_{id}.p8")).then(|| verbatim(name))
}

/// Shows a value in full, with its start, its end and its backticks marked as untrusted. [`Text::mask`] still hides it
/// if it contains a secret of the run.
fn verbatim(value: &str) -> Text {
    let value = value.replace(MARKS, " ");
    let value = one_line(&value.replace('`', UNTRUSTED_BACKTICK.encode_utf8(&mut [0; 4])));
    Text(format!("{UNTRUSTED_START}{value}{UNTRUSTED_END}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_unless_a_part_of_it_looks_like_a_secret() {
        let show = |text: &str| path(Path::new(text)).plain();
        for harmless in [
            "~/keys/AuthKey_2X9R4HXF34.p8",
            "/Users/vagrant/NorthwindTradersReleaseBuildKeysFolder/AuthKey_2X9R4HXF34 (1).p8",
            "/Users/vagrant/iOSDistribution2024Certificates/AuthKey_2X9R4HXF34.p8",
            "./certs/key.pem",
            "AuthKey_2X9R4HXF34.p8",
            "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/AuthKey_2X9R4HXF34.p8",
        ] {
            assert_eq!(show(harmless), harmless);
        }
        for suspicious in [
            "/keys/MIGTAgEAMBMGByqGSM49AgEG",
            "~/wK7mZ2pQ9rT4vX8yB1nC5dF0.p8",
            "user:password.p8",
            "//jane:password@127.0.0.1/x.p8",
            "./a;sig=password/x.p8",
            "./ApiKey_correcthorse.p8",
        ] {
            assert_eq!(show(suspicious), HIDDEN, "{suspicious}");
        }
        let in_random_folder = "/wK7mZ2pQ9rT4vX8yB1nC5dF0/AuthKey_2X9R4HXF34.p8";
        assert_eq!(show(in_random_folder), "*****/AuthKey_2X9R4HXF34.p8");
        assert_eq!(own_path(in_random_folder).plain(), in_random_folder);
    }

    #[test]
    fn a_url_is_shown_in_full_or_not_at_all() -> Result<(), url::ParseError> {
        let plain = Url::parse("https://example.com/keys/AuthKey_2X9R4HXF34.p8")?;
        assert_eq!(url(&plain).plain(), plain.as_str());
        assert_eq!(site(&plain).plain(), "https://example.com");
        for secret in [
            "https://token@example.com/key.p8",
            "https://example.com/key.p8#token",
            "https://example.com/wK7mZ2pQ9rT4vX8yB1nC5dF0/key.p8",
            "https://example.com/a%3Fsig%3Dpassword/key.p8",
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
        let too_long = format!("jane@{}.com", "x".repeat(250));
        for other in ["jane", "@example.com", "jane@host", "a@b@example.com", "jane@exa mple.com", &too_long]
        {
            assert_eq!(email(other).plain(), HIDDEN, "{other}");
        }
    }

    #[test]
    fn text_from_a_service_is_one_short_line_without_control_characters() {
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
            "see https://user:pw@example.com/x",
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
