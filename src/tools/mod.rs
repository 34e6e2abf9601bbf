//! The tools that outputs are exported for, input `export_for`, and the names that each reads.
//!
//! The [`TOOLS`] are data. What a tool takes, an API key or an Apple ID, follows from what its
//! names say.

mod output_value;
mod table;

pub use output_value::{Login, OutputValue};
pub use table::{TOOLS, WORKFLOW};

use Names::{AllOrNone, Any, Extra};

/// A tool, or a group of tools that read the same names.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// As the user types it.
    pub name: &'static str,
    /// What else the user may type.
    pub aliases: &'static [&'static str],
    /// Who reads its names.
    pub readers: &'static str,
    pub names: &'static [Names],
}

/// A name that later Steps see, and what it says.
pub type Output = (&'static str, OutputValue);

/// Names that a tool reads together.
#[derive(Debug, PartialEq, Eq)]
pub enum Names {
    /// A credential that the tool refuses in part: exported whole or not at all.
    AllOrNone(&'static [Output]),
    /// A credential: each name is exported where there is a value for it.
    Any(&'static [Output]),
    /// What the tool reads beside a credential, likewise; not where it gets none of the one in use.
    Extra(&'static [Output]),
}

impl Names {
    #[must_use]
    pub fn outputs(&self) -> &'static [Output] {
        match self {
            AllOrNone(outputs) | Any(outputs) | Extra(outputs) => outputs,
        }
    }

    /// Whether it is or can be a credential, where these facts are there.
    #[must_use]
    pub fn logs_in(&self, is_there: impl Fn(OutputValue) -> bool) -> bool {
        match self {
            AllOrNone(outputs) => outputs.iter().all(|(_, fact)| is_there(*fact)),
            Any(outputs) => outputs.iter().any(|(_, fact)| is_there(*fact)),
            Extra(_) => false,
        }
    }

    /// What is exported, where these facts are there.
    pub fn exported(&self, is_there: impl Fn(OutputValue) -> bool) -> impl Iterator<Item = Output> {
        let is_refused = matches!(self, AllOrNone(_)) && !self.logs_in(&is_there);
        let outputs = if is_refused { &[] } else { self.outputs() };
        outputs.iter().copied().filter(move |(_, fact)| is_there(*fact))
    }
}

impl Tool {
    /// All names that it reads, with what they say.
    pub fn outputs(&self) -> impl Iterator<Item = Output> {
        self.names.iter().flat_map(|names| names.outputs().iter().copied())
    }

    /// Whether it can use such a credential, when nothing of that is missing.
    #[must_use]
    pub fn takes(&self, login: Login) -> bool {
        self.names.iter().any(|names| names.logs_in(|fact| fact.logins().contains(&login)))
    }

    fn is_called(&self, name: &str) -> bool {
        self.called().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Its name and its aliases.
    pub fn called(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The names in a list separated by commas, semicolons, blanks or newlines.
pub fn split_list(list: &str) -> impl Iterator<Item = &str> {
    let names = list.split(|c: char| c == ',' || c == ';' || c.is_whitespace());
    names.filter(|name| !name.is_empty())
}

/// The tool with this name or alias, in any case.
#[must_use]
pub fn called(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.is_called(name))
}

/// Every output that the Step can have, in the order of `step.yml`; tools may share a name.
#[must_use]
pub fn output_names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for (name, _) in WORKFLOW.iter().copied().chain(TOOLS.iter().flat_map(Tool::outputs)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitrise::step_yml::StepYml;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    fn rows() -> impl Iterator<Item = Output> {
        WORKFLOW.iter().copied().chain(TOOLS.iter().flat_map(Tool::outputs))
    }

    #[test]
    fn step_yml_declares_exactly_the_outputs_of_the_table_in_its_order() -> Result {
        let step_yml = StepYml::embedded()?;
        let mut declared = step_yml.outputs();
        for name in output_names() {
            let output =
                declared.next().ok_or_else(|| format!("{name} is missing at the end of step.yml"))?;
            assert_eq!(output.name, name, "step.yml has another output where the table has {name}");
            let is_secret = rows().any(|(of, fact)| of == name && fact.is_secret());
            assert_eq!(output.is_sensitive, is_secret, "is_sensitive of {name} in step.yml");
        }
        assert_eq!(declared.next().map(|output| output.name), None, "the table lacks it");
        Ok(())
    }

    #[test]
    fn no_two_tools_are_called_the_same() {
        let mut called: Vec<_> = TOOLS.iter().flat_map(Tool::called).collect();
        for name in &called {
            assert_eq!(split_list(name).collect::<Vec<_>>(), [*name]);
            assert_eq!(*name, name.to_ascii_lowercase());
        }
        let count = called.len();
        called.sort_unstable();
        called.dedup();
        assert_eq!(called.len(), count);
    }

    #[test]
    fn every_tool_takes_a_team_key() {
        for tool in TOOLS {
            assert!(tool.takes(Login::TeamKey), "{}", tool.name);
        }
    }

    #[test]
    fn what_a_tool_takes_follows_from_its_names() {
        let takes = |name| called(name).map(|tool| Login::ALL.map(|login| tool.takes(login)));
        assert_eq!(takes("codemagic"), Some([true, false, false]), "refuses two of three");
        assert_eq!(takes("asc"), Some([true, true, false]));
        assert_eq!(takes("electron"), Some([true, false, true]), "by other names");
        assert_eq!(takes("fastlane"), Some([true, true, true]));
    }

    #[test]
    fn only_tauri_and_electron_want_one_name_with_different_values_and_only_of_a_key() {
        for login in Login::ALL {
            let is_there = |fact: OutputValue| fact.logins().contains(&login);
            let mut differing = Vec::new();
            for (at, one) in TOOLS.iter().enumerate() {
                for other in TOOLS.iter().skip(at + 1) {
                    let exported = |tool: &'static Tool| {
                        tool.names.iter().flat_map(move |names| names.exported(is_there).collect::<Vec<_>>())
                    };
                    let others: Vec<_> = exported(other).collect();
                    differing.extend(exported(one).filter_map(|(name, fact)| {
                        let differs = others.iter().any(|(of, says)| *of == name && *says != fact);
                        differs.then_some((name, one.name, other.name))
                    }));
                }
            }
            let expected = [("APPLE_API_KEY", "tauri", "electron")];
            assert_eq!(differing, if login == Login::TeamKey { &expected[..] } else { &[] }, "{login:?}");
        }
    }

    #[test]
    fn a_name_that_belongs_to_an_apple_id_is_never_exported_with_a_key_nor_the_other_way_round() {
        let names = |login: Login| -> Vec<_> {
            let is_there = move |fact: OutputValue| fact.logins().contains(&login);
            let sets = TOOLS.iter().flat_map(|tool| tool.names.iter());
            let exported = sets.flat_map(|names| names.exported(is_there).collect::<Vec<_>>());
            exported.filter(|(_, fact)| fact.logins() != Login::ALL).map(|(name, _)| name).collect()
        };
        let of_apple_id = names(Login::AppleId);
        for key in [Login::TeamKey, Login::IndividualKey] {
            let both: Vec<_> = names(key).into_iter().filter(|name| of_apple_id.contains(name)).collect();
            let of_the_connection = ["APPLE_CONNECTION_URL", "BITRISE_PORTAL_DATA_JSON"];
            assert_eq!(both, if key == Login::TeamKey { &of_the_connection[..] } else { &[] });
        }
    }

    #[test]
    fn a_tool_is_called_by_its_name_or_an_alias_in_any_case() {
        let list = "asc,Expo;TAURI\ncargo-packager notarytool, altool";
        let found: Vec<_> = split_list(list).map(|name| called(name).map(|tool| tool.name)).collect();
        let expected = ["asc", "expo", "tauri", "tauri", "bitrise", "xcode"];
        assert_eq!(found, expected.map(Some));
        assert_eq!(called("fastlan"), None);
        assert_eq!(split_list(" , ;\n").count(), 0);
    }
}
