//! Linux binaries must be static, so that they run on any distribution.

use anyhow::Context as _;
use goblin::elf::Elf;
use goblin::elf::header::{EM_AARCH64, EM_X86_64};

use crate::Findings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    X86_64,
    Aarch64,
}

pub(crate) fn inspect(binary: &[u8], machine: Machine, findings: &mut Findings) -> anyhow::Result<()> {
    let elf = Elf::parse(binary).context("not an ELF file")?;
    let expected = match machine {
        Machine::X86_64 => EM_X86_64,
        Machine::Aarch64 => EM_AARCH64,
    };
    findings.note(elf.header.e_machine == expected && elf.is_64, format!("ELF for {machine:?}"));
    match elf.interpreter {
        None => findings.note(true, "no loader"),
        Some(loader) => findings.note(false, format!("needs the loader {loader}")),
    }
    findings.note(elf.libraries.is_empty(), format!("libraries {:?}", elf.libraries));
    let names = elf.dynstrtab.to_vec().unwrap_or_default();
    findings.note(!names.iter().any(|name| name.contains("GLIBC_")), "no symbols of glibc");
    Ok(())
}
