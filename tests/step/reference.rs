//! `docs/reference.md`, made from `step.yml` and the table of tools.
//!
//! `SNAPSHOTS=overwrite cargo test --test step reference` updates it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use apple_services_connection::apple::api_key::KeyKind;
use apple_services_connection::credential::CredentialKind;
use apple_services_connection::tools::{
    Output, OutputValue, RESULT, TOOLS, Tool, VariableGroup, WORKFLOW, output_names,
};
use serde::Deserialize;
use test_support::snapshots::assert_document;
use test_support::{Step, api_key};

#[derive(Deserialize)]
struct StepYml {
    inputs: Vec<Item>,
    outputs: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    opts: Opts,
    #[serde(flatten)]
    name_and_default: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct Opts {
    title: String,
    summary: Option<String>,
    description: Option<String>,
    #[serde(default)]
    value_options: Vec<String>,
    #[serde(default)]
    is_sensitive: bool,
}

impl Item {
    fn name(&self) -> &str {
        self.name_and_default.keys().next().unwrap()
    }

    fn default(&self) -> &str {
        self.name_and_default.values().next().unwrap().as_deref().unwrap_or_default()
    }

    /// The summary, or the part of the title after its last comma.
    fn meaning(&self) -> String {
        let Some(summary) = &self.opts.summary else {
            let title =
                self.opts.title.rsplit_once(", ").map_or(self.opts.title.as_str(), |(_, title)| title);
            return title[..1].to_uppercase() + &title[1..];
        };
        let is_one_sentence = !summary.contains(". ");
        escaped(if is_one_sentence { summary.trim_end_matches('.') } else { summary })
    }

    fn description(&self) -> &str {
        self.opts.description.as_deref().unwrap_or_default().trim_end()
    }
}

fn step_yml() -> StepYml {
    serde_yaml::from_str(include_str!("../../step.yml")).unwrap()
}

/// Escapes `<` outside of code, which would begin HTML, and `|`, which would end a table cell.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(i, part)| if i % 2 == 1 { part.to_owned() } else { part.replace('<', "\\<") });
    parts.collect::<Vec<_>>().join("`").replace('|', "\\|")
}

fn code_list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let texts = texts.into_iter().filter(|text| !text.as_ref().is_empty());
    texts.map(|text| format!("`{}`", text.as_ref())).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_reference_is_made_from_step_yml_and_the_table_of_tools() {
    let step_yml = step_yml();
    let mut page = "\
<!-- Made from step.yml and src/tools/table.rs: SNAPSHOTS=overwrite cargo test --test step reference -->

# Reference

## Inputs

The first value is the default.

input | title | values | summary
---|---|---|---
"
    .to_owned();
    for input in &step_yml.inputs {
        let default = input.default();
        let others = input.opts.value_options.iter().map(String::as_str).filter(|value| *value != default);
        let values = code_list(std::iter::once(default).chain(others));
        let secret = if input.opts.is_sensitive { " (secret)" } else { "" };
        let (name, title) = (input.name(), &input.opts.title);
        writeln!(page, "`{name}` | {title} | {values} | {}{secret}", input.meaning()).unwrap();
    }
    for input in &step_yml.inputs {
        // The README explains `connection`, and the table below lists the tools.
        let description = match input.name() {
            "connection" => "See [Which credential is used](../README.md#which-credential-is-used).",
            "export_for" => "A list of [tools](#tools), separated by commas, semicolons, spaces or newlines.",
            _ => input.description(),
        };
        if !description.is_empty() {
            writeln!(page, "\n### `{}`\n\n{description}", input.name()).unwrap();
        }
    }
    page.push_str(
        "
## Tools

The names for `export_for`, in upper or lower case. A tool gets no outputs for a credential that it can't use.

tool | for | team key | individual key | Apple ID
---|---|---|---|---
",
    );
    let tools = tools_in_step_yml(&step_yml);
    for tool in TOOLS {
        let [team, individual, apple_id] = CredentialKind::ALL.map(|kind| support_for(tool, kind));
        let (names, purpose) = tools[tool.name];
        writeln!(page, "{names} | {purpose} | {team} | {individual} | {apple_id}").unwrap();
    }
    page.push_str(
        "
## Outputs

Outputs without a tool need no entry in `export_for`. If *when* is empty, the output is exported for every credential
that the tool can use.

output | tools | when | value
---|---|---|---
",
    );
    for output in &step_yml.outputs {
        let secret = if output.opts.is_sensitive { " (secret)" } else { "" };
        let (tools, when) = readers_and_conditions(output.name());
        writeln!(page, "`{}` | {tools} | {when} | {}{secret}", output.name(), output.meaning()).unwrap();
    }
    assert_document("docs/reference.md", &page);
}

/// `no`, `yes`, or what the tool needs in addition to a credential of this kind.
fn support_for(tool: &Tool, kind: CredentialKind) -> String {
    let ways =
        tool.variables.iter().filter(|group| group.can_authenticate(|value| value.kinds().contains(&kind)));
    let ways: Vec<_> =
        ways.map(|group| conditions(group.outputs(), matches!(group, VariableGroup::Any(_)))).collect();
    match ways.as_slice() {
        [] => "no".to_owned(),
        [first, ..] if first.is_empty() => "yes".to_owned(),
        ways => format!("with {}", ways.join(", or with ")),
    }
}

/// The conditions for exporting all of these outputs together. Empty if they are exported one by one.
fn conditions(outputs: &[Output], are_exported_one_by_one: bool) -> String {
    let values = outputs.iter().map(|(_, value)| *value).filter(|_| !are_exported_one_by_one);
    values.filter_map(OutputValue::condition).map(input_of).collect::<Vec<_>>().join(" and ")
}

/// The input in a condition such as "a password (`password`)".
fn input_of(condition: &str) -> &str {
    condition.split_once(" (").and_then(|(_, input)| input.strip_suffix(')')).unwrap_or(condition)
}

/// The tools that read an output, and when it is exported. Empty means: for every kind of credential that they can use.
fn readers_and_conditions(name: &str) -> (String, String) {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut is_always_exported = true;
    let workflow = [("", &VariableGroup::Extra(RESULT)), ("", &VariableGroup::Extra(WORKFLOW))];
    let of_tools = TOOLS.iter().flat_map(|tool| tool.variables.iter().map(|group| (tool.name, group)));
    for (tool, group) in workflow.into_iter().chain(of_tools) {
        let usable = TOOLS.iter().find(|known| known.name == tool);
        let usable = usable.map(|tool| name_accepted_kinds(|kind| tool.can_use(kind)));
        for output in group.outputs().iter().filter(|(output, _)| *output == name) {
            let joint_outputs =
                if matches!(group, VariableGroup::AllOrNone(_)) { group.outputs() } else { &[*output] };
            let when = when_exported(joint_outputs);
            is_always_exported &= usable == Some(when.as_str());
            rows.push((tool, when));
        }
    }
    assert!(!rows.is_empty(), "{name} is never exported");
    let mut tools: Vec<_> = rows.iter().map(|(tool, _)| *tool).collect();
    tools.dedup();
    if is_always_exported {
        return (code_list(tools), String::new());
    }
    let mut conditions: Vec<_> = rows.iter().map(|(_, when)| when).collect();
    conditions.sort();
    conditions.dedup();
    let with_readers = |when: &String| {
        let mut readers: Vec<_> = rows.iter().filter(|(_, own)| own == when).map(|(tool, _)| *tool).collect();
        readers.dedup();
        if readers == tools { when.clone() } else { format!("{}: {when}", code_list(readers)) }
    };
    let separator = if tools.len() == 1 { " or " } else { "; " };
    let conditions: Vec<_> = conditions.into_iter().map(with_readers).collect();
    (code_list(tools), conditions.join(separator))
}

/// The credential and the conditions for all of these outputs together.
fn when_exported(outputs: &[Output]) -> String {
    let credential =
        name_accepted_kinds(|kind| outputs.iter().all(|(_, value)| value.kinds().contains(&kind)));
    match (credential, conditions(outputs, false)) {
        ("", conditions) if conditions.is_empty() => "always".to_owned(),
        ("", conditions) => format!("with {conditions}"),
        (credential, conditions) if conditions.is_empty() => credential.to_owned(),
        (credential, conditions) => format!("{credential} with {conditions}"),
    }
}

/// The accepted kinds of credential in words, or an empty text if all are accepted.
fn name_accepted_kinds(is_accepted: impl Fn(CredentialKind) -> bool) -> &'static str {
    const TEAM_KEY: CredentialKind = CredentialKind::ApiKey(KeyKind::Team);
    const INDIVIDUAL_KEY: CredentialKind = CredentialKind::ApiKey(KeyKind::Individual);
    let kinds: Vec<_> = CredentialKind::ALL.into_iter().filter(|kind| is_accepted(*kind)).collect();
    match kinds.as_slice() {
        [TEAM_KEY, INDIVIDUAL_KEY, CredentialKind::AppleId] => "",
        [TEAM_KEY, INDIVIDUAL_KEY] => "API key",
        [TEAM_KEY] => "team key",
        [INDIVIDUAL_KEY] => "individual key",
        [CredentialKind::AppleId] => "Apple ID",
        [TEAM_KEY, CredentialKind::AppleId] => "team key, Apple ID",
        other => panic!("no words for {other:?}"),
    }
}

/// For each tool, its names and its purpose, from the description of `export_for`. Panics if a tool is missing.
fn tools_in_step_yml(step_yml: &StepYml) -> BTreeMap<&str, (&str, &str)> {
    let input = step_yml.inputs.iter().find(|input| input.name() == "export_for").unwrap();
    let items = input.description().lines().filter_map(|line| line.strip_prefix("- "));
    let items = items.map(|item| item.split_once(": ").unwrap());
    let tools: BTreeMap<_, _> =
        items.map(|(names, purpose)| (names.split('`').nth(1).unwrap(), (names, purpose))).collect();
    for tool in TOOLS {
        let is_listed = tools.contains_key(tool.name);
        assert!(is_listed, "the description of export_for in step.yml does not list {}", tool.name);
    }
    tools
}

#[test]
fn no_allowed_value_in_step_yml_hits_a_bug() {
    for input in &step_yml().inputs {
        for value in &input.opts.value_options {
            let outcome = Step::new().connected(&api_key()).set(input.name(), value).run_in_process();
            assert!(!outcome.stdout.contains("hit a bug"), "{}: {value}: {}", input.name(), outcome.stdout);
        }
    }
}

#[test]
fn step_yml_describes_every_tool_and_alias() {
    let step_yml = step_yml();
    let described = tools_in_step_yml(&step_yml);
    for tool in TOOLS {
        let (names, _) = described[tool.name];
        for name in tool.all_names() {
            assert!(names.contains(&format!("`{name}`")), "{name} is missing from: {names}");
        }
    }
    assert_eq!(described.len(), TOOLS.len());
}

#[test]
fn step_yml_declares_exactly_the_outputs_of_the_table_in_its_order() {
    let step_yml = step_yml();
    let declared: Vec<_> =
        step_yml.outputs.iter().map(|output| (output.name(), output.opts.is_sensitive)).collect();
    let outputs = || RESULT.iter().chain(WORKFLOW).copied().chain(TOOLS.iter().flat_map(Tool::outputs));
    let is_secret = |name: &str| outputs().any(|(known, value)| known == name && value.is_secret());
    let expected: Vec<_> = output_names().into_iter().map(|name| (name, is_secret(name))).collect();
    assert_eq!(declared, expected);
}

#[test]
fn step_yml_names_exactly_the_tools_that_support_individual_keys() {
    let individual_key = CredentialKind::ApiKey(KeyKind::Individual);
    let tools = TOOLS.iter().filter(|tool| tool.can_use(individual_key)).map(|tool| tool.name);
    let (others, last) =
        code_list(tools).rsplit_once(", ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let sentence = format!("Only {others} and {last} support individual keys.");
    let step_yml = step_yml();
    let input = step_yml.inputs.iter().find(|input| input.name() == "export_for").unwrap();
    assert!(input.description().contains(&sentence), "{sentence}");
}
