//! The inputs of `apple-services-connection check name=value…`.

use super::key_location::KeyLocation;
use super::values::{InputValue as _, is_typo, is_word};
use crate::bitrise::step_yml::StepYml;
use crate::env::Env;
use crate::redact::{self, Failed, Text, sentences};

/// The values that differ from those in a build.
const VALUES: [(&str, &str); 3] = [
    ("action", "check"),
    // There is no envstore at a desk, and an inherited one belongs to a build.
    ("ENVMAN_ENVSTORE_PATH", ""),
    ("build_annotation", "never"),
];

sentences! {
    /// Why an argument can't be an input.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    enum ArgumentError {
        #[error("Argument {place} is not an input: write inputs as name=value, like api_issuer=<UUID>.")]
        NotAnInput { place: usize },
        #[error("Unknown input in argument {place}: step.yml and the reference list the inputs.")]
        Unknown { place: usize },
        #[error("Unknown input \"{typed}\" in argument {place}. Did you mean \"{known}\"?")]
        Typo { place: usize, typed: Text, known: Text },
        #[error("`{name}` is secret, and other users of this machine can see arguments: set the environment variable {name} instead.")]
        Secret { name: Text },
        #[error("`{name}` can't be an argument, because check sets it: leave it out.")]
        Fixed { name: Text },
    }
}

/// The environment of `check`: that of the process, with the inputs from the arguments. Without an argument
/// or a variable, `connection` is `off`.
///
/// # Errors
/// If an argument is not an input, or is secret: other users of the machine can see arguments.
pub fn from_arguments(arguments: impl IntoIterator<Item = String>, mut env: Env) -> Result<Env, Failed> {
    let step_yml = StepYml::embedded().map_err(|_| Failed::from(super::raw::Bug::StepYml))?;
    let shown = |name: &str| redact::checked(name, is_word);
    for (argument, place) in arguments.into_iter().zip(1_usize..) {
        let (name, value) = argument.split_once('=').ok_or(ArgumentError::NotAnInput { place })?;
        let input = step_yml.inputs().find(|input| input.name == name).ok_or_else(|| {
            let known = step_yml.inputs().find(|input| is_typo(name, input.name));
            known.map_or(ArgumentError::Unknown { place }, |known| ArgumentError::Typo {
                place,
                typed: shown(name),
                known: shown(known.name),
            })
        })?;
        let is_key = || matches!(KeyLocation::parse(value, &env), Ok(KeyLocation::Text(_)));
        if input.is_sensitive || (name == "api_key_path" && is_key()) {
            return Err(ArgumentError::Secret { name: shown(name) }.into());
        }
        if VALUES.iter().any(|(fixed, _)| *fixed == name) {
            return Err(ArgumentError::Fixed { name: shown(name) }.into());
        }
        env.vars.insert(name.to_owned(), value.to_owned());
    }
    if !env.vars.contains_key("connection") {
        env.vars.insert("connection".to_owned(), "off".to_owned());
    }
    for (name, value) in VALUES {
        env.vars.insert(name.to_owned(), value.to_owned());
    }
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(arguments: &[&str]) -> Result<Env, String> {
        let env = Env::for_tests(&[("ENVMAN_ENVSTORE_PATH", "/store.yml"), ("password", "Canary1")]);
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        from_arguments(arguments, env).map_err(|failed| failed.text().plain())
    }

    #[test]
    fn arguments_are_inputs_and_the_connection_is_off_unless_it_is_given() -> Result<(), String> {
        let env = checked(&["api_key_path=~/AuthKey_2X9R4HXF34.p8", "bundle_id="])?;
        assert_eq!(env.var("api_key_path"), Some("~/AuthKey_2X9R4HXF34.p8"));
        assert_eq!(env.vars.get("bundle_id").map(String::as_str), Some(""));
        assert_eq!(env.var("action"), Some("check"));
        assert_eq!(env.var("connection"), Some("off"));
        assert_eq!(env.var("password"), Some("Canary1"), "secrets come from the environment");
        assert_eq!(env.var("ENVMAN_ENVSTORE_PATH"), None);
        assert_eq!(checked(&["connection=automatic"])?.var("connection"), Some("automatic"));
        Ok(())
    }

    #[test]
    fn an_argument_that_is_not_an_input_or_is_secret_is_an_error_that_does_not_repeat_its_value() {
        let body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg".repeat(3);
        for (argument, error) in [
            ("Canary1", "Argument 1 is not an input"),
            ("Canary1=Canary1", "Unknown input in argument 1"),
            (
                "api_key_pth=Canary1",
                "Unknown input \"api_key_pth\" in argument 1. Did you mean \"api_key_path\"?",
            ),
            ("password=Canary1", "`password` is secret"),
            (&format!("api_key_path={body}"), "`api_key_path` is secret"),
            ("action=export", "`action` can't be an argument"),
        ] {
            let text = checked(&[argument]).map(drop).unwrap_err();
            assert!(text.starts_with(error), "{text}");
            assert!(!text.contains("Canary1") && !text.contains(&body), "{text}");
        }
    }
}
