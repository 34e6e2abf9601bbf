//! macOS binaries must load on the oldest supported version, and pass the kernel's checks.

use anyhow::{Context as _, bail};
use goblin::mach::constants::cputype::{CPU_TYPE_ARM64, CPU_TYPE_X86_64};
use goblin::mach::load_command::CommandVariant;
use goblin::mach::{Mach, MachO};

use crate::Findings;
use crate::code_signature;
use crate::imports::{Imports, MacOs};

const OLDEST: MacOs = MacOs(11, 0);
const PLATFORM_MACOS: u32 = 1;
const ALLOWED_LIBRARIES: [&str; 4] = [
    "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation",
    "/System/Library/Frameworks/Security.framework/Versions/A/Security",
    "/System/Library/Frameworks/SystemConfiguration.framework/Versions/A/SystemConfiguration",
    "/usr/lib/libSystem.B.dylib",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cpu {
    Arm64,
    X86_64,
}

pub(crate) fn inspect(binary: &[u8], cpu: Cpu, findings: &mut Findings) -> anyhow::Result<()> {
    let Mach::Binary(macho) = Mach::parse(binary).context("not a Mach-O file")? else {
        bail!("a binary for several architectures");
    };
    let expected = match cpu {
        Cpu::Arm64 => CPU_TYPE_ARM64,
        Cpu::X86_64 => CPU_TYPE_X86_64,
    };
    findings.note(macho.header.cputype() == expected, format!("Mach-O for {cpu:?}"));
    inspect_oldest_macos(&macho, findings);

    // The first entry is the binary itself.
    let libraries: Vec<&str> = macho.libs.iter().skip(1).copied().collect();
    findings.note(
        libraries.iter().all(|library| ALLOWED_LIBRARIES.contains(library)),
        format!("libraries {}", libraries.join(" ")),
    );
    findings.note(macho.rpaths.is_empty(), "no library search paths");
    inspect_imports(&macho, findings)?;

    let signature = macho.load_commands.iter().find_map(|command| match command.command {
        CommandVariant::CodeSignature(location) => Some(location),
        _ => None,
    });
    match (signature, cpu) {
        (Some(location), _) => {
            code_signature::inspect(binary, location.dataoff as usize, location.datasize as usize, findings)
        }
        // Apple's linker doesn't sign for x86-64 either, and Intel Macs don't require a signature.
        (None, Cpu::X86_64) => {
            findings.note(true, "not signed");
            Ok(())
        }
        (None, Cpu::Arm64) => bail!("not signed: an arm64 Mac kills such a process"),
    }
}

fn inspect_oldest_macos(macho: &MachO<'_>, findings: &mut Findings) {
    let builds = macho.load_commands.iter().filter_map(|command| match command.command {
        CommandVariant::BuildVersion(build) => Some(build),
        _ => None,
    });
    let versions: Vec<(u32, MacOs)> =
        builds.map(|build| (build.platform, MacOs(build.minos >> 16, build.minos >> 8 & 0xff))).collect();
    findings.note(versions == [(PLATFORM_MACOS, OLDEST)], format!("(platform, oldest version) {versions:?}"));
}

fn inspect_imports(macho: &MachO<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let allowed = Imports::read()?;
    let imports = macho.imports().context("cannot read the imports")?;
    let mut names = Vec::new();
    for import in &imports {
        names.push(import.name);
        match allowed.since(import.dylib, import.name) {
            None => findings.note(
                false,
                format!(
                    "imports {} from {}, which release/macos/imports.txt lacks",
                    import.name, import.dylib
                ),
            ),
            Some(since) if since > OLDEST => findings
                .note(false, format!("imports {}, which is newer than {OLDEST:?}: {since:?}", import.name)),
            Some(_) => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    findings.note(names.len() > 40, format!("{} imports", names.len()));
    // `imports` doesn't list weakly bound symbols, which several libraries can define.
    let has_weak_imports = macho.load_commands.iter().any(|command| match command.command {
        CommandVariant::DyldInfoOnly(info) | CommandVariant::DyldInfo(info) => info.weak_bind_size != 0,
        _ => false,
    });
    findings.note(!has_weak_imports, "no weakly bound imports");
    Ok(())
}
