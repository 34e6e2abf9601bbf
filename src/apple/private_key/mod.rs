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

mod der;
mod refusal;
mod text;

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

use self::der::Der;

pub use refusal::Refusal;
pub(crate) use text::{decode_base64, strip_wrapping};

/// Larger than any key file; what is larger is not one, and is not read.
pub const MAX_BYTES: usize = 64 * 1024;

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
            return Err(match der::identify(bytes) {
                Some(Der::Refused(refusal @ Refusal::Pkcs12)) => refusal,
                _ => Refusal::NotUtf8,
            });
        };
        let pem = der::to_canonical_pem(&text::to_der(text)?)?;
        Ok(Self { pem })
    }

    /// The canonical PKCS#8 PEM, for what signs and writes with the key; each call site is a place
    /// to review.
    #[must_use]
    pub fn expose_pem(&self) -> &str {
        self.pem.expose_secret()
    }
}

/// Keys for tests, made on the spot.
#[cfg(test)]
pub(crate) mod samples {
    use pkcs8::der::Decode as _;
    use pkcs8::der::pem::LineEnding;
    use pkcs8::{PrivateKeyInfoRef, SecretDocument};
    use stand_in::keys;

    use super::der::P256;

    /// A key as App Store Connect hands it out.
    pub(crate) fn pkcs8() -> std::io::Result<String> {
        Ok(keys::P256::generate()?.private_pem)
    }

    /// The same key in SEC1, as `openssl ec` writes it: with the curve, without PKCS#8 around it.
    pub(crate) fn sec1(pkcs8: &str, with_curve: bool) -> Result<String, Box<dyn std::error::Error>> {
        let (_, document) = SecretDocument::from_pem(pkcs8)?;
        let info = PrivateKeyInfoRef::try_from(document.as_bytes())?;
        let mut key = ::sec1::EcPrivateKey::from_der(info.private_key.as_bytes())?;
        key.parameters = with_curve.then_some(::sec1::EcParameters::NamedCurve(P256));
        let pem = SecretDocument::encode_msg(&key)?.to_pem("EC PRIVATE KEY", LineEnding::LF)?;
        Ok(pem.to_string())
    }

    /// What stands between header and footer, on one line.
    pub(crate) fn body(pem: &str) -> String {
        pem.lines().filter(|line| !line.starts_with("-----")).collect()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use pkcs8::{PrivateKeyInfoRef, SecretDocument};
    use stand_in::keys;

    use super::samples::{body, pkcs8, sec1};
    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

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
            refusal(include_str!("../../../tests/fixtures/explicit_curve.pem")),
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
        let pkcs8 = include_str!("../../../tests/fixtures/encrypted_pkcs8.pem");
        assert_eq!(refusal(pkcs8), Some(Refusal::Encrypted));
        assert_eq!(refusal(body(pkcs8)), Some(Refusal::Encrypted));
        let sec1 = include_str!("../../../tests/fixtures/encrypted_sec1.pem");
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
        let pem = include_str!("../../../tests/fixtures/certificate.pem");
        assert_eq!(refusal(pem), Some(Refusal::Certificate));
        assert_eq!(refusal(body(pem)), Some(Refusal::Certificate));
        assert_eq!(refusal(format!("{}{pem}", pkcs8()?)), Some(Refusal::Certificate));
        Ok(())
    }

    #[test]
    fn a_certificate_signing_request_is_refused() {
        let pem = include_str!("../../../tests/fixtures/certificate_request.pem");
        assert_eq!(refusal(pem), Some(Refusal::CertificateRequest));
        assert_eq!(refusal(body(pem)), Some(Refusal::CertificateRequest));
        assert_eq!(refusal(pem.replace("CERTIFICATE", "NEW CERTIFICATE")), Some(Refusal::CertificateRequest));
    }

    #[test]
    fn a_p12_file_is_refused() {
        let p12 = include_bytes!("../../../tests/fixtures/identity.p12");
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
}
