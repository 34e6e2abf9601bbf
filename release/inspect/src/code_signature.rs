//! The code signature of a macOS binary: one `CodeDirectory`, defined in Apple's `cs_blobs.h` (XNU).

use anyhow::{Context as _, bail};
use aws_lc_rs::digest::{SHA256, digest};

use crate::Findings;

const MAGIC_EMBEDDED_SIGNATURE: u32 = 0xfade_0cc0;
const MAGIC_CODE_DIRECTORY: u32 = 0xfade_0c02;
const SLOT_CODE_DIRECTORY: u32 = 0;
/// The signature of the code directory with a certificate. In an ad-hoc signature, it is missing or empty.
const SLOT_CMS: u32 = 0x10000;
const FLAG_AD_HOC: u32 = 0x2;
const FLAG_LINKER_SIGNED: u32 = 0x2_0000;
const HASH_TYPE_SHA256: u8 = 2;
const HASH_BYTES: usize = 32;

/// Checks the signature, which begins at `start` and has a length of `bytes`.
pub(crate) fn inspect(
    binary: &[u8],
    start: usize,
    bytes: usize,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let signature = slice(binary, start, bytes)?;
    findings.note(start + bytes == binary.len(), "signature at the end");
    if u32_at(signature, 0)? != MAGIC_EMBEDDED_SIGNATURE {
        bail!("unknown format of the code signature");
    }
    let mut directories = Vec::new();
    for index in 0..u32_at(signature, 8)? as usize {
        let slot = u32_at(signature, 12 + 8 * index)?;
        let offset = u32_at(signature, 16 + 8 * index)? as usize;
        match slot {
            SLOT_CODE_DIRECTORY => directories.push(offset),
            // An empty signature is a header of 8 bytes.
            SLOT_CMS => findings.note(u32_at(signature, offset + 4)? == 8, "ad hoc"),
            _ => {}
        }
    }
    let [offset] = *directories.as_slice() else {
        bail!("expected one code directory, found {}", directories.len())
    };
    let directory = slice(signature, offset, u32_at(signature, offset + 4)? as usize)?;
    if u32_at(directory, 0)? != MAGIC_CODE_DIRECTORY {
        bail!("unknown format of the code directory");
    }
    let flags = u32_at(directory, 12)?;
    findings.note(flags == FLAG_AD_HOC | FLAG_LINKER_SIGNED, format!("signed with the flags {flags:#x}"));

    let hashes = u32_at(directory, 16)? as usize;
    let pages = u32_at(directory, 28)? as usize;
    let signed = u32_at(directory, 32)? as usize;
    let &[hash_bytes, hash_type, _platform, page_bits] = slice(directory, 36, 4)? else {
        bail!("unreachable")
    };
    if usize::from(hash_bytes) != HASH_BYTES || hash_type != HASH_TYPE_SHA256 {
        bail!("the pages are not hashed with SHA-256");
    }
    findings.note(signed == start, "signed from the start to the signature");
    let page_bytes = 1_usize.checked_shl(page_bits.into()).context("the page size is too large")?;
    let code = slice(binary, 0, signed)?;
    findings.note(code.chunks(page_bytes).len() == pages, format!("{pages} pages"));
    for (index, page) in code.chunks(page_bytes).enumerate() {
        let expected = slice(directory, hashes + HASH_BYTES * index, HASH_BYTES)?;
        if digest(&SHA256, page).as_ref() != expected {
            findings.note(false, format!("page {index} does not have the hash that was signed"));
        }
    }
    Ok(())
}

fn slice(bytes: &[u8], start: usize, length: usize) -> anyhow::Result<&[u8]> {
    let end = start.checked_add(length).context("a length in the code signature is too large")?;
    bytes.get(start..end).context("the code signature is truncated")
}

/// The number at this offset. Numbers in a code signature are big-endian on every machine.
fn u32_at(bytes: &[u8], offset: usize) -> anyhow::Result<u32> {
    let bytes = slice(bytes, offset, 4)?;
    Ok(u32::from_be_bytes(bytes.try_into()?))
}
