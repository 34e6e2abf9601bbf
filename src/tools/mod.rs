//! The tools in input `export_for`, and the environment variables that each of them reads.
//!
//! [`TOOLS`] is data. Which credentials a tool can use follows from the values of its variables.

mod output_value;
mod prefix;
mod table;

pub use output_value::{FileKind, OutputValue};
pub use prefix::OutputPrefix;
pub use table::{RESULT, TOOLS, WORKFLOW};

use std::collections::BTreeSet;

use crate::credential::CredentialKind;
use VariableGroup::{AllOrNone, Any, Extra};

/// A tool, or several tools that read the same variables.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The name that users type in `export_for`.
    pub name: &'static str,
    /// Other names that users can type.
    pub aliases: &'static [&'static str],
    pub variables: &'static [VariableGroup],
}

/// The name of an environment variable for later Steps, and its value.
pub type Output = (&'static str, OutputValue);

/// Variables that a tool reads together.
#[derive(Debug, PartialEq, Eq)]
pub enum VariableGroup {
    /// A credential that the tool rejects if a part is missing: exported as a whole or not at all.
    AllOrNone(&'static [Output]),
    /// A credential of which each variable that has a value is exported.
    Any(&'static [Output]),
    /// Variables in addition to a credential. They are not exported if the tool can't use the credential.
    Extra(&'static [Output]),
}

impl VariableGroup {
    #[must_use]
    pub fn outputs(&self) -> &'static [Output] {
        match self {
            AllOrNone(outputs) | Any(outputs) | Extra(outputs) => outputs,
        }
    }

    /// Whether the tool can authenticate with the variables of this group whose values exist.
    #[must_use]
    pub fn can_authenticate(&self, exists: impl Fn(OutputValue) -> bool) -> bool {
        match self {
            AllOrNone(outputs) => outputs.iter().all(|(_, value)| exists(*value)),
            Any(outputs) => outputs.iter().any(|(_, value)| exists(*value)),
            Extra(_) => false,
        }
    }

    /// The variables to export: those whose values exist, or none if the tool would reject them.
    pub fn outputs_to_export(&self, exists: impl Fn(OutputValue) -> bool) -> impl Iterator<Item = Output> {
        let is_rejected = matches!(self, AllOrNone(_)) && !self.can_authenticate(&exists);
        let outputs = if is_rejected { &[] } else { self.outputs() };
        outputs.iter().copied().filter(move |(_, value)| exists(*value))
    }
}

impl Tool {
    /// All variables that the tool reads.
    pub fn outputs(&self) -> impl Iterator<Item = Output> {
        self.variables.iter().flat_map(|group| group.outputs().iter().copied())
    }

    /// Whether the tool can use a credential of this kind that has all its parts.
    #[must_use]
    pub fn can_use(&self, kind: CredentialKind) -> bool {
        self.variables.iter().any(|group| group.can_authenticate(|value| value.kinds().contains(&kind)))
    }

    /// The tool's name and aliases.
    pub fn all_names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The name of every output, in the order of `step.yml`.
#[must_use]
pub fn output_names() -> Vec<&'static str> {
    let outputs = RESULT.iter().chain(WORKFLOW).copied().chain(TOOLS.iter().flat_map(Tool::outputs));
    let mut seen = BTreeSet::new();
    outputs.map(|(name, _)| name).filter(|name| seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apple::api_key::KeyKind;

    #[test]
    fn an_api_key_and_an_apple_id_share_only_the_variables_of_the_connection() {
        let names = |kind: CredentialKind| -> BTreeSet<_> {
            let exists = move |value: OutputValue| value.kinds().contains(&kind);
            let groups = TOOLS.iter().flat_map(|tool| tool.variables);
            let exported = groups.flat_map(|group| group.outputs_to_export(exists));
            exported.filter(|(_, value)| value.kinds() != CredentialKind::ALL).map(|(name, _)| name).collect()
        };
        let shared_with = |key| &names(CredentialKind::ApiKey(key)) & &names(CredentialKind::AppleId);
        let connection = ["APPLE_CONNECTION_URL", "BITRISE_PORTAL_DATA_JSON"];
        assert_eq!(shared_with(KeyKind::Team), connection.into());
        assert_eq!(shared_with(KeyKind::Individual), [].into());
    }
}
