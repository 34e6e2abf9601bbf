//! The types of the inputs, each parsed on its own.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::BuildLocation;
use super::problems::{Problem, Problems};
use crate::apple::api_key::{IssuerId, KeyId, identify_misplaced};
use crate::apple::app_store_connect::Access;
use crate::apple::bundle_id::BundleId;
use crate::apple::private_key::strip_wrapping;
use crate::apple::team::{InvalidTeamId, ProviderId, TeamId};
use crate::apple::token;
use crate::bitrise::step_yml::Declared;
use crate::env::Env;
use crate::http::is_loopback;
use crate::redact::{self, Text, is_app_password, may_hold_secret, text};
use crate::tools::{OutputPrefix, TOOLS, Tool, find_tool, split_list};

/// The type of an input that is not a choice between the values in `step.yml`.
pub(super) trait InputValue: Sized {
    /// Whether a value like `$NAME` can be meant literally.
    const MAY_LOOK_LIKE_A_VARIABLE: bool = false;
    /// Whether the errors of `parse` are whole sentences.
    const ERRORS_ARE_SENTENCES: bool = false;

    /// Parses a value that is not empty.
    ///
    /// # Errors
    /// Completes the sentence "`input` …", without a full stop, unless `ERRORS_ARE_SENTENCES`. Never repeats
    /// the value.
    fn parse(value: &str, env: &Env) -> Result<Self, Text>;

    /// How the log shows the value. Secrets are hidden.
    fn shown(&self) -> Text {
        Text::hidden()
    }
}

/// An input. A problem with it is only reported if the run uses the input.
#[derive(Debug)]
pub(super) struct Field<T> {
    name: &'static str,
    value: Result<Option<T>, Problem>,
}

impl<T: InputValue> Field<T> {
    pub(super) fn parse(name: &'static str, value: &SecretString, env: &Env) -> Self {
        let value = match value.expose_secret() {
            "" => Ok(None),
            value => match describe_unexpanded_variable(value) {
                Some(problem) if !T::MAY_LOOK_LIKE_A_VARIABLE => Err(Problem::new(name, &problem)),
                _ => T::parse(value, env).map(Some).map_err(|problem| {
                    if T::ERRORS_ARE_SENTENCES {
                        Problem::from_sentence(name, problem)
                    } else {
                        Problem::new(name, &problem)
                    }
                }),
            },
        };
        Self { name, value }
    }

    pub(super) fn shown(&self) -> Text {
        match &self.value {
            Ok(None) => text!("<unset>"),
            Ok(Some(value)) => value.shown(),
            Err(_) => Text::hidden(),
        }
    }
}

impl<T> Field<T> {
    /// Whether the input is not empty. Its value can be invalid.
    pub(super) fn is_set(&self) -> bool {
        !matches!(self.value, Ok(None))
    }

    /// The input's name, if it is set.
    pub(super) fn name_if_set(&self) -> Option<&'static str> {
        self.is_set().then_some(self.name)
    }

    /// Takes the value out. If it is invalid, adds the problem.
    pub(super) fn take(&mut self, problems: &mut Problems) -> Option<T> {
        std::mem::replace(&mut self.value, Ok(None)).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        })
    }

    /// Like [`Field::take`], but an empty input is a problem too.
    pub(super) fn require(&mut self, problems: &mut Problems) -> Option<T> {
        if !self.is_set() {
            problems.add(self.name, &text!("is empty: remove it from the workflow to use its default"));
        }
        self.take(problems)
    }
}

/// Describes a value that is only `$NAME`, `${NAME}` or `$(name)`. Completes "`input` …".
fn describe_unexpanded_variable(value: &str) -> Option<Text> {
    let name = variable_name(value)?;
    // Shows only a name in the form of most variables: others can be passwords.
    Some(if is_conventional_name(name) {
        text!(
            "is the unexpanded variable `{}`: check that it is spelled correctly and set in this workflow",
            redact::checked(value, is_shown_variable)
        )
    } else {
        text!(
            "looks like an unexpanded variable (it begins with $): check that it is spelled correctly and set in this workflow"
        )
    })
}

/// The name of the variable, if the value is only a reference to one in the syntax of shells, the Bitrise CLI
/// or other CI services.
#[must_use]
pub(super) fn variable_name(value: &str) -> Option<&str> {
    let rest = value.trim().strip_prefix('$')?;
    let within = |open, close| rest.strip_prefix(open)?.strip_suffix(close);
    let name = within('{', '}').or_else(|| within('(', ')')).unwrap_or(rest);
    let has_valid_start = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (has_valid_start && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}

/// Whether a value refers to a variable whose name can be shown.
pub(super) fn is_shown_variable(value: &str) -> bool {
    variable_name(value).is_some_and(is_conventional_name)
}

/// Whether a name is in capitals, like most variables and unlike most passwords.
fn is_conventional_name(name: &str) -> bool {
    let is_capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let has_digit = name.bytes().any(|b| b.is_ascii_digit());
    name.len() <= 80
        && name.bytes().all(is_capital)
        && (name.contains('_') || !has_digit)
        && (name == "FASTLANE_SESSION" || !may_hold_secret(name))
}

/// Finds the allowed value that a text stands for, ignoring case. YAML turns an unquoted `off`, `no` or `yes`
/// into a boolean.
pub(super) fn find_choice<'a>(value: &str, input: &Declared<'a>) -> Option<&'a str> {
    let value = value.to_ascii_lowercase();
    let meanings: &[&str] = match value.as_str() {
        "false" => &["no", "off", "false"],
        "true" => &["yes", "on", "true"],
        value => &[value],
    };
    input.value_options.iter().map(String::as_str).find(|option| meanings.contains(option))
}

pub(super) fn describe_unknown_choice(value: &str, input: &Declared<'_>) -> Text {
    let options: Vec<_> = input.value_options.iter().map(|option| redact::checked(option, is_word)).collect();
    let expected = Text::join(&options, ", ");
    if value.is_empty() {
        return text!("is empty: use one of {}", expected);
    }
    if let Some(problem) = describe_unexpanded_variable(value) {
        return problem;
    }
    // A value that is not close to an allowed one can be a secret in the wrong field.
    if input.value_options.iter().any(|option| is_typo(value, option)) {
        text!("is \"{}\": use one of {}", redact::checked(value, is_word), expected)
    } else {
        text!("has an unknown value: use one of {}", expected)
    }
}

/// Whether a value is close to a known one, and therefore not a secret.
pub(super) fn is_typo(value: &str, known: &str) -> bool {
    is_word(value) && strsim::damerau_levenshtein(&value.to_ascii_lowercase(), known) <= known.len() / 3
}

/// Whether a value has only letters, digits, underscores and dashes, like the names and values of inputs and
/// tools.
pub(super) fn is_word(value: &str) -> bool {
    value.len() <= 40 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Expands `~` at the beginning of a path.
pub(super) fn expand_home(path: &str, env: &Env) -> PathBuf {
    match (path.strip_prefix('~'), env.var("HOME")) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            format!("{home}{rest}").into()
        }
        _ => path.into(),
    }
}

/// The path of a `file://` URL, which can begin with `~`. Bitrise's Steps in Go don't decode such URLs, so a
/// file with the undecoded name is preferred if it exists.
pub(super) fn file_url_to_path(url: &Url, typed: &str, env: &Env) -> Result<PathBuf, Text> {
    let undecoded = typed.split_once("://").map_or("", |(_, path)| path);
    if undecoded.starts_with('~') {
        return Ok(expand_home(undecoded, env));
    }
    let undecoded = PathBuf::from(undecoded);
    if undecoded.is_absolute() && undecoded.exists() {
        return Ok(undecoded);
    }
    url.to_file_path().map_err(|()| {
        text!("is a file:// URL with a host: write it with three slashes, file:///path/to/file")
    })
}

pub(super) fn parse_url(value: &str, remedy: &'static str) -> Result<Url, Text> {
    Url::parse(value).map_err(|error| {
        let problem = match error {
            url::ParseError::RelativeUrlWithoutBase => text!("it does not begin with https://"),
            error => redact::cause(&error),
        };
        text!("is not a valid URL ({}): {}", problem, remedy)
    })
}

/// Input `credentials_dir`.
impl InputValue for PathBuf {
    fn parse(value: &str, env: &Env) -> Result<Self, Text> {
        Ok(expand_home(value, env))
    }

    fn shown(&self) -> Text {
        redact::path(self)
    }
}

/// The base URL of one of Apple's services.
#[derive(Debug)]
pub(super) struct BaseUrl(pub(super) Url);

impl InputValue for BaseUrl {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        let url = parse_url(value, "use an https:// URL")?;
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            _ => Err(text!("would send a token unencrypted: use an https:// URL")),
        }
    }

    fn shown(&self) -> Text {
        redact::url(&self.0)
    }
}

impl InputValue for BuildLocation {
    fn parse(value: &str, env: &Env) -> Result<Self, Text> {
        const REMEDY: &str = "use the build's https:// URL, or the file:// URL of a JSON file";
        let url = parse_url(value, REMEDY)?;
        match url.scheme() {
            "https" => Ok(Self::Url(url)),
            "http" if is_loopback(&url) => Ok(Self::Url(url)),
            "http" => {
                Err(text!("is an http:// URL, which would send the build's token unencrypted: {}", REMEDY))
            }
            "file" => file_url_to_path(&url, value, env).map(Self::File),
            _ => Err(text!("has an unsupported URL scheme: {}", REMEDY)),
        }
    }

    fn shown(&self) -> Text {
        match self {
            Self::Url(url) => redact::url(url),
            Self::File(path) => redact::path(path),
        }
    }
}

/// A secret that later code parses.
impl InputValue for SecretString {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        Ok(value.into())
    }
}

/// Input `apple_id`: an e-mail address, or a phone number in international form, which Apple accepts too.
#[derive(Debug)]
pub(super) struct AccountName(pub(super) SecretString);

impl InputValue for AccountName {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_email(value) || is_phone_number(value) {
            Ok(Self(value.into()))
        } else if may_hold_secret(value) {
            Err(text!("contains a key or a session: set it to the e-mail address of the Apple ID"))
        } else {
            Err(text!(
                "is not an e-mail address: set it to the e-mail address of the Apple ID, or to its phone number with the country code, like +81-80-1234-5678"
            ))
        }
    }
}

fn is_email(value: &str) -> bool {
    let Some((name, host)) = value.split_once('@') else { return false };
    !name.is_empty()
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
        && !value.contains(|c: char| c.is_whitespace() || c.is_control())
        && !host.contains(['@', '/', ':'])
}

/// The account's own password.
#[derive(Debug)]
pub(super) struct Password(pub(super) SecretString);

impl InputValue for Password {
    const MAY_LOOK_LIKE_A_VARIABLE: bool = true;

    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        // The account's own password can't have this form: Apple requires capitals and digits.
        if is_app_password(value.trim()) {
            Err(text!(
                "is an app-specific password (xxxx-xxxx-xxxx-xxxx): put it into `app_password`, and clear `password` or set it to the account's own"
            ))
        } else {
            Ok(Self(value.into()))
        }
    }
}

/// An app-specific password, as account.apple.com shows it.
#[derive(Debug)]
pub(super) struct AppPassword(pub(super) SecretString);

impl InputValue for AppPassword {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_app_password(value) {
            Ok(Self(value.into()))
        } else {
            Err(text!(
                "is not an app-specific password, which has the form xxxx-xxxx-xxxx-xxxx: make one at account.apple.com. The account's own password goes into `password`"
            ))
        }
    }
}

/// A trusted phone number, exactly as Apple shows it, because fastlane compares the two.
#[derive(Debug)]
pub(super) struct PhoneNumber(pub(super) String);

impl InputValue for PhoneNumber {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        if is_phone_number(value) {
            Ok(Self(value.to_owned()))
        } else {
            Err(text!(
                "is not a phone number with its country code: write it as Apple shows it, like +81-80-1234-5678"
            ))
        }
    }

    fn shown(&self) -> Text {
        redact::checked(&self.0, is_phone_number)
    }
}

/// Whether a value is a phone number with its country code.
fn is_phone_number(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_allowed = |b: u8| b.is_ascii_digit() || b"+-() .".contains(&b);
    value.starts_with('+') && (5..=20).contains(&digits) && value.bytes().all(is_allowed)
}

impl InputValue for KeyId {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_yaml_number(value) {
            return Err(yaml_number_message());
        }
        Self::parse(value).map_err(|error| text!("{}: {}", error, error.remedy()))
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

impl InputValue for IssuerId {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        Self::parse(strip_wrapping(value)).map_err(|error| text!("{}: {}", error, error.remedy()))
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

impl InputValue for TeamId {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        Self::parse(value).map_err(|error| match (error, identify_misplaced(value)) {
            (InvalidTeamId::NotATeamId, _) if is_yaml_number(value) => yaml_number_message(),
            (InvalidTeamId::NotATeamId, Some(found)) => {
                text!("contains {}: set it to the team ID, 10 upper-case letters and digits", found)
            }
            (error, _) => Text::of(&error),
        })
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

impl InputValue for ProviderId {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        Self::parse(strip_wrapping(value)).map_err(|error| Text::of(&error))
    }

    fn shown(&self) -> Text {
        Self::shown(*self)
    }
}

impl InputValue for BundleId {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        Self::parse(value)
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

fn yaml_number_message() -> Text {
    text!("is a number, because YAML reads an ID like 1234567E12 or 0123456701 as one: put the ID in quotes")
}

/// Whether a value looks like an unquoted ID that YAML read as a number: the Bitrise CLI turns `1234567E12` into
/// `1.234567e+18`, and `0123456701`, which is octal, into `21913025`.
fn is_yaml_number(value: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_float = || {
        let (number, exponent) = value.split_once(['e', 'E'])?;
        let exponent = exponent.strip_prefix(['+', '-'])?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        Some(is_digits(whole) && is_digits(fraction) && is_digits(exponent))
    };
    (is_digits(value) && value.len() != 10) || is_float().unwrap_or(false)
}

/// Input `token_lifetime_seconds`: at least a minute, at most Apple's maximum.
#[derive(Debug)]
pub(super) struct TokenLifetime(pub(super) Duration);

impl InputValue for TokenLifetime {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        parse_number(value, 60..=token::MAX_LIFETIME.as_secs())
            .map(|seconds| Self(Duration::from_secs(seconds)))
    }

    fn shown(&self) -> Text {
        text!("{}", self.0.as_secs())
    }
}

/// Input `session_expiry_warning_days`: at most a century, longer than any session.
#[derive(Debug)]
pub(super) struct WarningDays(pub(super) i64);

impl InputValue for WarningDays {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        parse_number(value, 0..=36_500).map(|days| Self(i64::try_from(days).unwrap_or_default()))
    }

    fn shown(&self) -> Text {
        text!("{}", self.0)
    }
}

/// Parses a whole number. Errors never repeat the value, which can be a one-time code in the wrong field.
fn parse_number(value: &str, range: RangeInclusive<u64>) -> Result<u64, Text> {
    let (least, most) = (*range.start(), *range.end());
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        Ok(_) => Err(text!("is out of range: use a whole number from {} to {}", least, most)),
        Err(_) => Err(text!("is not a whole number: use one from {} to {}", least, most)),
    }
}

/// Input `required_access`.
impl InputValue for BTreeSet<Access> {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        let words = value.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let access = words.zip(1_usize..).map(|(word, place)| {
            let known = Access::ALL.into_iter().find(|access| access.name() == word);
            known.ok_or_else(|| {
                text!(
                    "has an unknown value (item {}): choose from {}",
                    place,
                    join_names(Access::ALL.map(Access::name))
                )
            })
        });
        access.collect()
    }

    fn shown(&self) -> Text {
        join_names(self.iter().map(|access| access.name()))
    }
}

impl InputValue for OutputPrefix {
    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        Self::parse(value).map_err(|error| Text::of(&error))
    }

    fn shown(&self) -> Text {
        self.name("")
    }
}

/// Input `export_for`.
impl InputValue for Vec<&'static Tool> {
    const ERRORS_ARE_SENTENCES: bool = true;

    fn parse(value: &str, _: &Env) -> Result<Self, Text> {
        if let Some((name, place)) =
            split_list(value).zip(1_u32..).find(|(name, _)| find_tool(name).is_none())
        {
            let close = TOOLS.iter().flat_map(Tool::all_names).find(|known| is_typo(name, known));
            return Err(match close {
                Some(known) => text!(
                    "Unknown tool \"{}\" in `export_for`. Did you mean \"{}\"?",
                    redact::checked(name, is_word),
                    known
                ),
                // The word can be a secret in the wrong field.
                None => {
                    text!(
                        "Unknown tool in `export_for` (item {}): choose from {}.",
                        place,
                        join_names(TOOLS.iter().map(|tool| tool.name))
                    )
                }
            });
        }
        let chosen: Vec<_> = split_list(value).filter_map(find_tool).collect();
        if chosen.is_empty() {
            return Err(text!(
                "`export_for` lists no tool: choose from {}.",
                join_names(TOOLS.iter().map(|tool| tool.name))
            ));
        }
        Ok(TOOLS.iter().filter(|tool| chosen.contains(tool)).collect())
    }

    fn shown(&self) -> Text {
        join_names(self.iter().map(|tool| tool.name))
    }
}

/// ``"fastlane, asc"``
pub(crate) fn join_names(names: impl IntoIterator<Item = &'static str>) -> Text {
    let names: Vec<_> = names.into_iter().map(|name| text!("{}", name)).collect();
    Text::join(&names, ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_from_yaml_is_not_a_key_id() {
        for number in ["1.234567e+18", "1e+12", "1.23456789E+08", "21913025", "0", "36"] {
            assert!(is_yaml_number(number), "{number}");
        }
        for id in ["2X9R4HXF34", "1234567890", "0123456701", "1234567E12", "abc123", ""] {
            assert!(!is_yaml_number(id), "{id}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_named_only_if_its_name_is_not_a_secret() {
        let described = |value: &str| describe_unexpanded_variable(value).map(|text| text.plain());
        for value in ["$CUSTOMER_API_KEY", "${CUSTOMER_API_KEY}", "$(CUSTOMER_API_KEY)", "$X"] {
            assert!(
                described(value)
                    .is_some_and(|text| text.starts_with(&format!("is the unexpanded variable `{value}`: "))),
                "{value}"
            );
        }
        for value in ["$ecretWord", "${hunter2}", "$UMMER2026", "$_x"] {
            let text = described(value).unwrap_or_default();
            assert!(text.starts_with("looks like an unexpanded variable") && !text.contains(value), "{text}");
        }
        for value in ["", "$", "$1", "$A/key.p8", "$A-$B", "a$B", "$A B", "${A", "$$", "$2y$10$abc"] {
            assert_eq!(described(value), None, "{value}");
        }
    }
}
