//! The inputs of `apple-services-connection check name=value…`.

use super::key_location::KeyLocation;
use super::values::{is_typo, is_word};
use crate::bitrise::step_yml::StepYml;
use crate::env::Env;
use crate::redact::{self, FatalError, Text, error_messages};

/// The variables that the check command sets, with their values.
const FIXED_VARIABLES: [(&str, &str); 3] = [
    ("action", "check"),
    // The command exports nothing: an envstore in the environment belongs to a build.
    ("ENVMAN_ENVSTORE_PATH", ""),
    ("build_annotation", "never"),
];

error_messages! {
    /// Why an argument can't be an input.
    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    enum ArgumentError {
        #[error("Argument {position} is not an input: write inputs as name=value, like api_issuer=<UUID>.")]
        NotAnInput { position: usize },
        #[error("Unknown input in argument {position}: use one of the inputs in step.yml.")]
        Unknown { position: usize },
        #[error("Unknown input \"{typed}\" in argument {position}. Did you mean \"{known}\"?")]
        Typo { position: usize, typed: Text, known: Text },
        #[error("`api_key_path` contains the text of a key, and other users of this machine can see arguments: pass the path of the .p8 file, or set the environment variable api_key_path instead.")]
        KeyText,
        #[error("`{name}` is secret, and other users of this machine can see arguments: set the environment variable {name} instead.")]
        Secret { name: Text },
        #[error("`{name}` can't be an argument, because the check command sets it: leave it out.")]
        Fixed { name: Text },
    }
}

/// Adds the arguments to the environment as inputs. `connection` defaults to `off`, since no build is running.
///
/// # Errors
/// If an argument is not an input, is secret (other users of the machine can see arguments), or is an input
/// that the command sets.
pub fn env_from_arguments(
    arguments: impl IntoIterator<Item = String>,
    mut env: Env,
) -> Result<Env, FatalError> {
    let step_yml = StepYml::embedded().map_err(|_| FatalError::from(super::raw::Bug::StepYml))?;
    let to_text = |name: &str| redact::checked(name, is_word);
    for (argument, position) in arguments.into_iter().zip(1_usize..) {
        let (name, value) = argument.split_once('=').ok_or(ArgumentError::NotAnInput { position })?;
        let input = step_yml.inputs.iter().find(|input| input.name == name).ok_or_else(|| {
            let known = step_yml.inputs.iter().find(|input| is_typo(name, &input.name));
            known.map_or(ArgumentError::Unknown { position }, |known| ArgumentError::Typo {
                position,
                typed: to_text(name),
                known: to_text(&known.name),
            })
        })?;
        let is_key_text = || matches!(KeyLocation::parse(value, &env), Ok(KeyLocation::Inline(_)));
        if input.is_sensitive {
            return Err(ArgumentError::Secret { name: to_text(name) }.into());
        }
        if name == "api_key_path" && is_key_text() {
            return Err(ArgumentError::KeyText.into());
        }
        if FIXED_VARIABLES.iter().any(|(fixed, _)| *fixed == name) {
            return Err(ArgumentError::Fixed { name: to_text(name) }.into());
        }
        env.vars.insert(name.to_owned(), value.into());
    }
    if !env.vars.contains_key("connection") {
        env.vars.insert("connection".to_owned(), "off".into());
    }
    for (name, value) in FIXED_VARIABLES {
        env.vars.insert(name.to_owned(), value.into());
    }
    Ok(env)
}
