//! The private key of an App Store Connect API key, in every shape that people have it in.
//!
//! Apple hands the key out once, as `AuthKey_<ID>.p8`: PKCS#8 ([RFC 5958]) in PEM
//! ([RFC 7468]), an elliptic-curve key on P-256. On its way through secret stores,
//! terminals and web forms it loses newlines, gains quotes, or is encoded again. Whatever
//! still holds exactly one such key is written out in one canonical form; everything else
//! is refused by name.
//!
//! [RFC 5958]: https://www.rfc-editor.org/rfc/rfc5958
//! [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use pkcs8::der::pem::LineEnding;
use pkcs8::der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

/// Larger than any key file; what is larger is not one, and is not read.
pub const MAX_BYTES: usize = 64 * 1024;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const PKCS7_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const PKCS7_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// People lose or double the padding when they copy; it carries no information.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A private key that is proven fit for ES256: on P-256, its parts consistent.
///
/// Holds the canonical PKCS#8 PEM: 64 columns, LF, one newline at the end. Wiped from memory
/// on drop; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PrivateKey {
    pem: SecretString,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey([REDACTED])")
    }
}

impl PrivateKey {
    /// Reads a key from the bytes of a file, an answer or an input.
    ///
    /// # Errors
    /// A [`Refusal`] that says what the bytes are instead.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_BYTES {
            return Err(Refusal::TooLarge);
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(match identify_der(bytes) {
                Some(Der::Refused(refusal @ Refusal::Pkcs12)) => refusal,
                _ => Refusal::NotUtf8,
            });
        };
        from_text(text, Nesting::Outermost)
    }

    /// The canonical PKCS#8 PEM, for what signs and writes with the key; each call site is a place
    /// to review.
    #[must_use]
    pub fn expose_pem(&self) -> &str {
        self.pem.expose_secret()
    }
}

/// What was found in place of a usable private key.
///
/// `Display` completes the sentence "The private key in … ": what it is, then what to provide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("is empty: provide the text or the path of AuthKey_<ID>.p8")]
    Empty,
    #[error("is larger than 64 KiB, so it is no key: provide AuthKey_<ID>.p8, which has about 250 bytes")]
    TooLarge,
    #[error("is not text in UTF-8: provide AuthKey_<ID>.p8 as downloaded, not a binary or re-encoded copy")]
    NotUtf8,
    #[error(
        "is an RSA key, and App Store Connect signs with EC keys on P-256: provide AuthKey_<ID>.p8 from App Store Connect"
    )]
    Rsa,
    #[error("is an EC key on another curve than P-256: provide AuthKey_<ID>.p8 from App Store Connect")]
    OtherCurve,
    #[error(
        "is an Ed25519 key, and App Store Connect signs with EC keys on P-256: provide AuthKey_<ID>.p8 from App Store Connect"
    )]
    Ed25519,
    #[error(
        "is a key of a kind that App Store Connect does not use: provide AuthKey_<ID>.p8 from App Store Connect"
    )]
    OtherAlgorithm,
    #[error(
        "is encrypted with a passphrase: provide it decrypted, as App Store Connect hands it out (openssl pkcs8 -in key.p8 -out AuthKey_<ID>.p8)"
    )]
    Encrypted,
    #[error(
        "is only the public key: provide the private key AuthKey_<ID>.p8; if it is lost, create a new key in App Store Connect"
    )]
    PublicKey,
    #[error(
        "is a certificate: provide the API key AuthKey_<ID>.p8, which has nothing to do with signing certificates"
    )]
    Certificate,
    #[error(
        "is a .p12 file (a signing certificate): provide the API key AuthKey_<ID>.p8 from App Store Connect"
    )]
    Pkcs12,
    #[error(
        "is an HTML page, most likely a log-in or error page: provide a URL that downloads the .p8 file itself"
    )]
    Html,
    #[error(
        "is an XML error of a storage service, most likely of an expired link: create a new download link"
    )]
    XmlError,
    #[error("is fastlane's API key JSON file: provide the .p8 file, which is the text of its field `key`")]
    FastlaneJson,
    #[error("is a JSON document: provide AuthKey_<ID>.p8 from App Store Connect")]
    Json,
    #[error("holds more than one key: provide a file with the one key that belongs to the key ID")]
    SeveralKeys,
    #[error(
        "is truncated or damaged: copy it again, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----"
    )]
    Damaged,
}

/// Whether base64 may still turn out to wrap a whole file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Outermost,
    InsideBase64,
}

fn from_text(text: &str, nesting: Nesting) -> Result<PrivateKey, Refusal> {
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
        _ => from_der(&der),
    }
}

/// Takes off byte-order mark, blanks and quotes around the text, however often they were put on.
fn strip_wrapping(text: &str) -> &str {
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

fn decode_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
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

fn from_pem(text: &str) -> Result<PrivateKey, Refusal> {
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
        "PRIVATE KEY" | "EC PRIVATE KEY" if !block.body.contains("ENCRYPTED") => {
            from_der(&decode_base64(block.body)?)
        }
        "ENCRYPTED PRIVATE KEY" | "PRIVATE KEY" | "EC PRIVATE KEY" => Err(Refusal::Encrypted),
        "RSA PRIVATE KEY" if block.body.contains("ENCRYPTED") => Err(Refusal::Encrypted),
        "RSA PRIVATE KEY" => Err(Refusal::Rsa),
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" | "CERTIFICATE REQUEST" => {
            Err(Refusal::Certificate)
        }
        label if label.ends_with("PUBLIC KEY") => Err(Refusal::PublicKey),
        label if label.ends_with("PRIVATE KEY") => Err(Refusal::OtherAlgorithm),
        _ => Err(Refusal::Damaged),
    }
}

fn from_der(der: &[u8]) -> Result<PrivateKey, Refusal> {
    match identify_der(der) {
        Some(Der::P256Key) => {}
        Some(Der::Refused(refusal)) => return Err(refusal),
        None => return Err(Refusal::Damaged),
    }
    // Checks that the number lies on the curve and that the public key, if there, belongs to it.
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
        .map_err(|_| Refusal::Damaged)?;
    canonical_pem(&pair).map(|pem| PrivateKey { pem }).ok_or(Refusal::Damaged)
}

/// PKCS#8 around SEC1 ([RFC 5915]) with the public key, as OpenSSL writes it.
///
/// Built here and not by the crypto library, whose own export leaves an unwiped copy behind.
///
/// [RFC 5915]: https://www.rfc-editor.org/rfc/rfc5915
fn canonical_pem(pair: &EcdsaKeyPair) -> Option<SecretString> {
    let scalar = pair.private_key().as_be_bytes().ok()?;
    let ec_key = sec1::EcPrivateKey {
        private_key: scalar.as_ref(),
        parameters: None,
        public_key: Some(pair.public_key().as_ref()),
    };
    let ec_key = SecretDocument::encode_msg(&ec_key).ok()?;
    let algorithm = AlgorithmIdentifierRef { oid: EC_PUBLIC_KEY, parameters: Some(AnyRef::from(&P256)) };
    let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(ec_key.as_bytes()).ok()?);
    let document = SecretDocument::encode_msg(&info).ok()?;
    let pem = document.to_pem("PRIVATE KEY", LineEnding::LF).ok()?;
    Some(SecretString::from(pem.as_str()))
}

/// What a DER structure is.
enum Der {
    P256Key,
    Refused(Refusal),
}

/// Tells the ASN.1 structures apart by their first elements, as each of their standards
/// defines them. `None`: none of them, or cut short.
fn identify_der(der: &[u8]) -> Option<Der> {
    if let Ok(info) = PrivateKeyInfoRef::try_from(der) {
        let algorithm = &info.algorithm;
        return Some(match algorithm.oid {
            EC_PUBLIC_KEY if algorithm.parameters_oid() == Ok(P256) => Der::P256Key,
            EC_PUBLIC_KEY => Der::Refused(Refusal::OtherCurve),
            RSA => Der::Refused(Refusal::Rsa),
            ED25519 => Der::Refused(Refusal::Ed25519),
            _ => Der::Refused(Refusal::OtherAlgorithm),
        });
    }
    if let Ok(key) = sec1::EcPrivateKey::from_der(der) {
        let curve = key.parameters.and_then(sec1::EcParameters::named_curve);
        let is_p256 = curve.map_or(key.private_key.len() == 32, |curve| curve == P256);
        return Some(if is_p256 { Der::P256Key } else { Der::Refused(Refusal::OtherCurve) });
    }
    identify_other_der(der).map(Der::Refused)
}

fn identify_other_der(der: &[u8]) -> Option<Refusal> {
    let whole = AnyRef::from_der(der).ok()?;
    if whole.tag() != Tag::Sequence {
        return None;
    }
    let mut outer = SliceReader::new(whole.value()).ok()?;
    let first: AnyRef<'_> = outer.decode().ok()?;
    let second: AnyRef<'_> = outer.decode().ok()?;
    match (first.tag(), second.tag()) {
        // PFX ::= SEQUENCE { version INTEGER, authSafe ContentInfo, … } (RFC 7292)
        (Tag::Integer, Tag::Sequence)
            if matches!(first_oid(second), Some(PKCS7_DATA | PKCS7_SIGNED_DATA)) =>
        {
            Some(Refusal::Pkcs12)
        }
        // RSAPrivateKey ::= SEQUENCE { version INTEGER, modulus INTEGER, … } (RFC 8017)
        (Tag::Integer, Tag::Integer) => Some(Refusal::Rsa),
        // EncryptedPrivateKeyInfo ::= SEQUENCE { AlgorithmIdentifier, OCTET STRING } (RFC 5958)
        (Tag::Sequence, Tag::OctetString) => Some(Refusal::Encrypted),
        // SubjectPublicKeyInfo ::= SEQUENCE { AlgorithmIdentifier, BIT STRING } (RFC 5280)
        (Tag::Sequence, Tag::BitString) => Some(Refusal::PublicKey),
        // Certificate ::= SEQUENCE { TBSCertificate, AlgorithmIdentifier, BIT STRING } (RFC 5280)
        (Tag::Sequence, Tag::Sequence) => Some(Refusal::Certificate),
        _ => None,
    }
}

fn first_oid(sequence: AnyRef<'_>) -> Option<ObjectIdentifier> {
    SliceReader::new(sequence.value()).ok()?.decode().ok()
}

/// Whether text is key material: in PEM, on several lines, or base64 and nothing else.
///
/// For telling a key in an input from the path of one. A damaged or decorated key may pass for
/// neither: what is printed is another question, [`must_not_be_shown`].
#[must_use]
pub fn is_key_text(text: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=_-\\".contains(c) || c.is_whitespace();
    let bare = strip_wrapping(text);
    text.contains("PRIVATE KEY")
        || text.contains("-----BEGIN")
        || bare.lines().count() > 1
        || (bare.len() >= 80 && bare.chars().all(is_base64) && !is_path_like(bare))
}

/// Whether a value is written as paths are: from the root, the home or the working folder on.
#[must_use]
pub fn is_path_like(value: &str) -> bool {
    ["/", "~/", "./", "../"].iter().any(|start| value.starts_with(start))
}

/// Whether text may hold key material, whole or damaged, so that no log or error may repeat it.
/// Errs on the side of yes.
#[must_use]
pub fn must_not_be_shown(text: &str) -> bool {
    if text.contains("PRIVATE KEY") || text.contains("-----BEGIN") {
        return true;
    }
    // Wrapped lines are one run.
    let joined = text.replace("\\r", "").replace("\\n", "");
    let joined: String = joined.chars().filter(|c| !c.is_whitespace()).collect();
    let joined = Zeroizing::new(joined);
    // A path has slashes, and base64 has some: each name in a path is looked at alone.
    let is_path = is_path_like(text);
    let separates =
        |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '=') || (c == '/' && !is_path));
    joined.split(separates).any(|run| is_random(run) || begins_like_key(run))
}

/// Whether a run of base64 is too long and too mixed to be a name.
fn is_random(run: &str) -> bool {
    let count = |of: fn(&u8) -> bool| run.bytes().filter(of).count();
    let mixed = [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit];
    run.len() >= 40 && mixed.into_iter().all(|class| count(class) >= 3)
}

/// How base64 begins of the DER of an EC key on P-256, and of "-----BEGIN".
fn begins_like_key(run: &str) -> bool {
    run.len() >= 16 && ["MIG", "MIH", "MHc", "LS0tLS1CRUdJTi"].iter().any(|start| run.starts_with(start))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use stand_in::keys;

    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    /// A key as App Store Connect hands it out.
    fn pkcs8() -> std::io::Result<String> {
        Ok(keys::P256::generate()?.private_pem)
    }

    /// The same key in SEC1, as `openssl ec` writes it: with the curve, without PKCS#8 around it.
    fn sec1(pkcs8: &str, with_curve: bool) -> std::result::Result<String, Box<dyn std::error::Error>> {
        let (_, document) = SecretDocument::from_pem(pkcs8)?;
        let info = PrivateKeyInfoRef::try_from(document.as_bytes())?;
        let mut key = ::sec1::EcPrivateKey::from_der(info.private_key.as_bytes())?;
        key.parameters = with_curve.then_some(::sec1::EcParameters::NamedCurve(P256));
        let pem = SecretDocument::encode_msg(&key)?.to_pem("EC PRIVATE KEY", LineEnding::LF)?;
        Ok(pem.to_string())
    }

    fn body(pem: &str) -> String {
        pem.lines().filter(|line| !line.starts_with("-----")).collect()
    }

    fn refusal(bytes: impl AsRef<[u8]>) -> Option<Refusal> {
        PrivateKey::from_bytes(bytes.as_ref()).err()
    }

    #[test]
    fn every_accepted_form_yields_the_same_canonical_pem() -> Result {
        let pem = pkcs8()?;
        let body = body(&pem);
        let wrapped = |width: usize| {
            let lines: Vec<_> = body.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", lines.join("\n"))
        };
        let forms = [
            ("PKCS#8 with LF", pem.clone()),
            ("with CRLF", pem.replace('\n', "\r\n")),
            ("with CR", pem.replace('\n', "\r")),
            ("without the last newline", pem.trim_end().to_owned()),
            ("body on one line", wrapped(1000)),
            ("body in lines of 20", wrapped(20)),
            ("body in lines of 76", wrapped(76)),
            ("all on one line", pem.replace('\n', " ")),
            ("literal \\n", pem.replace('\n', "\\n")),
            ("literal \\r\\n", pem.replace('\n', "\\r\\n")),
            ("in double quotes", format!("\"{pem}\"")),
            ("in single quotes, literal \\n", format!("'{}'", pem.replace('\n', "\\n"))),
            ("quotes between literal \\n, without header", format!("\\n\"\\n{body}\\n\"\\n")),
            ("blanks around it", format!("  \n\t{pem}\n\n ")),
            ("blanks in its lines", pem.replace('\n', "  \n    ")),
            ("a byte-order mark", format!("\u{feff}{pem}")),
            ("without header and footer", body.clone()),
            (
                "without them, in lines",
                body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n"),
            ),
            ("base64 of the whole file", STANDARD.encode(&pem)),
            ("base64 of the file with CRLF", STANDARD.encode(pem.replace('\n', "\r\n"))),
            ("base64 of the body alone", STANDARD.encode(&body)),
            (
                "base64 in lines of 76",
                STANDARD
                    .encode(&pem)
                    .as_bytes()
                    .chunks(76)
                    .map(String::from_utf8_lossy)
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
            (
                "base64 without padding",
                STANDARD.encode(format!("{pem}\n\n")).trim_end_matches('=').to_owned(),
            ),
            ("SEC1 with the curve", sec1(&pem, true)?),
            ("SEC1 without the curve", sec1(&pem, false)?),
            (
                "SEC1 after an EC PARAMETERS block",
                format!(
                    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}",
                    sec1(&pem, true)?
                ),
            ),
            ("SEC1 without header and footer", self::body(&sec1(&pem, true)?)),
        ];
        for (form, text) in forms {
            let key =
                PrivateKey::from_bytes(text.as_bytes()).map_err(|refusal| format!("{form}: {refusal}"))?;
            assert_eq!(key.expose_pem(), pem, "{form}");
        }
        Ok(())
    }

    #[test]
    fn the_canonical_pem_has_64_columns_lf_and_one_newline_at_the_end() -> Result {
        let key = PrivateKey::from_bytes(pkcs8()?.replace('\n', "\r\n").as_bytes())?;
        let lines: Vec<_> = key.expose_pem().split('\n').collect();
        assert_eq!(lines.first(), Some(&"-----BEGIN PRIVATE KEY-----"));
        assert_eq!(lines.get(1).map(|line| line.len()), Some(64));
        assert_eq!(lines.iter().rev().take(2).collect::<Vec<_>>(), [&"", &"-----END PRIVATE KEY-----"]);
        assert!(!key.expose_pem().contains('\r'));
        Ok(())
    }

    #[test]
    fn nothing_of_the_key_shows_in_debug() -> Result {
        let pem = pkcs8()?;
        let shown = format!("{:?}", PrivateKey::from_bytes(pem.as_bytes())?);
        assert_eq!(shown, "PrivateKey([REDACTED])");
        Ok(())
    }

    #[test]
    fn an_empty_key_is_refused() {
        for text in ["", "  \n", "\u{feff}", "''"] {
            assert_eq!(refusal(text), Some(Refusal::Empty), "{text:?}");
        }
    }

    #[test]
    fn an_rsa_key_is_refused() -> Result {
        let pem = keys::rsa_2048_private_pem()?;
        assert_eq!(refusal(&pem), Some(Refusal::Rsa));
        assert_eq!(refusal(body(&pem)), Some(Refusal::Rsa));
        let (_, document) = SecretDocument::from_pem(&pem)?;
        let pkcs1 = PrivateKeyInfoRef::try_from(document.as_bytes())?.private_key.as_bytes();
        assert_eq!(refusal(STANDARD.encode(pkcs1)), Some(Refusal::Rsa));
        assert_eq!(
            refusal("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----"),
            Some(Refusal::Rsa)
        );
        Ok(())
    }

    #[test]
    fn an_ec_key_on_another_curve_is_refused() -> Result {
        let p384 = keys::p384_private_pem()?;
        assert_eq!(refusal(&p384), Some(Refusal::OtherCurve));
        assert_eq!(refusal(body(&p384)), Some(Refusal::OtherCurve));
        assert_eq!(
            refusal(include_str!("../../tests/fixtures/explicit_curve.pem")),
            Some(Refusal::OtherCurve)
        );
        Ok(())
    }

    #[test]
    fn an_ed25519_key_is_refused() -> Result {
        assert_eq!(refusal(keys::ed25519_private_pem()?), Some(Refusal::Ed25519));
        Ok(())
    }

    #[test]
    fn an_encrypted_key_is_refused() {
        let pkcs8 = include_str!("../../tests/fixtures/encrypted_pkcs8.pem");
        assert_eq!(refusal(pkcs8), Some(Refusal::Encrypted));
        assert_eq!(refusal(body(pkcs8)), Some(Refusal::Encrypted));
        let sec1 = include_str!("../../tests/fixtures/encrypted_sec1.pem");
        assert_eq!(refusal(sec1), Some(Refusal::Encrypted));
    }

    #[test]
    fn a_public_key_is_refused() -> Result {
        let pem = keys::P256::generate()?.public_pem;
        assert_eq!(refusal(&pem), Some(Refusal::PublicKey));
        assert_eq!(refusal(body(&pem)), Some(Refusal::PublicKey));
        Ok(())
    }

    #[test]
    fn a_certificate_is_refused() -> Result {
        let pem = include_str!("../../tests/fixtures/certificate.pem");
        assert_eq!(refusal(pem), Some(Refusal::Certificate));
        assert_eq!(refusal(body(pem)), Some(Refusal::Certificate));
        assert_eq!(refusal(format!("{}{pem}", pkcs8()?)), Some(Refusal::Certificate));
        Ok(())
    }

    #[test]
    fn a_p12_file_is_refused() {
        let p12 = include_bytes!("../../tests/fixtures/identity.p12");
        assert_eq!(refusal(p12), Some(Refusal::Pkcs12));
        assert_eq!(refusal(STANDARD.encode(p12)), Some(Refusal::Pkcs12));
    }

    #[test]
    fn an_html_page_is_refused() {
        for page in ["<!DOCTYPE html><html><body>Sign in</body></html>", "\n<html lang=en>", "<HTML>"] {
            assert_eq!(refusal(page), Some(Refusal::Html), "{page}");
        }
        let xhtml = "<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\">";
        assert_eq!(refusal(xhtml), Some(Refusal::Html));
    }

    #[test]
    fn an_xml_error_of_a_storage_service_is_refused() {
        let error = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>ExpiredToken</Code></Error>";
        assert_eq!(refusal(error), Some(Refusal::XmlError));
        assert_eq!(refusal("<Error><Code>AccessDenied</Code></Error>"), Some(Refusal::XmlError));
    }

    #[test]
    fn a_json_file_is_refused_and_fastlanes_by_name() -> Result {
        let key = pkcs8()?.replace('\n', "\\n");
        let fastlane = format!(r#"{{"key_id":"2X9R4HXF34","issuer_id":"x","key":"{key}"}}"#);
        assert_eq!(refusal(fastlane), Some(Refusal::FastlaneJson));
        assert_eq!(refusal(format!(r#"{{"private_key":"{key}"}}"#)), Some(Refusal::Json));
        Ok(())
    }

    #[test]
    fn two_keys_in_one_file_are_refused() -> Result {
        assert_eq!(refusal(format!("{}{}", pkcs8()?, pkcs8()?)), Some(Refusal::SeveralKeys));
        let pem = pkcs8()?;
        assert_eq!(refusal(format!("{pem}{}", sec1(&pem, true)?)), Some(Refusal::SeveralKeys));
        Ok(())
    }

    #[test]
    fn truncated_or_damaged_base64_is_refused() -> Result {
        let pem = pkcs8()?;
        let without_end = pem.replace("-----END PRIVATE KEY-----\n", "");
        let body = body(&pem);
        let cut = body.get(..body.len() - 12).unwrap_or_default();
        let stray = body.replacen('A', "*", 1);
        let mut flipped: Vec<char> = body.chars().collect();
        // In the middle of the public key: it no longer belongs to the private one.
        if let Some(letter) = flipped.get_mut(140) {
            *letter = if *letter == 'A' { 'B' } else { 'A' };
        }
        let flipped: String = flipped.into_iter().collect();
        for damaged in
            [&without_end, cut, &stray, &flipped, "MIGH", "no key at all", "-----BEGIN PRIVATE KEY-----"]
        {
            assert_eq!(refusal(damaged), Some(Refusal::Damaged), "{damaged}");
        }
        Ok(())
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused() -> Result {
        let utf16: Vec<u8> = pkcs8()?.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(refusal([b"\xff\xfe".as_slice(), &utf16].concat()), Some(Refusal::NotUtf8));
        Ok(())
    }

    #[test]
    fn more_than_64_kib_are_refused() {
        assert_eq!(refusal("A".repeat(MAX_BYTES + 1)), Some(Refusal::TooLarge));
        assert_eq!(refusal(" ".repeat(MAX_BYTES)), Some(Refusal::Empty));
    }

    #[test]
    fn other_kinds_of_keys_are_refused() {
        let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbg==\n-----END OPENSSH PRIVATE KEY-----";
        assert_eq!(refusal(openssh), Some(Refusal::OtherAlgorithm));
    }

    #[test]
    fn every_refusal_says_what_it_is_and_what_to_provide() {
        let all = [
            Refusal::Empty,
            Refusal::TooLarge,
            Refusal::NotUtf8,
            Refusal::Rsa,
            Refusal::OtherCurve,
            Refusal::Ed25519,
            Refusal::OtherAlgorithm,
            Refusal::Encrypted,
            Refusal::PublicKey,
            Refusal::Certificate,
            Refusal::Pkcs12,
            Refusal::Html,
            Refusal::XmlError,
            Refusal::FastlaneJson,
            Refusal::Json,
            Refusal::SeveralKeys,
            Refusal::Damaged,
        ];
        let sentences: std::collections::BTreeSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), all.len(), "each has its own");
        for sentence in sentences {
            let (what, remedy) = sentence.split_once(": ").unwrap_or_default();
            assert!(!what.is_empty() && !remedy.is_empty(), "{sentence}");
        }
    }

    #[test]
    fn key_text_is_told_from_paths_and_neither_shows_a_key() -> Result {
        let pem = pkcs8()?;
        let body = body(&pem);
        let wrapped = |width: usize, by: &str| {
            let lines: Vec<_> = body.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
            lines.join(by)
        };
        let mut texts = vec![
            pem.clone(),
            body.clone(),
            STANDARD.encode(&pem),
            format!("\"{pem}\""),
            sec1(&pem, true)?,
            self::body(&sec1(&pem, true)?),
        ];
        for width in 16..=40 {
            texts.extend([wrapped(width, " "), wrapped(width, "\\n"), wrapped(width, "\n")]);
        }
        for text in texts {
            assert!(is_key_text(&text) && must_not_be_shown(&text), "{text}");
        }
        for decorated in
            [format!("AuthKey_X.p8: {body}"), format!("key={body}"), format!("~/{body}"), format!("@{body}")]
        {
            assert!(must_not_be_shown(&decorated), "{decorated}");
        }
        for text in [
            "2X9R4HXF34",
            "57246542-96fe-1a63-e053-0824d011072a",
            "AuthKey_2X9R4HXF34.p8",
            "/private/var/folders/8k/7xj4b1q92ld3v5c6n8m0t2wr0000gn/T/AuthKey_2X9R4HXF34.p8",
            "/Users/runner/work/1234567/Project/certificates/AuthKey_2X9R4HXF34.p8",
            "/Users/vagrant/Documents/Development/Company/Project/fastlane/certificates/key",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
            "MIGH",
        ] {
            assert!(!must_not_be_shown(text), "{text}");
            assert!(!is_key_text(text), "{text}");
        }
        Ok(())
    }
}
