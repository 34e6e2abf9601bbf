//! Finds the key in DER, PEM and base64, even if a secret store, terminal, editor or web form has changed it.
//!
//! The search recognizes keys by their ASN.1 structure. PEM labels and the kind of document only matter for the error
//! if no structure is recognized. Decoding lengthens data by at most half, and the depth is limited, so the search
//! takes linear time.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::der;
use super::error::PrivateKeyError;

/// Accepts missing and incomplete padding, which are common copying mistakes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How many times a key can be encoded. Percent-encoded base64 of PEM is encoded three times.
const MAX_DEPTH: u8 = 6;

/// Returns the only key in `bytes` as canonical PEM.
///
/// # Errors
/// [`PrivateKeyError`], which says what the bytes are instead.
pub(super) fn find(bytes: &[u8]) -> Result<SecretString, PrivateKeyError> {
    use PrivateKeyError::{Certificate, Ed25519, Encrypted, OtherCurve, Rsa};
    let mut search = Search::default();
    search.search_bytes(bytes, MAX_DEPTH);
    match (search.key, search.error) {
        (Some(_), _) if search.has_several_keys => Err(PrivateKeyError::SeveralKeys),
        (Some(_), Some(Rsa | OtherCurve | Ed25519 | Encrypted)) => Err(PrivateKeyError::SeveralKeys),
        // A key next to a certificate is a signing identity.
        (Some(_), Some(Certificate)) => Err(Certificate),
        (Some(key), _) => Ok(key),
        (None, Some(error)) => Err(error),
        (None, None) => Err(match decode_text(bytes) {
            None => PrivateKeyError::NotText,
            Some(text) if strip_wrapping(&text).is_empty() => PrivateKeyError::Empty,
            Some(_) => PrivateKeyError::Damaged,
        }),
    }
}

#[derive(Default)]
struct Search {
    key: Option<SecretString>,
    has_several_keys: bool,
    /// The first recognized content that is not a usable key.
    error: Option<PrivateKeyError>,
}

/// All methods return whether they recognized the content. `depth` is how many more encodings they can decode.
impl Search {
    /// Records the error, if any, unless there is an earlier one.
    fn record_error(&mut self, error: Option<PrivateKeyError>) -> bool {
        self.error = self.error.or(error);
        error.is_some()
    }

    fn search_bytes(&mut self, bytes: &[u8], depth: u8) -> bool {
        match der::identify(bytes) {
            Some(Ok(())) => der::to_canonical_pem(bytes).is_some_and(|pem| {
                let is_other = |key: &SecretString| key.expose_secret() != pem.expose_secret();
                self.has_several_keys |= self.key.as_ref().is_some_and(is_other);
                self.key = Some(pem);
                true
            }),
            Some(Err(error)) => self.record_error(Some(error)),
            None => {
                self.record_error(identify_encrypted_file(bytes))
                    || decode_text(bytes).is_some_and(|text| self.search_text(&text, depth))
            }
        }
    }

    fn search_text(&mut self, text: &str, depth: u8) -> bool {
        if let Some(decoded) = decode_percent(text) {
            return depth > 0 && self.search_bytes(&decoded, depth - 1);
        }
        let plain = remove_formatting(text);
        let blocks = pem_blocks(&plain);
        let is_recognized = if blocks.is_empty() {
            self.search_base64(strip_name(&plain), depth)
        } else {
            // Unlike `any`, `count` also searches the blocks after a key, to detect a second one.
            blocks.iter().filter(|(label, body)| self.search_block(label, body, depth)).count() > 0
        };
        is_recognized || self.record_error(identify_document(strip_wrapping(text)))
    }

    fn search_block(&mut self, label: &str, body: &str, depth: u8) -> bool {
        // `Proc-Type: 4,ENCRYPTED` (RFC 1421).
        if body.contains("ENCRYPTED") {
            return self.record_error(Some(PrivateKeyError::Encrypted));
        }
        self.search_base64(body, depth) || self.record_error(identify_label(label))
    }

    fn search_base64(&mut self, text: &str, depth: u8) -> bool {
        depth > 0 && decode_base64(text).is_some_and(|bytes| self.search_bytes(&bytes, depth - 1))
    }
}

/// Removes byte-order marks, NUL characters, whitespace and quotes around the text.
pub(crate) fn strip_wrapping(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_quote(c) || matches!(c, '\u{feff}' | '\0'))
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '«' | '»')
}

/// Decodes base64 in the standard or URL-safe alphabet, on one or several lines, with or without padding.
pub(crate) fn decode_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    // A buffer that grows leaves copies behind.
    let mut compact = Zeroizing::new(String::with_capacity(text.len()));
    compact.extend(text.chars().filter(|c| !c.is_whitespace()).map(|c| match c {
        '-' => '+',
        '_' => '/',
        other => other,
    }));
    let mut bytes = Zeroizing::new(Vec::with_capacity(base64::decoded_len_estimate(compact.len())));
    BASE64.decode_vec(compact.as_bytes(), &mut bytes).ok()?;
    Some(bytes)
}

/// Decodes UTF-8, or UTF-16 with or without a byte-order mark. Returns `None` for binary data.
pub(crate) fn decode_text(bytes: &[u8]) -> Option<Zeroizing<String>> {
    // In UTF-16, one byte of each ASCII character is zero. At least 80% of the characters must be ASCII.
    let is_mostly_zero = |offset| {
        let zeros = bytes.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
        bytes.len() >= 4 && zeros * 10 >= bytes.len() * 4
    };
    let to_unit: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ if is_mostly_zero(1) => u16::from_le_bytes,
        _ if is_mostly_zero(0) => u16::from_be_bytes,
        _ => return Some(Zeroizing::new(std::str::from_utf8(bytes).ok()?.to_owned())),
    };
    let units = bytes.chunks_exact(2).filter_map(|pair| Some(to_unit(pair.try_into().ok()?)));
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    text.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    Some(text)
}

/// Decodes percent-encoding. Returns `None` if the text has no escape such as `%2B`. A `%` alone is not an escape: zsh
/// prints one after output that doesn't end in a newline.
pub(crate) fn decode_percent(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let is_escape = |window: &&[u8]| matches!(window, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    text.as_bytes().windows(3).find(is_escape)?;
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    decoded.extend(percent_encoding::percent_decode_str(text));
    Some(decoded)
}

/// Removes formatting that is not part of base64 or a PEM marker: quotes, the `>` of quoted emails, HTML tags, RTF
/// control words and invisible characters. Decodes escapes and HTML entities, and converts typographic dashes to ASCII.
fn remove_formatting(text: &str) -> Zeroizing<String> {
    let is_rtf = text.trim_start().starts_with("{\\rtf");
    // The result is never longer.
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        match c {
            '\\' => {
                let rest = rest.trim_start_matches('\\');
                let (decoded, after) = if is_rtf { read_rtf_control(rest) } else { read_escape(rest) };
                out.extend(decoded);
                chars = after.chars();
            }
            // Stops at the next bracket of either kind, so that no character is scanned twice.
            '<' => match rest.split_once(['<', '>']) {
                Some((tag, after)) if rest.as_bytes().get(tag.len()) == Some(&b'>') => {
                    out.push('\n');
                    chars = after.chars();
                }
                _ => {}
            },
            '&' => {
                if let Some((decoded, after)) = read_entity(rest) {
                    out.push(decoded);
                    chars = after.chars();
                }
            }
            '{' | '}' if is_rtf => {}
            '>' | '|' => {}
            c if is_quote(c) => {}
            c if c.is_whitespace() => out.push(if c == '\n' { '\n' } else { ' ' }),
            // Autocorrect replaces two hyphens with one dash.
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => out.push_str("--"),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {}
            c if c.is_control() || c == '\u{feff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// Reads an escape after its backslash, as in strings of shells, JSON and programming languages. Like the functions
/// below, returns the character to replace it with and the text after it.
fn read_escape(rest: &str) -> (Option<char>, &str) {
    if let Some(after) = rest.strip_prefix(['n', 'r', 't']) {
        return (Some('\n'), after);
    }
    read_hex(rest, 'u', 4).unwrap_or((None, rest))
}

/// Reads an RTF control word or symbol after its backslash: `\par`, `\f0`, `\'2d`, or a line break.
fn read_rtf_control(rest: &str) -> (Option<char>, &str) {
    read_hex(rest, '\'', 2).unwrap_or_else(|| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let after = after.strip_prefix('-').unwrap_or(after).trim_start_matches(|c: char| c.is_ascii_digit());
        (Some('\n'), after.strip_prefix(' ').unwrap_or(after))
    })
}

/// Reads the code of a character: a prefix and this many hexadecimal digits.
fn read_hex(rest: &str, prefix: char, length: usize) -> Option<(Option<char>, &str)> {
    let (digits, after) = rest.strip_prefix(prefix)?.split_at_checked(length)?;
    Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?), after))
}

/// Reads an HTML entity after its ampersand.
fn read_entity(rest: &str) -> Option<(char, &str)> {
    const MAX_LENGTH: usize = 6;
    let end = rest.bytes().take(MAX_LENGTH + 1).position(|byte| byte == b';')?;
    let (name, after) = (rest.get(..end)?, rest.get(end + 1..)?);
    let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    });
    // Named entities, such as `&nbsp;`, stand for spaces, quotes and brackets, none of which are part of a key.
    Some((number.and_then(char::from_u32).unwrap_or(' '), after))
}

/// Removes `NAME=`, `export NAME=`, `NAME: |` and the like before base64, and other variables or zsh's `%` after it.
fn strip_name(text: &str) -> &str {
    const MAX_NAME: usize = 80;
    const MIN_KEY: usize = 16;
    let mut text = text;
    while let Some((name, value)) = text.split_once(['=', ':']) {
        if name.len() > MAX_NAME || value.trim().len() < MIN_KEY {
            break;
        }
        text = value;
    }
    // Also removes the dash or plus of a YAML block scalar, such as `|-`. `remove_formatting` has removed the `|`.
    until_next_assignment(text)
        .trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '+'))
        .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '%' | ';' | ','))
}

/// The text after `NAME=` or `export NAME=`, if the name is in upper case.
pub(crate) fn assigned_value(text: &str) -> Option<&str> {
    let (name, value) = text.trim().split_once('=')?;
    let name = name.strip_prefix("export ").unwrap_or(name);
    let is_variable = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    // The end of base64, such as `AA==`, is not an assignment.
    (is_variable && !value.is_empty() && !value.starts_with('=')).then_some(value)
}

/// The text up to a line that sets another variable.
pub(crate) fn until_next_assignment(text: &str) -> &str {
    let mut breaks = text.match_indices('\n').map(|(at, _)| text.split_at(at));
    let before = breaks.find(|(_, rest)| rest.lines().nth(1).and_then(assigned_value).is_some());
    before.map_or(text, |(before, _)| before)
}

/// Splits text into the labels and bodies of its PEM blocks, at markers such as `-----BEGIN PRIVATE KEY-----`. Unlike in
/// [RFC 7468], the text can be a single line, and a block can lack one of its two markers.
///
/// [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468
fn pem_blocks(text: &str) -> Vec<(&str, &str)> {
    let is_label_char = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || " \n.+_".contains(c);
    let is_dash = |c: char| matches!(c, '-' | ' ');
    let mut blocks = Vec::new();
    let mut open_label = None;
    let mut body_start = 0;
    let mut rest = text;
    while let Some((_, after_dashes)) = rest.split_once("--") {
        rest = after_dashes.trim_start_matches(is_dash);
        let begin = rest.strip_prefix("BEGIN");
        let Some(marker) = begin.or_else(|| rest.strip_prefix("END")) else { continue };
        let Some((label, after)) = marker.split_once('-') else { continue };
        if !label.chars().all(is_label_char) {
            continue;
        }
        let body_end = text.len() - "--".len() - after_dashes.len();
        let body = text.get(body_start..body_end).unwrap_or_default();
        let block_label = open_label.or(begin.is_none().then_some(label));
        blocks.extend(block_label.map(|label| (label, body)));
        open_label = begin.is_some().then_some(label);
        rest = after.trim_start_matches(is_dash);
        body_start = text.len() - rest.len();
    }
    let body = text.get(body_start..).unwrap_or_default();
    blocks.extend(open_label.map(|label| (label, body)));
    blocks
}

/// Identifies a PEM block by its label. Returns `None` if the label is unknown or an EC private key can have it.
fn identify_label(label: &str) -> Option<PrivateKeyError> {
    let label: String = label.chars().filter(char::is_ascii_alphanumeric).collect();
    match label.as_str() {
        "PRIVATEKEY" | "ECPRIVATEKEY" => None,
        "ENCRYPTEDPRIVATEKEY" => Some(PrivateKeyError::Encrypted),
        "RSAPRIVATEKEY" => Some(PrivateKeyError::Rsa),
        "AGEENCRYPTEDFILE" => Some(PrivateKeyError::EncryptedFile("age")),
        label if label.starts_with("PGP") => Some(PrivateKeyError::Pgp),
        label if label.ends_with("CERTIFICATEREQUEST") => Some(PrivateKeyError::CertificateRequest),
        label if label.ends_with("CERTIFICATE") => Some(PrivateKeyError::Certificate),
        label if label.ends_with("PUBLICKEY") => Some(PrivateKeyError::PublicKey),
        label if label.ends_with("PRIVATEKEY") => Some(PrivateKeyError::OtherAlgorithm),
        _ => None,
    }
}

/// Identifies a file that a tool encrypted as a whole, by its first bytes.
fn identify_encrypted_file(bytes: &[u8]) -> Option<PrivateKeyError> {
    const PREFIXES: [(&[u8], &str); 4] = [
        (b"$ANSIBLE_VAULT;", "Ansible Vault"),
        (b"Salted__", "OpenSSL"),
        (b"\0GITCRYPT\0", "git-crypt"),
        (b"age-encryption.org/", "age"),
    ];
    let bytes = bytes.trim_ascii_start();
    let (_, tool) = PREFIXES.into_iter().find(|(prefix, _)| bytes.starts_with(prefix))?;
    Some(PrivateKeyError::EncryptedFile(tool))
}

/// Identifies a document in which no key was found, by its first characters.
fn identify_document(text: &str) -> Option<PrivateKeyError> {
    match text.chars().next()? {
        '{' if text.starts_with("{\\rtf") => Some(PrivateKeyError::Rtf),
        '{' => Some(PrivateKeyError::Json),
        '<' => {
            let start: String = text.chars().take(512).collect::<String>().to_ascii_lowercase();
            let is_html = start.contains("<html") || start.starts_with("<!doctype html");
            let is_xml = start.starts_with("<?xml") || start.starts_with("<error");
            Some(if is_xml && !is_html { PrivateKeyError::XmlError } else { PrivateKeyError::Html })
        }
        _ => text.starts_with("version https://git-lfs.github.com/").then_some(PrivateKeyError::GitLfs),
    }
}
