//! Modules import each other only as the table in CONTRIBUTING.md allows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use test_support::files_below;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The position of each module in the table. Modules in one row can't import each other.
fn read_positions() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let (_, table) = text.split_once("|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|')).enumerate();
    rows.flat_map(|(position, row)| {
        let names = row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2);
        names.map(move |name| (name.to_owned(), position)).collect::<Vec<_>>()
    })
    .collect()
}

/// The source without comments and tests.
fn read_code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The first name of each path after `crate::`, including the paths in braces.
fn imports(code: &str) -> Vec<&str> {
    let name_end = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let paths = code.split("crate::").skip(1);
    paths
        .flat_map(|path| match path.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(',').map(str::trim).collect(),
            None => vec![path],
        })
        .map(|path| &path[..name_end(path)])
        .collect()
}

#[test]
fn a_module_imports_only_modules_above_it_in_the_table() {
    let positions = read_positions();
    let source = root().join("src");
    let mut forbidden = Vec::new();
    for path in files_below(&source) {
        let relative = path.strip_prefix(&source).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let own_position = positions.get(module).unwrap_or_else(|| panic!("the table lacks {module}"));
        let code = read_code(&path);
        // The macro `text` of `redact` is at the crate's root.
        let imported = imports(&code).into_iter().map(|name| if name == "text" { "redact" } else { name });
        for imported in imported.filter(|imported| *imported != module) {
            if positions.get(imported).is_none_or(|position| position >= own_position) {
                forbidden.push(format!("{}: {imported}", relative.display()));
            }
        }
    }
    forbidden.sort();
    forbidden.dedup();
    assert_eq!(forbidden, Vec::<String>::new());
    let missing: Vec<_> = positions
        .keys()
        .filter(|name| !source.join(name).is_dir() && !source.join(format!("{name}.rs")).is_file())
        .collect();
    assert_eq!(missing, Vec::<&String>::new(), "the table lists modules that do not exist");
}
