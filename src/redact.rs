//! What may be shown: the one way for text into a log line, an error or the summary.
//!
//! All three take nothing but [`Text`], and a [`Text`] is made of this program's own words and of
//! values whose types are [`Show`]. A `String` is not, so what a user, a file or a service wrote
//! has to pass one of the functions here first; each says what it lets through.
//!
//! A value from outside is shown whole or as [`HIDDEN`], never in part: the Bitrise CLI redacts
//! the Secrets that it knows as a whole, and no longer recognises a piece of one.
//!
//! ```compile_fail
//! let from_outside = String::from("-----BEGIN PRIVATE KEY-----");
//! apple_services_connection::text!("The key is {}.", from_outside);
//! ```

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use reqwest::Url;
use rustix::io::Errno;
use zeroize::Zeroizing;

/// Where users report a bug in the Step.
pub const ISSUES: &str = "https://github.com/bitrise-steplib/steps-apple-services-connection/issues";

/// Stands for a value that is not shown, as in the logs of Bitrise's own Steps.
pub const HIDDEN: &str = "*****";

/// Text that may be shown: one line, with nothing secret in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(String);

impl Text {
    /// The text of something that is made of nothing but what may be shown.
    #[must_use]
    pub fn of(shown: &(impl Show + fmt::Display + ?Sized)) -> Self {
        Self::from_shown(format_args!("{shown}"))
    }

    /// For [`text!`], which has looked at every part. Nothing can pass for a colour code, or for
    /// a second line.
    #[doc(hidden)]
    #[must_use]
    pub fn from_shown(text: fmt::Arguments<'_>) -> Self {
        Self(one_line(&text.to_string()))
    }

    /// A value that is hidden.
    #[must_use]
    pub fn hidden() -> Self {
        Self(HIDDEN.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is read to its end at night, as the last red line has to be.
    #[must_use]
    pub(crate) fn is_short(&self) -> bool {
        const MAX_WORDS: usize = 45;
        self.0.split_whitespace().count() <= MAX_WORDS
    }

    /// Several, with this between them.
    #[must_use]
    pub fn join<'a>(texts: impl IntoIterator<Item = &'a Self>, between: &'static str) -> Self {
        Self(texts.into_iter().map(Self::as_str).collect::<Vec<_>>().join(between))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may stand in a [`Text`]: formatting it, or any part of it, tells no secret.
///
/// Never for `String`, nor for a `&str` that is not written in this program's sources.
pub trait Show {}

macro_rules! show {
    ($($type:ty),+ $(,)?) => { $(impl Show for $type {})+ };
}

show!(Text, &'static str, char, u8, u16, u32, u64, usize, i32, i64, f64);
show!(std::time::Duration, time::Duration, reqwest::StatusCode);

impl<T: Show> Show for Option<T> {}
impl<T: Show> Show for Vec<T> {}
impl<T: Show> Show for &T {}

/// A [`Text`] from a format string and values that are [`Show`]. They stand behind the format
/// string, never in it, so that each is looked at.
#[macro_export]
macro_rules! text {
    ($format:literal $(, $value:expr)* $(,)?) => {
        $crate::redact::Text::from_shown(::core::format_args!(
            ::core::concat!($format),
            $($crate::redact::may_be_shown(&$value)),*
        ))
    };
}

// Where it stands is where it is looked for.
pub use crate::text;

/// For [`text!`]: takes only what may be shown.
#[doc(hidden)]
pub const fn may_be_shown<T: Show + ?Sized>(value: &T) -> &T {
    value
}

/// Declares an error, an enum that derives `thiserror::Error`, whose sentences are made of nothing
/// but what may be shown: every field must be [`Show`].
macro_rules! sentences {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($body:tt)+ }) => {
        // As it is written: thiserror looks at where its tokens come from.
        $(#[$meta])*
        $vis enum $name { $($body)+ }

        impl $crate::redact::Show for $name {}

        $crate::redact::sentences!(@check $name { $($body)+ });
    };
    (@check $name:ident {
        $(
            $(#[$variant_meta:meta])*
            $variant:ident
            $({ $($(#[$field_meta:meta])* $field:ident: $field_type:ty),+ $(,)? })?
            $(($($(#[$tuple_meta:meta])* $tuple_type:ty),+ $(,)?))?
        ),+ $(,)?
    }) => {
        const _: () = {
            #[allow(dead_code, reason = "an error without fields has none to look at")]
            const fn may_be_shown<T: $crate::redact::Show + ?Sized>() {}
            $(
                $($(may_be_shown::<$field_type>();)+)?
                $($(may_be_shown::<$tuple_type>();)+)?
            )+
        };
    };
}
pub(crate) use sentences;

/// Why a run failed: the last red line of its log, one whole sentence or a few short ones.
#[derive(Debug)]
pub struct Failed {
    text: Text,
    details: Vec<Text>,
}

impl Failed {
    #[must_use]
    pub fn new(text: Text) -> Self {
        Self { text, details: Vec::new() }
    }

    /// With red lines of their own above the last one.
    #[must_use]
    pub fn with_details(details: Vec<Text>, text: Text) -> Self {
        Self { text, details }
    }

    /// Mentions in the last red line what stands above it, while that line stays short.
    #[must_use]
    pub(crate) fn mention(mut self, above: &Text) -> Self {
        let longer = text!("{} {}", self.text, above);
        if longer.is_short() {
            self.text = longer;
        }
        self
    }

    /// The last red line.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The red lines before the last one.
    #[must_use]
    pub fn details(&self) -> &[Text] {
        &self.details
    }

    /// The red lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = &Text> {
        self.details.iter().chain([&self.text])
    }
}

/// So that `?` takes every error that may be shown, and no other.
impl<E: Show + fmt::Display> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::new(Text::of(&error))
    }
}

/// A path: shown when it is written as one, and no name in it looks like a secret.
#[must_use]
pub fn path(path: &Path) -> Text {
    match path.to_str() {
        Some(text)
            if text.len() <= MAX_PATH
                && is_path(text)
                && !holds_login(text)
                && !may_hold_secret(text)
                && !names_odd_key(text) =>
        {
            outside(text)
        }
        _ => Text::hidden(),
    }
}

/// A URL: shown when it has neither user, query nor fragment, where secrets stand, and nothing
/// in it looks like one.
#[must_use]
pub fn url(url: &Url) -> Text {
    let is_plain = !holds_login(url.path())
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_plain && !may_hold_secret(url.path()) && !names_odd_key(url.path()) {
        outside(url.as_str())
    } else {
        Text::hidden()
    }
}

/// The server of a URL: scheme, host and port. Not named with a URL that is not shown, since a
/// part of a Secret is no longer redacted by the Bitrise CLI.
#[must_use]
pub fn site(of: &Url) -> Text {
    if url(of) == Text::hidden() {
        Text("its server".to_owned())
    } else {
        outside(&of.origin().ascii_serialization())
    }
}

/// An e-mail address: its first letter and its domain, when it is one. Enough to tell accounts
/// apart.
#[must_use]
pub fn email(address: &str) -> Text {
    let mut parts = address.split('@');
    let (Some(name), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else {
        return Text::hidden();
    };
    // As long as names of hosts can be (RFC 1035).
    if domain.len() > 253 {
        return Text::hidden();
    }
    let labels_filled = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
    let is_domain =
        labels_filled && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    match name.chars().next() {
        Some(first) if is_domain && !first.is_control() && !may_hold_secret(domain) => {
            outside(&format!("{first}***@{domain}"))
        }
        _ => Text::hidden(),
    }
}

/// A value whose form was checked to be one that no secret has, such as a UUID or a number.
#[must_use]
pub fn checked(value: &str, has_form: fn(&str) -> bool) -> Text {
    if has_form(value) { outside(value) } else { Text::hidden() }
}

/// What a service calls something, such as a team, an app or a device: at most `max` characters.
#[must_use]
pub fn named_by_service(name: &str, max: usize) -> Text {
    if may_hold_secret(name) {
        return Text::hidden();
    }
    let mut rest = name.chars();
    let mut start: String = rest.by_ref().take(max).collect();
    if rest.next().is_some() {
        start.push('…');
    }
    outside(&one_line(&start).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What a library says of a failure in its own words, which never repeat what it was given.
#[must_use]
pub fn cause(error: &(dyn std::error::Error + 'static)) -> Text {
    if let Some(what) = error.downcast_ref().and_then(short_of) {
        return what;
    }
    let text = error.to_string();
    if may_hold_secret(&text) { Text::hidden() } else { outside(&text) }
}

/// The file of this program's sources that a panic names.
#[must_use]
pub fn source_file(place: &std::panic::Location<'_>) -> Text {
    Text(one_line(place.file()))
}

/// What this process may have no more of, and which limit says so.
const SHORT_OF: [(Errno, &str); 2] = [
    (Errno::MFILE, "this process may open no more files: raise the limit, ulimit -n"),
    (Errno::AGAIN, "this user may start no more threads and processes: raise the limit, ulimit -u"),
];

/// What the machine was short of when a library gave up, by the operating system's message in its
/// panic. Of the message itself nothing is shown.
#[must_use]
pub fn shortage(message: &str) -> Option<Text> {
    let is_said = |error: Errno| {
        let text = io::Error::from(error).to_string();
        message.contains(text.split(" (os error").next().unwrap_or(&text))
    };
    SHORT_OF.iter().find(|(error, _)| is_said(*error)).map(|(_, what)| Text((*what).to_owned()))
}

fn short_of(error: &io::Error) -> Option<Text> {
    // Some libraries put the error of the operating system into one of their own.
    let inner = error.get_ref().and_then(|error| error.source()?.downcast_ref::<io::Error>());
    let number = error.raw_os_error().or(inner.and_then(io::Error::raw_os_error))?;
    let (_, what) = SHORT_OF.iter().find(|(short, _)| short.raw_os_error() == number)?;
    Some(Text((*what).to_owned()))
}

/// Why the operating system refused something.
#[must_use]
pub fn os(error: &io::Error) -> Text {
    if let Some(what) = short_of(error) {
        return what;
    }
    let text = match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::StorageFull => "the disk is full".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the disk is read-only".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a folder".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        // An error that the operating system did not number may carry anything.
        kind => error.raw_os_error().map_or(kind.to_string(), |code| {
            let text = io::Error::from_raw_os_error(code).to_string();
            // `File too large (os error 27)`: the number helps nobody.
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }),
    };
    Text(text)
}

/// Longer than any path of a build.
const MAX_PATH: usize = 300;

/// Whether a value is written as paths are: from the root, the home or the working folder on, or
/// with the ending of a key or JSON file.
fn is_path(text: &str) -> bool {
    let is_key_file = |ending: &std::ffi::OsStr| ["p8", "pem", "json"].iter().any(|known| ending == *known);
    is_path_like(text) || (!text.contains(':') && Path::new(text).extension().is_some_and(is_key_file))
}

/// Whether a value begins as paths do: from the root, the home or the working folder on.
#[must_use]
pub fn is_path_like(value: &str) -> bool {
    ["/", "~/", "./", "../"].iter().any(|start| value.starts_with(start))
}

/// Whether a path holds what belongs elsewhere in a URL: a user and a password before the host, or
/// parameters, in which secrets stand.
fn holds_login(path: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    decoded.contains(['@', ';', '=', '?', '&'])
}

/// Whether a file in a path is named for a key whose ID has another form than all key IDs have: such
/// an ID is hidden, since people paste passwords into that field, and so is what is made of it.
fn names_odd_key(path: &str) -> bool {
    let is_usual =
        |id: &str| id.len() == 10 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    path.split('/')
        .filter_map(|name| ["AuthKey_", "ApiKey_"].iter().find_map(|kind| name.strip_prefix(kind)))
        .any(|id| !is_usual(id.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()))
}

/// Stands for a backtick that came from outside, until the text is shown: the Step's own mark code
/// in the summary. Unicode keeps this character for such uses.
pub(crate) const OUTSIDE_BACKTICK: char = '\u{fdd0}';

/// A text from outside that was found fit to be shown.
fn outside(text: &str) -> Text {
    Text(one_line(&text.replace(OUTSIDE_BACKTICK, " ").replace('`', &OUTSIDE_BACKTICK.to_string())))
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect()
}

/// Line separators, and what turns the direction of writing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether text may hold a secret, whole, damaged or encoded again. Errs on the side of yes.
#[must_use]
pub fn may_hold_secret(text: &str) -> bool {
    if ["PRIVATE KEY", "-----BEGIN", "FASTLANE_SESSION", "HTTP::Cookie", "myacinfo", "\"kty\""]
        .iter()
        .any(|mark| text.contains(mark))
    {
        return true;
    }
    // Wrapped lines are one run.
    let joined = Zeroizing::new(text.replace("\\r", "").replace("\\n", ""));
    let mut compact = Zeroizing::new(String::with_capacity(joined.len()));
    compact.extend(joined.chars().filter(|c| !c.is_whitespace()));
    // A path has slashes, and base64 has some: each name in a path is looked at alone.
    let is_path = is_path_like(text);
    let separates =
        |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '=') || (matches!(c, '/') && !is_path));
    // Dashes and underscores are base64 in URLs, and separate words in names.
    let separates_url_safe = |c: char| separates(c) && !matches!(c, '-' | '_');
    compact.split(separates).any(|run| is_random(run) || begins_like_key(run))
        || compact.split(separates_url_safe).any(|run| run.len() >= 64 && is_random(run))
        || compact.split(separates).any(is_hex)
}

/// Whether a run of base64 is too long and too mixed to be a name.
fn is_random(run: &str) -> bool {
    let count = |of: fn(&u8) -> bool| run.bytes().filter(of).count();
    let mixed = [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit];
    let is_even = |class: fn(&u8) -> bool| count(class) * 4 >= run.len();
    run.len() >= 24
        && (mixed.into_iter().all(|class| count(class) >= 2)
            // Words have few capitals.
            || (is_even(u8::is_ascii_uppercase) && is_even(u8::is_ascii_lowercase)))
}

/// Whether a run is hexadecimal and longer than any checksum that people put into names.
fn is_hex(run: &str) -> bool {
    run.len() > 40 && run.bytes().all(|b| b.is_ascii_hexdigit())
}

/// How base64 begins of the DER of an EC key on P-256, of "-----BEGIN", and of a JSON object.
fn begins_like_key(run: &str) -> bool {
    run.len() >= 16
        && ["MIG", "MIH", "MHc", "LS0tLS1CRUdJTi", "eyJ"].iter().any(|start| run.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_path_is_shown_whole_or_not_at_all() {
        let shown = |text: &str| path(&PathBuf::from(text)).to_string();
        for plain in [
            "/Users/vagrant/git/fastlane/AuthKey_2X9R4HXF34.p8",
            "~/keys/AuthKey_2X9R4HXF34.p8",
            "/Users/vagrant/NorthwindTradersReleaseBuildKeysFolder/AuthKey_2X9R4HXF34 (1).p8",
            "./certs/key.pem",
            "AuthKey_2X9R4HXF34.p8",
            "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/AuthKey_2X9R4HXF34.p8",
            "/tmp/apple-services-connection-aB3dE6/AuthKey_2X9R4HXF34.p8",
        ] {
            assert_eq!(shown(plain), plain);
        }
        for hidden in [
            "hunter2",
            "MIGTAgEAMBMGByqGSM49AgEG.p8",
            "/keys/MIGTAgEAMBMGByqGSM49AgEG",
            "~/wK7mZ2pQ9rT4vX8yB1nC5dF0.p8",
            "/-----BEGIN PRIVATE KEY-----",
            "user:password.p8",
            "//jane:password@127.0.0.1/x.p8",
            "./a;sig=password/x.p8",
            "/keys/AuthKey_hunter22.p8",
            "./ApiKey_correcthorse.p8",
        ] {
            assert_eq!(shown(hidden), HIDDEN, "{hidden}");
        }
    }

    #[test]
    fn a_url_is_shown_whole_or_not_at_all() -> Result<(), url::ParseError> {
        let plain = Url::parse("https://example.com/keys/AuthKey_2X9R4HXF34.p8")?;
        assert_eq!(url(&plain).as_str(), plain.as_str());
        assert_eq!(site(&plain).as_str(), "https://example.com");
        for secret in [
            "https://example.com/key.p8?X-Amz-Signature=abc",
            "https://user:password@example.com/key.p8",
            "https://token@example.com/key.p8",
            "https://example.com/key.p8#token",
            "https://example.com/jane:password@x/key.p8",
            "https://example.com/a%3Fsig%3Dpassword/key.p8",
            "https://example.com/wK7mZ2pQ9rT4vX8yB1nC5dF0/key.p8",
            "file:///keys/AuthKey_hunter22.p8",
        ] {
            let secret = Url::parse(secret)?;
            assert_eq!((url(&secret).as_str(), site(&secret).as_str()), (HIDDEN, "its server"), "{secret}");
        }
        Ok(())
    }

    #[test]
    fn an_address_is_masked_and_what_is_none_is_hidden() {
        assert_eq!(email("jane@example.com").as_str(), "j***@example.com");
        assert_eq!(
            email(&format!("jane@{}.com", "x".repeat(250))).as_str(),
            HIDDEN,
            "longer than a name can be"
        );
        for none in ["jane", "@example.com", "jane@", "jane@host", "a@b@example.com", "jane@exa mple.com", ""]
        {
            assert_eq!(email(none).as_str(), HIDDEN, "{none}");
        }
    }

    #[test]
    fn text_is_one_line_without_colour_codes() {
        assert_eq!(named_by_service("a\x1b[31;1mb\nc\u{202e}d", 60).as_str(), "a [31;1mb c d");
        assert_eq!(named_by_service("abcdef", 3).as_str(), "abc…");
    }

    #[test]
    fn the_operating_systems_reasons_have_no_numbers() {
        assert_eq!(os(&io::Error::from_raw_os_error(2)).as_str(), "it does not exist");
        assert_eq!(os(&io::Error::from_raw_os_error(27)).as_str(), "file too large");
    }
}
