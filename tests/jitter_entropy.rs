//! aws-lc is built without its CPU jitter entropy source, which costs 22 ms in every run: by
//! `AWS_LC_SYS_NO_JITTER_ENTROPY=1`, in `.cargo/config.toml` for a clone, in `step.sh` and in
//! `release/build`. The launcher's tests and `release/inspect` hold the other two against it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "all of this is a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn cargo(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Where cargo keeps the sources of aws-lc-sys that the build was made from.
fn sources_of_aws_lc() -> PathBuf {
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata =
        cargo(&["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "aws-lc-sys").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("aws-lc")
}

/// A table of the entropy source as it lies in a binary, stripped or not.
fn table_of_the_entropy_source() -> Vec<u8> {
    let file = "third_party/jitterentropy/jitterentropy-library/src/jitterentropy-health.c";
    let source = std::fs::read_to_string(sources_of_aws_lc().join(file)).unwrap();
    let (_, table) = source.split_once("jent_lag_global_cutoff_lookup[20] =").unwrap();
    let (table, _) = table.split_once('}').unwrap();
    let cutoffs: Vec<u32> = table
        .trim()
        .trim_start_matches('{')
        .split(',')
        .map(|cutoff| cutoff.trim().parse().unwrap())
        .collect();
    assert_eq!(cutoffs.len(), 20);
    cutoffs.into_iter().flat_map(u32::to_ne_bytes).collect()
}

#[test]
fn this_build_has_no_jitter_entropy_source() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_apple-services-connection")).unwrap();
    let table = table_of_the_entropy_source();
    assert!(
        !binary.windows(table.len()).any(|window| window == table),
        "built without AWS_LC_SYS_NO_JITTER_ENTROPY=1, which .cargo/config.toml sets"
    );
}

#[test]
fn a_release_is_searched_for_the_table_that_is_in_the_sources() {
    let inspect = Path::new(env!("CARGO_MANIFEST_DIR")).join("release/inspect/src/main.rs");
    let inspect = std::fs::read_to_string(inspect).unwrap();
    let (_, table) = inspect.split_once("const JITTER_TABLE: [u32; 8] = [").unwrap();
    let (table, _) = table.split_once(']').unwrap();
    let cutoffs = table.replace(['_', '\n', ' '], "");
    let cutoffs = cutoffs.trim_end_matches(',').split(',').map(|cutoff| cutoff.parse::<u32>().unwrap());
    let searched: Vec<u8> = cutoffs.flat_map(u32::to_ne_bytes).collect();
    assert_eq!(searched.len(), 32);
    assert!(table_of_the_entropy_source().starts_with(&searched));
}
