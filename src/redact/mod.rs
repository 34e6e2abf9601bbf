//! Keeps secrets out of the log, errors and the summary.
//!
//! All three accept only [`Text`] and this program's own string literals. A [`Text`] is built from such literals
//! and from values whose types implement [`Show`]. `String` does not, so untrusted text (from users, files and
//! services) must first pass through a function of this module. Each function documents what it shows.
//!
//! Most of these functions show a value either in full or as [`HIDDEN`]: the Bitrise CLI redacts Bitrise Secrets,
//! but does not recognize a part of one.
//!
//! ```compile_fail
//! let untrusted = String::from("-----BEGIN PRIVATE KEY-----");
//! apple_services_connection::text!("The key is {}.", untrusted);
//! ```

mod detect;
mod untrusted;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

pub use detect::may_hold_secret;
pub(crate) use detect::{is_app_password, is_path_like};
pub(crate) use untrusted::{cause, email, is_usual_key_id, own_path, path, service_text, site, url};
pub use untrusted::{checked, os};

/// Where users report a bug in the Step.
pub const ISSUES: &str = "https://github.com/bitrise-steplib/steps-apple-services-connection/issues";

/// Replaces a value that is not shown, as in the logs of Bitrise's own Steps.
pub const HIDDEN: &str = "*****";

/// Text that can be shown: one line without secrets, with internal marks around its untrusted parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(String);

impl Text {
    /// The text of a value that can be shown.
    pub(crate) fn of(value: &(impl Show + fmt::Display + ?Sized)) -> Self {
        Self::from_checked(format_args!("{value}"))
    }

    /// For [`text!`], which checks every value. Replaces control characters, so that no value can imitate a
    /// color code or a second line.
    #[doc(hidden)]
    #[must_use]
    pub fn from_checked(text: fmt::Arguments<'_>) -> Self {
        Self(one_line(&text.to_string()))
    }

    pub(crate) fn hidden() -> Self {
        Self(HIDDEN.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is short enough for the last error line of a run. People skip longer lines.
    pub(crate) fn is_short(&self) -> bool {
        const MAX_WORDS: usize = 45;
        self.0.split_whitespace().count() <= MAX_WORDS
    }

    pub(crate) fn join(
        parts: impl IntoIterator<Item = impl Show + fmt::Display>,
        separator: &'static str,
    ) -> Self {
        Self(parts.into_iter().map(|part| Self::of(&part).0).collect::<Vec<_>>().join(separator))
    }

    /// Joins a list with commas, and with a conjunction before the last part: "a, b or c".
    pub(crate) fn list(
        parts: impl IntoIterator<Item = impl Show + fmt::Display>,
        conjunction: &'static str,
    ) -> Self {
        let mut parts: Vec<_> = parts.into_iter().map(|part| Self::of(&part)).collect();
        match parts.pop() {
            Some(last) if !parts.is_empty() => text!("{} {} {}", Self::join(parts, ", "), conjunction, last),
            only => only.unwrap_or_else(|| text!("")),
        }
    }

    /// Hides each untrusted part that contains one of the run's secrets.
    pub(crate) fn mask(self, secrets: &Secrets) -> Self {
        // The marks of starts and ends alternate, so every second part is untrusted.
        let parts = self.0.split([UNTRUSTED_START, UNTRUSTED_END]).enumerate();
        let mask_part = |(index, part)| if index % 2 == 1 && secrets.occur_in(part) { HIDDEN } else { part };
        Self(parts.map(mask_part).collect())
    }

    /// The text as a terminal shows it, without internal marks.
    pub(crate) fn plain(&self) -> String {
        remove_marks(&self.0)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Replaces a backtick in untrusted text: in the summary, only the Step's own backticks format code.
/// This character and the next two are Unicode noncharacters, reserved for such internal use.
pub(crate) const UNTRUSTED_BACKTICK: char = '\u{fdd0}';
/// Marks the start of an untrusted part, for [`Text::mask`]. The next character marks its end.
pub(crate) const UNTRUSTED_START: char = '\u{fdd1}';
pub(crate) const UNTRUSTED_END: char = '\u{fdd2}';
const MARKS: [char; 3] = [UNTRUSTED_BACKTICK, UNTRUSTED_START, UNTRUSTED_END];

/// Restores the backticks in the text of a [`Text`], and removes the other internal marks.
pub(crate) fn remove_marks(text: &str) -> String {
    text.replace(UNTRUSTED_BACKTICK, "`").replace([UNTRUSTED_START, UNTRUSTED_END], "")
}

/// The secrets of a run, which a service could repeat in its responses.
#[derive(Debug, Default)]
pub(crate) struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Adds a secret, unless it is so short that hiding it would hide ordinary words.
    pub(crate) fn add(&mut self, secret: &SecretString) {
        const MIN_BYTES: usize = 6;
        let secret = secret.expose_secret();
        if normalize_spaces(secret).len() >= MIN_BYTES {
            self.0.push(remove_spaces(secret).into());
        }
    }

    /// Whether the text contains a secret or, if it is truncated, ends with the start of one.
    fn occur_in(&self, text: &str) -> bool {
        /// Fewer bytes can also be the start of an ordinary word.
        const MIN_START_BYTES: usize = 4;
        let text = remove_spaces(&remove_marks(text));
        let truncated = text.strip_suffix('…');
        self.0.iter().map(ExposeSecret::expose_secret).any(|secret| {
            let starts = || (MIN_START_BYTES..secret.len()).filter_map(|end| secret.get(..end));
            text.contains(secret) || truncated.is_some_and(|text| starts().any(|start| text.ends_with(start)))
        })
    }
}

/// A type whose values can be part of a [`Text`]: formatting one reveals no secret.
///
/// Never implemented for `String`, nor for a `&str` that is not a literal of this program.
pub trait Show {}

macro_rules! show {
    ($($type:ty),+ $(,)?) => { $(impl Show for $type {})+ };
}

show!(Text, &'static str, u8, u16, u32, u64, usize, i32, i64, f64, std::time::Duration, reqwest::StatusCode);

impl<T: Show> Show for Option<T> {}
impl<T: Show> Show for &T {}

/// Builds a [`Text`] from a format string and values that are [`Show`]. `concat!` keeps the format string from
/// capturing variables, which the compiler would not check.
#[macro_export]
macro_rules! text {
    ($format:literal $(, $value:expr)* $(,)?) => {
        $crate::redact::Text::from_checked(::core::format_args!(
            ::core::concat!($format),
            $($crate::redact::require_show(&$value)),*
        ))
    };
}

// `macro_export` puts the macro at the crate's root, but it belongs to this module.
pub use crate::text;

/// Returns the value. [`text!`] calls it so that the compiler rejects values that are not [`Show`].
#[doc(hidden)]
pub const fn require_show<T: Show + ?Sized>(value: &T) -> &T {
    value
}

/// Declares an error enum that derives `thiserror::Error` and is [`Show`]: every field must be [`Show`].
macro_rules! error_messages {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($body:tt)+ }) => {
        // The enum is passed on unchanged, because thiserror depends on the spans of its tokens.
        $(#[$meta])*
        $vis enum $name { $($body)+ }

        impl $crate::redact::Show for $name {}

        $crate::redact::error_messages!(@check $name { $($body)+ });
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
            $(
                $($(let _ = $crate::redact::require_show::<$field_type>;)+)?
                $($(let _ = $crate::redact::require_show::<$tuple_type>;)+)?
            )+
        };
    };
}
pub(crate) use error_messages;

/// The error of a failed run.
#[derive(Debug)]
pub struct FatalError {
    /// The last error line.
    pub text: Text,
    /// The error lines above it.
    pub details: Vec<Text>,
}

impl FatalError {
    #[must_use]
    pub fn new(text: Text) -> Self {
        Self { text, details: Vec::new() }
    }

    pub fn lines(&self) -> impl Iterator<Item = &Text> {
        self.details.iter().chain([&self.text])
    }

    /// See [`Text::mask`].
    pub(crate) fn mask(self, secrets: &Secrets) -> Self {
        let details = self.details.into_iter().map(|detail| detail.mask(secrets)).collect();
        Self { text: self.text.mask(secrets), details }
    }
}

/// Lets `?` convert every error that can be shown, and no other.
impl<E: Show + fmt::Display> From<E> for FatalError {
    fn from(error: E) -> Self {
        Self::new(Text::of(&error))
    }
}

/// Replaces whitespace, control and invisible characters and internal marks with single spaces, and trims the ends.
fn normalize_spaces(text: &str) -> String {
    let text = one_line(&text.replace(MARKS, " "));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Removes all characters that [`normalize_spaces`] replaces. Text and secrets are compared in this form, so that
/// [`Secrets`] finds a secret even if a service has changed its whitespace.
fn remove_spaces(text: &str) -> String {
    normalize_spaces(text).replace(' ', "")
}

/// Replaces control and invisible characters, including line breaks, with spaces.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect()
}

/// Whether a character is a line separator, looks like a space, or is what Unicode calls default-ignorable. Text with
/// such characters can look the same as text without them.
///
/// Source: <https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt>
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untrusted_part_is_hidden_if_it_contains_a_secret_of_the_run() {
        let mut secrets = Secrets::default();
        secrets.add(&"hunter2-Summer".into());
        // Too short to be hidden.
        secrets.add(&"Apple".into());
        let masked = |name, max| text!("{}, hunter2-Summer", service_text(name, max)).mask(&secrets);
        assert_eq!(masked("x hunter2-Summer y", 60).as_str(), "*****, hunter2-Summer");
        let truncated = masked("x hunter2-Summer y", 9);
        assert_eq!(truncated.as_str(), "*****, hunter2-Summer", "it ends with the start of a secret");
        let harmless = masked("Apple `Jam`", 60);
        assert_eq!(harmless.as_str(), "Apple \u{fdd0}Jam\u{fdd0}, hunter2-Summer");
        assert_eq!(harmless.plain(), "Apple `Jam`, hunter2-Summer");
    }

    #[test]
    fn a_secret_is_recognized_even_if_a_service_changes_its_whitespace() {
        for (secret, text) in [
            (" at the ends ", "x at the ends"),
            ("a\ttab1", "a\ttab1"),
            ("of\u{2028}Unicode", "of\u{2028}Unicode"),
            ("a\u{fdd1}mark", "a\u{fdd1}mark"),
            ("hunter2-Summer", "x hunter2\u{ad}\u{fe0f}-Sum\u{200b}\u{34f}mer\u{e0020} y"),
        ] {
            let mut secrets = Secrets::default();
            secrets.add(&secret.into());
            assert_eq!(text!("{}", service_text(text, 60)).mask(&secrets).as_str(), HIDDEN, "{secret:?}");
        }
    }
}
