//! Parses the value of each input on its own.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use reqwest::Url;
use secrecy::SecretString;

use super::BuildLocation;
use super::problems::Problems;
use crate::apple::api_key::{IssuerId, KeyId, identify_misplaced};
use crate::apple::app_store_connect::Access;
use crate::apple::private_key::strip_wrapping;
use crate::apple::team::{InvalidTeamId, TeamId};
use crate::bitrise::step_yml::Declaration;
use crate::env::Env;
use crate::http::is_confidential;
use crate::redact::{self, Show, Text, is_app_password, may_hold_secret, text};
use crate::tools::{TOOLS, Tool};

/// An input that is not a choice between the values in `step.yml`. A problem with it is only reported if the run
/// uses the input.
pub(super) struct Field<T> {
    name: &'static str,
    value: Result<Option<T>, Text>,
    /// How the log shows the value.
    pub(super) shown: Text,
}

impl<T> Field<T> {
    /// Parses the input with `parse`, which gets a value that is not empty. Its error never repeats the value, and
    /// [`Problems::add`] turns the error into a sentence. `shown` returns how the log shows a valid value.
    pub(super) fn parse<E: Show + Display>(
        name: &'static str,
        value: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        shown: fn(&T) -> Text,
    ) -> Self {
        // A password can look like a variable.
        let value = match describe_unexpanded_variable(value).filter(|_| name != "password") {
            Some(problem) => Err(problem),
            None if value.is_empty() => Ok(None),
            None => parse(value).map(Some).map_err(|error| Text::of(&error)),
        };
        let shown = match &value {
            Ok(None) => text!("<unset>"),
            Ok(Some(value)) => shown(value),
            Err(_) => Text::hidden(),
        };
        Self { name, value, shown }
    }

    /// Whether the input is not empty. Its value can be invalid.
    pub(super) fn is_set(&self) -> bool {
        !matches!(self.value, Ok(None))
    }

    /// Takes the value out. If it is invalid, adds the problem.
    pub(super) fn take(&mut self, problems: &mut Problems) -> Option<T> {
        std::mem::replace(&mut self.value, Ok(None)).unwrap_or_else(|problem| {
            problems.add(self.name, &problem);
            None
        })
    }

    /// Like [`Field::take`], but an empty input is a problem too.
    pub(super) fn require(&mut self, problems: &mut Problems) -> Option<T> {
        if !self.is_set() {
            problems.add(self.name, "is empty: remove it from the workflow to use its default");
        }
        self.take(problems)
    }
}

/// Describes a value that is only `$NAME`, `${NAME}` or `$(NAME)`. Completes "`input` …".
fn describe_unexpanded_variable(value: &str) -> Option<Text> {
    variable_name(value)?;
    // Any other text after the dollar sign can be a password.
    let problem = if can_show_variable(value) {
        text!("is the unexpanded variable `{}`", redact::checked(value, can_show_variable))
    } else {
        text!("looks like an unexpanded variable (it begins with $)")
    };
    Some(text!("{}: check that it is spelled correctly and set in this workflow", problem))
}

/// The name of the variable, if the value is only a reference to one in the syntax of shells, the Bitrise CLI
/// or other CI services.
pub(super) fn variable_name(value: &str) -> Option<&str> {
    let rest = value.trim().strip_prefix('$')?;
    let inside = |open, close| rest.strip_prefix(open)?.strip_suffix(close);
    let name = inside('{', '}').or_else(|| inside('(', ')')).unwrap_or(rest);
    let has_valid_start = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (has_valid_start && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}

/// Whether a value refers to a variable whose name does not look like a password: one in capitals, like most
/// variables and unlike most passwords.
pub(super) fn can_show_variable(value: &str) -> bool {
    let Some(name) = variable_name(value) else { return false };
    let is_allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let has_digit = name.bytes().any(|b| b.is_ascii_digit());
    name.len() <= 80
        && name.bytes().all(is_allowed)
        && (name.contains('_') || !has_digit)
        && (name == "FASTLANE_SESSION" || !may_hold_secret(name))
}

/// Finds the allowed value that a text means, ignoring case. The text can be `true` or `false`, because YAML reads an
/// unquoted `off`, `no` or `yes` as a boolean.
pub(super) fn parse_choice<'a>(value: &str, input: &'a Declaration) -> Result<&'a str, Text> {
    let options = || input.value_options.iter().map(String::as_str);
    let lower_case = value.to_ascii_lowercase();
    let meanings: &[&str] = match lower_case.as_str() {
        "false" => &["no", "off", "false"],
        "true" => &["yes", "on", "true"],
        value => &[value],
    };
    let expected = Text::list(options().map(|option| redact::checked(option, is_word)), "or");
    options().find(|option| meanings.contains(option)).ok_or_else(|| {
        match describe_unexpanded_variable(value) {
            Some(problem) => problem,
            None if value.is_empty() => text!("is empty: set it to {}", expected),
            None if options().any(|option| is_typo(value, option)) => {
                text!("has the unknown value \"{}\": set it to {}", redact::checked(value, is_word), expected)
            }
            // The value can be a secret in the wrong field, so it is not shown.
            None => text!("has an unknown value: set it to {}", expected),
        }
    })
}

/// Whether a value is close to a known one, and therefore not a secret.
pub(super) fn is_typo(value: &str, known: &str) -> bool {
    is_word(value) && strsim::damerau_levenshtein(&value.to_ascii_lowercase(), known) <= known.len() / 3
}

/// Whether a value consists of at most 40 letters, digits, underscores and dashes, like the names of inputs and tools.
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

/// `remedy` completes the error, after a colon.
pub(super) fn parse_url(value: &str, remedy: &'static str) -> Result<Url, Text> {
    Url::parse(value).map_err(|error| {
        let problem = match error {
            url::ParseError::RelativeUrlWithoutBase => text!("it does not begin with https://"),
            error => redact::cause(&error),
        };
        text!("is not a valid URL ({}): {}", problem, remedy)
    })
}

/// The base URL of one of Apple's services.
pub(super) fn parse_base_url(value: &str) -> Result<Url, Text> {
    let url = parse_url(value, "use an https:// URL")?;
    if !is_confidential(&url) {
        return Err(text!(
            "is not an https:// URL, so the credential would be sent unencrypted: use an https:// URL"
        ));
    }
    Ok(url)
}

impl BuildLocation {
    pub(super) fn parse(value: &str, env: &Env) -> Result<Self, Text> {
        const REMEDY: &str = "use the build's https:// URL, or the file:// URL of a JSON file";
        let url = parse_url(value, REMEDY)?;
        match url.scheme() {
            _ if is_confidential(&url) => Ok(Self::Url(url)),
            "http" => {
                Err(text!("is an http:// URL, which would send the build's token unencrypted: {}", REMEDY))
            }
            "file" => file_url_to_path(&url, value, env).map(Self::File),
            _ => Err(text!("has an unsupported URL scheme: {}", REMEDY)),
        }
    }

    /// How the log shows the input.
    pub(super) fn shown(&self) -> Text {
        match self {
            Self::Url(url) => redact::url(url),
            Self::File(path) => redact::path(path),
        }
    }
}

/// An e-mail address, or a phone number in international form, which Apple accepts too.
pub(super) fn parse_apple_id(value: &str) -> Result<SecretString, &'static str> {
    const SECRET_PROBLEM: &str = "contains a key or a session: set it to the e-mail address of the Apple ID";
    const OTHER_PROBLEM: &str = "is not an e-mail address: set it to the e-mail address of the Apple ID, or to its phone number with the country code, like +81-80-1234-5678";
    let value = strip_wrapping(value);
    let problem = if may_hold_secret(value) { SECRET_PROBLEM } else { OTHER_PROBLEM };
    if is_email(value) || is_phone_number(value) { Ok(value.into()) } else { Err(problem) }
}

fn is_email(value: &str) -> bool {
    let Some((name, host)) = value.split_once('@') else { return false };
    !name.is_empty()
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
        && !value.contains(|c: char| c.is_whitespace() || c.is_control())
        && !host.contains(['@', '/', ':'])
}

/// The account's own password. Apple requires capitals and digits in it, so it never looks like an app-specific one.
pub(super) fn parse_password(value: &str) -> Result<SecretString, &'static str> {
    const PROBLEM: &str = "is an app-specific password (xxxx-xxxx-xxxx-xxxx): put it into `app_password`, and clear `password` or set it to the account's own password";
    if is_app_password(value.trim()) { Err(PROBLEM) } else { Ok(value.into()) }
}

/// An app-specific password, as account.apple.com shows it.
pub(super) fn parse_app_password(value: &str) -> Result<SecretString, &'static str> {
    const PROBLEM: &str = "is not an app-specific password, which has the form xxxx-xxxx-xxxx-xxxx: create one at account.apple.com. The account's own password goes into `password`";
    let value = strip_wrapping(value);
    if is_app_password(value) { Ok(value.into()) } else { Err(PROBLEM) }
}

/// A trusted phone number, exactly as Apple shows it, because fastlane compares it with Apple's list.
pub(super) fn parse_phone_number(value: &str) -> Result<String, &'static str> {
    const PROBLEM: &str =
        "is not a phone number with its country code: write it as Apple shows it, like +81-80-1234-5678";
    if is_phone_number(value) { Ok(value.into()) } else { Err(PROBLEM) }
}

/// Whether a value is a phone number with its country code.
pub(super) fn is_phone_number(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_allowed = |b: u8| b.is_ascii_digit() || b"+-() .".contains(&b);
    value.starts_with('+') && (5..=20).contains(&digits) && value.bytes().all(is_allowed)
}

pub(super) fn parse_key_id(value: &str) -> Result<KeyId, Text> {
    let value = strip_wrapping(value);
    if is_yaml_number(value) {
        return Err(text!("{}", YAML_NUMBER_PROBLEM));
    }
    KeyId::parse(value).map_err(|error| text!("{}: {}", error, error.remedy()))
}

pub(super) fn parse_issuer_id(value: &str) -> Result<IssuerId, Text> {
    IssuerId::parse(strip_wrapping(value)).map_err(|error| text!("{}: {}", error, error.remedy()))
}

pub(super) fn parse_team_id(value: &str) -> Result<TeamId, Text> {
    let value = strip_wrapping(value);
    TeamId::parse(value).map_err(|error| match (error, identify_misplaced(value)) {
        (InvalidTeamId::NotATeamId, _) if is_yaml_number(value) => text!("{}", YAML_NUMBER_PROBLEM),
        (InvalidTeamId::NotATeamId, Some(misplaced)) => {
            text!("contains {}: set it to the team ID, 10 upper-case letters and digits", misplaced)
        }
        (error, _) => Text::of(&error),
    })
}

const YAML_NUMBER_PROBLEM: &str =
    "is a number, because YAML reads an ID like 1234567E12 or 0123456701 as one: put the ID in quotes";

/// Whether a value looks like an unquoted ID that YAML read as a number: the Bitrise CLI turns `1234567E12` into
/// `1.234567e+18`, and `0123456701`, which is octal, into `21913025`.
fn is_yaml_number(value: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_float = || {
        let (number, exponent) = value.split_once(['e', 'E'])?;
        let exponent = exponent.strip_prefix(['+', '-'])?;
        let (integer, fraction) = number.split_once('.').unwrap_or((number, "0"));
        Some(is_digits(integer) && is_digits(fraction) && is_digits(exponent))
    };
    (is_digits(value) && value.len() != 10) || is_float().unwrap_or(false)
}

/// Parses a whole number. Errors never repeat the value, which can be a one-time code in the wrong field.
pub(super) fn parse_number(value: &str, range: RangeInclusive<u64>) -> Result<u64, Text> {
    let (least, most) = (*range.start(), *range.end());
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        Ok(_) => Err(text!("is out of range: use a whole number from {} to {}", least, most)),
        Err(_) => Err(text!("is not a whole number: use one from {} to {}", least, most)),
    }
}

pub(super) fn parse_required_access(value: &str) -> Result<BTreeSet<Access>, Text> {
    let names = Text::list(Access::ALL.map(Access::name), "and");
    let words = value.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let access = words.zip(1_usize..).map(|(word, position)| {
        let known = Access::ALL.into_iter().find(|access| access.name() == word);
        known.ok_or_else(|| text!("has an unknown value (item {}): choose from {}", position, names))
    });
    access.collect()
}

/// Parses the names of tools, separated by commas, semicolons or whitespace. Ignores case.
pub(super) fn parse_tools(value: &str) -> Result<Vec<&'static Tool>, Text> {
    let names = || Text::join(TOOLS.iter().map(|tool| tool.name), ", ");
    let words = value.split(|c: char| c == ',' || c == ';' || c.is_whitespace());
    let mut chosen = Vec::new();
    for (name, position) in words.filter(|word| !word.is_empty()).zip(1_u32..) {
        let is_named = |tool: &&Tool| tool.all_names().any(|known| known.eq_ignore_ascii_case(name));
        let similar = || TOOLS.iter().flat_map(Tool::all_names).find(|known| is_typo(name, known));
        chosen.push(TOOLS.iter().find(is_named).ok_or_else(|| match similar() {
            Some(known) => {
                let typed = redact::checked(name, is_word);
                text!("Unknown tool \"{}\" in `export_for`. Did you mean \"{}\"?", typed, known)
            }
            // The name can be a secret in the wrong field, so it is not shown.
            None => text!("Unknown tool in `export_for` (item {}): choose from {}.", position, names()),
        })?);
    }
    if chosen.is_empty() {
        return Err(text!("lists no tool: choose from {}", names()));
    }
    Ok(TOOLS.iter().filter(|tool| chosen.contains(tool)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpanded_variable_is_named_only_if_its_name_does_not_look_like_a_password() {
        for value in ["$CUSTOMER_API_KEY", "${CUSTOMER_API_KEY}", "$(CUSTOMER_API_KEY)", "$X"] {
            assert!(can_show_variable(value), "{value}");
        }
        for value in ["$ecretWord", "${hunter2}", "$UMMER2026", "$_x"] {
            assert!(variable_name(value).is_some() && !can_show_variable(value), "{value}");
        }
        for value in ["", "$", "$1", "$A/key.p8", "$A-$B", "a$B", "$A B", "${A", "$$", "$2y$10$abc"] {
            assert_eq!(variable_name(value), None, "{value}");
        }
    }
}
