//! The shapes of text that a key is in: PEM, base64 with or without PEM around it, and what
//! secret stores, terminals and web forms make of them.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::refusal::Refusal;

/// People lose or double the padding when they copy; it carries no information.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Unwraps the one key that a text holds, down to its DER.
///
/// # Errors
/// A [`Refusal`] that says what the text is instead.
pub(super) fn to_der(text: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    from_text(text, Nesting::Outermost)
}

/// Whether base64 may still turn out to wrap a whole file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Outermost,
    InsideBase64,
}

fn from_text(text: &str, nesting: Nesting) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let text = strip_wrapping(text);
    if text.is_empty() {
        return Err(Refusal::Empty);
    }
    if let Some(refusal) = identify_document(text) {
        return Err(refusal);
    }
    // Secret stores that take one line only make people write newlines as `\n`.
    let without_returns = Zeroizing::new(text.replace("\\r", "\n"));
    let text = Zeroizing::new(without_returns.replace("\\n", "\n"));
    if text.contains("-----") {
        return from_pem(&text);
    }
    // Such a newline may have stood outside of the quotes.
    let der = decode_base64(strip_wrapping(&text))?;
    match std::str::from_utf8(&der) {
        Ok(inner) if nesting == Nesting::Outermost => from_text(inner, Nesting::InsideBase64),
        _ => Ok(der),
    }
}

/// Takes off byte-order mark, blanks and quotes around the text, however often they were put on.
pub(crate) fn strip_wrapping(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '"' | '\'' | '`' | '\0'))
}

/// Recognises whole documents that hold no key, or hold one that must not be dug out by guessing.
fn identify_document(text: &str) -> Option<Refusal> {
    if text.starts_with('{') {
        let is_fastlane = text.contains("\"key_id\"") && text.contains("\"key\"");
        return Some(if is_fastlane { Refusal::FastlaneJson } else { Refusal::Json });
    }
    if text.starts_with('<') {
        let start = text.get(..512).unwrap_or(text).to_ascii_lowercase();
        let is_html = start.contains("<html") || start.starts_with("<!doctype html");
        let is_xml = start.starts_with("<?xml") || start.starts_with("<error");
        return Some(if is_xml && !is_html { Refusal::XmlError } else { Refusal::Html });
    }
    None
}

/// Decodes base64 as people have it: of either alphabet, on several lines, with or without padding.
pub(crate) fn decode_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    // With room for all of it: a buffer that grows leaves copies behind.
    let mut compact = Zeroizing::new(String::with_capacity(text.len()));
    compact.extend(text.chars().filter(|c| !c.is_whitespace()).map(|c| match c {
        // URL-safe base64 says the same in two other letters.
        '-' => '+',
        '_' => '/',
        other => other,
    }));
    BASE64.decode(compact.as_bytes()).map(Zeroizing::new).map_err(|_| Refusal::Damaged)
}

/// A PEM block: its label, and the text between the two lines.
struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

/// Splits text into its PEM blocks. [RFC 7468] parsers want lines of 64 columns; this text
/// may be one line, so the blocks are found by their markers alone.
///
/// [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468
fn pem_blocks(text: &str) -> Result<Vec<Block<'_>>, Refusal> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after_begin)) = rest.split_once("-----BEGIN ") {
        let (label, after_label) = after_begin.split_once("-----").ok_or(Refusal::Damaged)?;
        let end = format!("-----END {label}-----");
        let (body, after_end) = after_label.split_once(&end).ok_or(Refusal::Damaged)?;
        if body.contains("-----BEGIN ") {
            return Err(Refusal::Damaged);
        }
        blocks.push(Block { label, body });
        rest = after_end;
    }
    Ok(blocks)
}

fn from_pem(text: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let blocks = pem_blocks(text)?;
    // `openssl ecparam -genkey` puts the curve before the key; the key names it again.
    let mut blocks: Vec<_> = blocks.iter().filter(|block| block.label != "EC PARAMETERS").collect();
    if blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY")).count() > 1 {
        return Err(Refusal::SeveralKeys);
    }
    let (Some(block), None) = (blocks.pop(), blocks.pop()) else {
        // A key beside a certificate is a signing identity, no API key.
        let certificate = text.contains("-----BEGIN CERTIFICATE-----");
        return Err(if certificate { Refusal::Certificate } else { Refusal::Damaged });
    };
    match block.label {
        "PRIVATE KEY" | "EC PRIVATE KEY" if !block.body.contains("ENCRYPTED") => decode_base64(block.body),
        "ENCRYPTED PRIVATE KEY" | "PRIVATE KEY" | "EC PRIVATE KEY" => Err(Refusal::Encrypted),
        "RSA PRIVATE KEY" if block.body.contains("ENCRYPTED") => Err(Refusal::Encrypted),
        "RSA PRIVATE KEY" => Err(Refusal::Rsa),
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => Err(Refusal::Certificate),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Err(Refusal::CertificateRequest),
        label if label.ends_with("PUBLIC KEY") => Err(Refusal::PublicKey),
        label if label.ends_with("PRIVATE KEY") => Err(Refusal::OtherAlgorithm),
        _ => Err(Refusal::Damaged),
    }
}
