//! Holds a binary of the Step against what a release promises: `inspect TARGET BINARY [PATH...]`.
//!
//! TARGET is as in `release/build`; the PATHs are folders of the building machine, which the binary
//! must not name. Prints what was found, or one line for each broken promise, with status 1. What a
//! macOS binary may import stands in `release/macos/imports.txt`.

mod code_signature;
mod elf;
mod imports;
mod macho;

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::elf::Machine;
use crate::macho::Cpu;

/// Of every binary.
const MOST_BYTES: usize = 4_404_019; // 4.2 MiB

/// `jent_lag_global_cutoff_lookup`, a table of the CPU jitter entropy source in aws-lc, which is part
/// of each binary that was built without `AWS_LC_SYS_NO_JITTER_ENTROPY=1`. The Step's own tests hold
/// it against aws-lc's sources.
const JITTER_TABLE: [u32; 8] = [66443, 93504, 104_761, 110_875, 114_707, 117_330, 119_237, 120_686];

fn main() -> ExitCode {
    match inspect(std::env::args().skip(1)) {
        Ok(findings) if findings.broken.is_empty() => {
            println!("ok  {}", findings.seen.join(", "));
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

/// What a binary turned out to be, and which promises it breaks.
#[derive(Default)]
struct Findings {
    seen: Vec<String>,
    broken: Vec<String>,
}

impl Findings {
    /// Notes what was seen, and that it is broken unless the promise holds.
    fn note(&mut self, holds: bool, seen: impl Into<String>) {
        let seen = seen.into();
        if holds { self.seen.push(seen) } else { self.broken.push(seen) }
    }
}

fn inspect(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Findings> {
    let (Some(target), Some(path)) = (arguments.next(), arguments.next()) else {
        bail!("usage: inspect TARGET BINARY [PATH...]");
    };
    let binary = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let mut findings = Findings::default();
    findings.note(binary.len() <= MOST_BYTES, format!("{} bytes of at most {MOST_BYTES}", binary.len()));
    for forbidden in arguments {
        if contains(&binary, forbidden.as_bytes()) {
            findings.note(false, format!("holds the path {forbidden}"));
        }
    }
    let table: Vec<u8> = JITTER_TABLE.iter().flat_map(|cutoff| cutoff.to_le_bytes()).collect();
    findings.note(!contains(&binary, &table), "CPU jitter entropy left out");
    match target.as_str() {
        "darwin-arm64" => macho::inspect(&binary, Cpu::Arm64, &mut findings)?,
        "darwin-amd64" => macho::inspect(&binary, Cpu::X86_64, &mut findings)?,
        "linux-amd64" => elf::inspect(&binary, Machine::X86_64, &mut findings)?,
        "linux-arm64" => elf::inspect(&binary, Machine::Aarch64, &mut findings)?,
        _ => bail!("{target} is no target"),
    }
    Ok(findings)
}

fn contains(binary: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && binary.windows(part.len()).any(|window| window == part)
}
