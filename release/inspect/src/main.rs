//! Checks that a binary of the Step keeps the promises of a release: `inspect TARGET BINARY [PATH...]`.
//!
//! TARGET is a target of `release/build`, or `any` for a binary from any build, which must only be free
//! of CPU jitter entropy. The PATHs are folders of the build machine; the binary must not contain them.
//! Prints the findings, or one line for each broken promise and exits with status 1. The symbols that a
//! macOS binary can import are listed in `release/macos/imports.txt`.

mod code_signature;
mod elf;
mod imports;
mod macho;

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::elf::Machine;
use crate::macho::Cpu;

/// The largest binary that a release can have.
const MAX_BYTES: usize = 4_718_592; // 4.5 MiB

/// The start of `jent_lag_global_cutoff_lookup`, a table in aws-lc's CPU jitter entropy source. Every
/// binary that is built without `AWS_LC_SYS_NO_JITTER_ENTROPY=1` contains it. `release/check` compiles
/// aws-lc's file and checks that the table is found in it.
const JITTER_TABLE: [u32; 8] = [66443, 93504, 104_761, 110_875, 114_707, 117_330, 119_237, 120_686];

fn main() -> ExitCode {
    match inspect(std::env::args().skip(1)) {
        Ok(findings) if findings.broken.is_empty() => {
            println!("ok  {}", findings.kept.join(", "));
            ExitCode::SUCCESS
        }
        Ok(findings) => {
            for broken in findings.broken {
                println!("broken: {broken}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("broken: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Descriptions of the promises that a binary keeps, and of those that it breaks.
#[derive(Default)]
struct Findings {
    kept: Vec<String>,
    broken: Vec<String>,
}

impl Findings {
    /// Records whether the binary keeps a promise, with a description of what was found.
    fn note(&mut self, is_kept: bool, description: impl Into<String>) {
        let description = description.into();
        if is_kept { self.kept.push(description) } else { self.broken.push(description) }
    }
}

fn inspect(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Findings> {
    let (Some(target), Some(path)) = (arguments.next(), arguments.next()) else {
        bail!("usage: inspect TARGET BINARY [PATH...]");
    };
    let binary = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let mut findings = Findings::default();
    let table: Vec<u8> = JITTER_TABLE.iter().flat_map(|cutoff| cutoff.to_le_bytes()).collect();
    if contains(&binary, &table) {
        findings.note(false, "contains aws-lc's CPU jitter entropy source");
    } else {
        findings.note(true, "no CPU jitter entropy");
    }
    if target == "any" {
        return Ok(findings);
    }
    findings.note(binary.len() <= MAX_BYTES, format!("{} bytes of at most {MAX_BYTES}", binary.len()));
    for forbidden in arguments {
        if contains(&binary, forbidden.as_bytes()) {
            findings.note(false, format!("contains the path {forbidden}"));
        }
    }
    match target.as_str() {
        "darwin-arm64" => macho::inspect(&binary, Cpu::Arm64, &mut findings)?,
        "darwin-amd64" => macho::inspect(&binary, Cpu::X86_64, &mut findings)?,
        "linux-amd64" => elf::inspect(&binary, Machine::X86_64, &mut findings)?,
        "linux-arm64" => elf::inspect(&binary, Machine::Aarch64, &mut findings)?,
        _ => bail!("unknown target {target}"),
    }
    Ok(findings)
}

fn contains(binary: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && binary.windows(part.len()).any(|window| window == part)
}
