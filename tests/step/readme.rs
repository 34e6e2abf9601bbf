//! The README says what the Step does: its tables are held against `step.yml` and the code.

use std::collections::BTreeMap;
use std::path::Path;

use apple_services_connection::tools::{TABLE, Tool};
use serde::Deserialize;

const README: &str = include_str!("../../README.md");

/// The cells of a section's table rows, without its head.
fn rows(section: &str) -> Vec<Vec<&'static str>> {
    let (_, text) = README.split_once(&format!("\n## {section}\n")).expect(section);
    let text = text.split("\n## ").next().unwrap_or_default();
    let table = text.lines().filter(|line| line.starts_with('|')).skip(2);
    table.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The texts between the code marks of a cell, which are two where the text has one itself.
fn code(cell: &str) -> Vec<&str> {
    let mark = if cell.contains("`` ") { "``" } else { "`" };
    cell.split(mark).skip(1).step_by(2).map(str::trim).collect()
}

#[test]
fn the_table_of_outputs_is_that_of_the_code() {
    let documented: Vec<_> =
        rows("Outputs").iter().map(|row| (code(row[0]).pop(), code(row[1])[0])).collect();
    let exported: Vec<_> = TABLE.iter().map(|output| (output.tool.map(Tool::name), output.name)).collect();
    assert_eq!(documented, exported);
    let secret = rows("Outputs").iter().filter(|row| row[3].contains("*secret*")).count();
    assert_eq!(secret, TABLE.iter().filter(|output| output.fact.is_secret()).count());
}

#[test]
fn the_table_of_tools_is_that_of_the_code() {
    let documented: Vec<_> =
        rows("Exports by tool").iter().map(|row| (code(row[0])[0], row[3] == "yes")).collect();
    let known: Vec<_> = Tool::ALL.iter().map(|tool| (tool.name(), tool.takes_apple_id())).collect();
    assert_eq!(documented, known);
}

#[test]
fn the_table_of_inputs_has_those_of_step_yml_with_their_defaults() {
    #[derive(Deserialize)]
    struct StepYml {
        inputs: Vec<BTreeMap<String, serde_yaml::Value>>,
    }
    let step_yml: StepYml = serde_yaml::from_str(include_str!("../../step.yml")).unwrap();
    let inputs = step_yml.inputs.iter().flatten().filter(|(name, _)| *name != "opts");
    let declared: BTreeMap<_, _> =
        inputs.map(|(name, default)| (name.as_str(), default.as_str().unwrap_or_default())).collect();
    let table = rows("Inputs");
    let documented: BTreeMap<_, _> = table
        .iter()
        .filter(|row| row[0].starts_with('`'))
        .map(|row| (code(row[0])[0], code(row[1]).pop().unwrap_or_default()))
        .collect();
    assert_eq!(documented, declared);
}

#[test]
fn the_table_of_errors_quotes_sentences_that_the_step_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // What the binary says is in the snapshots, of runs that said it.
    let mut said = std::fs::read_to_string(root.join("step.sh")).unwrap();
    for folder in std::fs::read_dir(root.join("tests/snapshots/sentences")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            said.push_str(&std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    let quoted: Vec<_> = rows("Errors and what to do").iter().flat_map(|row| code(row[0])).collect();
    assert!(quoted.len() > 30, "{quoted:?}");
    let unknown: Vec<_> = quoted.into_iter().filter(|sentence| !said.contains(sentence)).collect();
    assert_eq!(unknown, [""; 0]);
}
