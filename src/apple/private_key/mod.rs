//! The private key of an App Store Connect API key.
//!
//! Apple offers the key for download once, as `AuthKey_<ID>.p8`: PKCS#8 ([RFC 5958]) in PEM ([RFC 7468]), an
//! elliptic-curve key on P-256. On its way through secret stores, terminals and web forms it loses newlines, gains
//! quotes, or is encoded again. The Step finds the key in all these forms, and writes it in one canonical form. It
//! rejects other content, several keys, and a key next to a certificate, with an error that says what the content is.
//!
//! [RFC 5958]: https://www.rfc-editor.org/rfc/rfc5958
//! [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468

mod der;
mod error;
mod search;

use secrecy::{ExposeSecret as _, SecretString};

pub use error::PrivateKeyError;
pub(crate) use search::{
    assigned_value, decode_base64, decode_percent, decode_text, strip_wrapping, until_next_assignment,
};

/// The maximum number of bytes to read a key from. No key file is larger, even if it was encoded several times.
pub const MAX_BYTES: usize = 64 * 1024;

/// The canonical PKCS#8 PEM of a valid key for ES256, on the curve P-256: 64 columns, LF, one newline at the end.
#[derive(Debug, Clone)]
pub struct PrivateKey {
    pem: SecretString,
}

impl PrivateKey {
    /// Reads a key from the bytes of a file, a response or an input.
    ///
    /// # Errors
    /// [`PrivateKeyError`], which says what the bytes are instead.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PrivateKeyError> {
        if bytes.len() > MAX_BYTES {
            return Err(PrivateKeyError::TooLarge);
        }
        Ok(Self { pem: search::find(bytes)? })
    }

    /// The canonical PKCS#8 PEM. Review each call site: it exposes the secret.
    #[must_use]
    pub fn expose_pem(&self) -> &str {
        self.pem.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use pkcs8::{PrivateKeyInfoRef, SecretDocument};
    use stand_in::keys;
    use test_support::{pem, pem_body, sec1_pem, wrapped};

    use super::*;

    fn canonical_pem(bytes: impl AsRef<[u8]>) -> Result<String, PrivateKeyError> {
        PrivateKey::from_bytes(bytes.as_ref()).map(|key| key.expose_pem().to_owned())
    }

    fn pem_block(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\r\n{body}\r\n-----END {label}-----\r\n")
    }

    /// Line ends, quotes and base64 are tested in `tests/step/key_locations.rs`, and in any combination in
    /// `tests/properties/key.rs`.
    #[test]
    fn a_key_is_found_in_every_form_that_copying_turns_it_into() {
        let pem = pem();
        assert!(pem.lines().all(|line| line.len() <= 64) && pem.ends_with("-----END PRIVATE KEY-----\n"));
        let body = pem_body(pem);
        let base64 = STANDARD.encode(pem);
        let sec1 = |with_curve| sec1_pem(pem, with_curve);
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let percent = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let html = |text: &str| text.replace('+', "&#43;").replace('/', "&#x2F;").replace('\n', "<br>\n");
        let rtf = |body: String| format!("{{\\rtf1\\ansi{body}}}");
        let macos = "\\cocoartf2761\n{\\fonttbl\\f0\\fswiss Helvetica;}\n\\f0\\fs24 \\cf0";
        let forms = [
            ("base64 of the body alone", STANDARD.encode(&body)),
            ("SEC1 after an EC PARAMETERS block", format!("{parameters}{}", sec1(true))),
            ("SEC1 without header and footer", pem_body(&sec1(true))),
            ("SEC1 without the curve", sec1(false)),
            ("the same key as PKCS#8 and SEC1", format!("{pem}{}", sec1(true))),
            ("certutil -encode", pem_block("CERTIFICATE", &base64)),
            ("the label of an RSA key", pem.replace("PRIVATE KEY", "RSA PRIVATE KEY")),
            ("BEGIN and END labels that differ", pem.replacen("PRIVATE KEY", "EC PRIVATE KEY", 1)),
            ("no BEGIN line", pem.replace("-----BEGIN PRIVATE KEY-----\n", "")),
            ("no END line", pem.replace("-----END PRIVATE KEY-----\n", "")),
            ("doubled \\\\n", pem.replace('\n', "\\\\n")),
            ("JSON escapes", pem.replace('/', "\\/").replace('=', "\\u003d").replace('\n', "\\n")),
            ("zsh's %", format!("{base64}%")),
            ("base64 of base64 of base64", STANDARD.encode(STANDARD.encode(&base64))),
            ("percent-encoded twice", percent(&percent(pem))),
            ("a web form's encoding", percent(pem).replace("%20", "+")),
            ("percent-encoded base64", percent(&base64)),
            ("em dashes", pem.replace("-----", "——-")),
            ("one em dash", pem.replace("-----", "—")),
            ("no-break spaces", pem.replace(' ', "\u{a0}")),
            ("zero-width spaces", pem.replace('M', "\u{200b}M\u{2060}")),
            ("no spaces in the BEGIN line", pem.replace("BEGIN PRIVATE KEY", "BEGINPRIVATEKEY")),
            ("smart quotes around base64", format!("“{base64}”")),
            ("quotes around each line", format!("'{}'", wrapped(&base64, 76).replace('\n', "'\n'"))),
            ("several variables", format!("KEY_ID=2X9R4HXF34\nKEY={base64}\nexport ISSUER='x'\n")),
            ("export NAME=", format!("export API_KEY=\"{body}\"")),
            ("PowerShell's $env:NAME =", format!("$env:API_KEY = '{base64}'")),
            ("a block scalar", format!("API_KEY: |\n  {base64}\n")),
            ("a folded block scalar", format!(">-\n  {base64}\n")),
            ("a backslash at each line's end", pem.replace('\n', "\\\n")),
            ("quoted in an email", format!("> > {}", pem.replace('\n', "\n> > "))),
            ("HTML's line breaks and entities", format!("<p>{}</p>", html(pem))),
            ("JSON around PEM", format!("{{\"private_key\": \"{}\"}}", pem.replace('\n', "\\n"))),
            ("RTF of macOS", rtf(format!("{macos} {}", pem.replace('\n', "\\\n")))),
            ("RTF of WordPad", rtf(pem.replace('\n', "\\par\r\n").replace('-', "\\'2d"))),
        ];
        for (form, text) in forms {
            assert_eq!(canonical_pem(&text).as_deref(), Ok(pem), "{form}: {text}");
        }
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in ["", "\u{feff}"] {
                let utf16: Vec<_> = format!("{mark}{pem}").encode_utf16().flat_map(to_bytes).collect();
                assert_eq!(canonical_pem(&utf16).as_deref(), Ok(pem), "UTF-16");
                assert_eq!(canonical_pem(STANDARD.encode(utf16)).as_deref(), Ok(pem), "base64 of UTF-16");
            }
        }
        assert_eq!(canonical_pem(STANDARD.decode(&body).unwrap()).as_deref(), Ok(pem), "binary DER");
    }

    /// `tests/step/key_locations.rs` tests files and downloads that are not a key.
    #[test]
    fn the_error_names_content_that_is_not_a_usable_key() {
        let pem = pem();
        let other_key = keys::P256::generate().unwrap();
        let rsa = keys::rsa_2048_private_pem().unwrap();
        let (_, document) = SecretDocument::from_pem(&rsa).unwrap();
        let pkcs1 = PrivateKeyInfoRef::try_from(document.as_bytes()).unwrap().private_key.as_bytes();
        let certificate = include_str!("../../../tests/fixtures/certificate.pem");
        let request = include_str!("../../../tests/fixtures/certificate_request.pem");
        let encrypted = include_str!("../../../tests/fixtures/encrypted_pkcs8.pem");
        let p12 = include_bytes!("../../../tests/fixtures/identity.p12");
        let (body, other_body) = (pem_body(pem), pem_body(&other_key.private_pem));
        for (expected, text) in [
            (PrivateKeyError::Damaged, body.split_at(body.len() - 12).0.to_owned()),
            (PrivateKeyError::Damaged, body.replacen('A', "*", 1)),
            // The start of one key, up to the middle of its public part, and the end of another.
            (PrivateKeyError::Damaged, [body.split_at(140).0, other_body.split_at(140).1].concat()),
            (PrivateKeyError::Damaged, "-----BEGIN PRIVATE KEY-----".to_owned()),
            (PrivateKeyError::Empty, "\u{feff}''".to_owned()),
            (PrivateKeyError::Empty, " ".repeat(MAX_BYTES)),
            (PrivateKeyError::Rsa, STANDARD.encode(pkcs1)),
            (PrivateKeyError::Rsa, pem_block("RSA PRIVATE KEY", "MIIB")),
            (PrivateKeyError::Rsa, format!("{{\"private_key\": \"{}\"}}", rsa.replace('\n', "\\n"))),
            (PrivateKeyError::OtherAlgorithm, pem_block("OPENSSH PRIVATE KEY", "b3Blbg==")),
            (PrivateKeyError::Encrypted, pem_body(encrypted)),
            (PrivateKeyError::EncryptedFile("age"), pem_block("AGE ENCRYPTED FILE", "YWdlLWVuY3J5")),
            (PrivateKeyError::EncryptedFile("OpenSSL"), STANDARD.encode(b"Salted__\xff\xfe\x01\x02")),
            (PrivateKeyError::PublicKey, pem_body(&other_key.public_pem)),
            (PrivateKeyError::Certificate, pem_body(certificate)),
            (PrivateKeyError::Certificate, format!("{pem}{certificate}")),
            (PrivateKeyError::CertificateRequest, pem_body(request)),
            (PrivateKeyError::Pkcs12, STANDARD.encode(p12)),
            (PrivateKeyError::Rtf, "{\\rtf1\\ansi See the key in the vault.\\par}".to_owned()),
            (PrivateKeyError::Html, "<pre>no key</pre>".to_owned()),
            (PrivateKeyError::Html, "<?xml version=\"1.0\"?><html lang=\"en\">".to_owned()),
            (PrivateKeyError::SeveralKeys, format!("{pem}{rsa}")),
        ] {
            assert_eq!(canonical_pem(&text), Err(expected), "{text}");
        }
    }

    /// `tests/properties/limits.rs` repeats complete PEM markers.
    #[test]
    fn the_largest_hostile_input_is_rejected_in_linear_time() {
        let started = std::time::Instant::now();
        for piece in ["-", "--BEGIN ", "<", "&", "%25", "a=", "\\", "MIGH", "=:", "\u{2014}"] {
            let text = piece.repeat(MAX_BYTES / piece.len());
            assert!(PrivateKey::from_bytes(text.as_bytes()).is_err(), "{piece}");
        }
        // Linear time takes seconds, even without optimization.
        assert!(started.elapsed().as_secs() < 60, "took {:?}", started.elapsed());
    }
}
