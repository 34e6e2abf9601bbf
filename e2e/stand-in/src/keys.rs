//! Generates private keys for tests: the type that Apple issues, and types that the Step must reject.

use std::fmt;
use std::io;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, ParsedPublicKey,
};

/// A P-256 key, the type that App Store Connect issues as `AuthKey_<ID>.p8`.
pub struct P256 {
    /// The private key, PKCS#8 PEM.
    pub private_pem: String,
    /// The public key, SPKI PEM.
    pub public_pem: String,
}

impl P256 {
    /// A new key.
    ///
    /// # Errors
    ///
    /// When the system's random source fails.
    pub fn generate() -> io::Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
        let private = pair.to_pkcs8v1().map_err(failed)?;
        let public = AsDer::as_der(pair.public_key()).map_err(failed)?;
        Ok(Self {
            private_pem: to_pem("PRIVATE KEY", private.as_ref()),
            public_pem: to_pem("PUBLIC KEY", public.as_ref()),
        })
    }
}

/// A new P-384 private key, PKCS#8 PEM.
///
/// # Errors
///
/// When the system's random source fails.
pub fn p384_private_pem() -> io::Result<String> {
    ec_private_pem(&ECDSA_P384_SHA384_FIXED_SIGNING)
}

/// A new RSA private key of 2048 bits, PKCS#8 PEM.
///
/// # Errors
///
/// When the system's random source fails.
pub fn rsa_2048_private_pem() -> io::Result<String> {
    let pair = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    Ok(to_pem("PRIVATE KEY", private.as_ref()))
}

/// A new Ed25519 private key, PKCS#8 PEM.
///
/// # Errors
///
/// When the system's random source fails.
pub fn ed25519_private_pem() -> io::Result<String> {
    let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(failed)?;
    Ok(to_pem("PRIVATE KEY", private.as_ref()))
}

/// The P-256 public key that verifies an account's tokens.
#[derive(Clone)]
pub struct PublicKey(ParsedPublicKey);

impl PublicKey {
    /// Reads a public key in SPKI PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// When the text is not one P-256 public key.
    pub fn from_spki_pem(pem: &str) -> io::Result<Self> {
        let der = from_pem("PUBLIC KEY", pem)?;
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der)
            .map(Self)
            .map_err(|_| invalid("this public key is not a P-256 key"))
    }

    /// The public key of a PKCS#8 PEM private key (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    ///
    /// When the text is not one P-256 private key.
    pub fn from_private_key_pem(pem: &str) -> io::Result<Self> {
        let der = from_pem("PRIVATE KEY", pem)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
            .map_err(|_| invalid("this private key is not a P-256 key in PKCS#8"))?;
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key())
            .map(Self)
            .map_err(|_| invalid("this private key has no usable public half"))
    }

    /// Whether `signature` (r and s, 32 bytes each) signs the SHA-256 of `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == 64 && self.0.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(P-256)")
    }
}

fn ec_private_pem(algorithm: &'static EcdsaSigningAlgorithm) -> io::Result<String> {
    let pair = EcdsaKeyPair::generate(algorithm).map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    Ok(to_pem("PRIVATE KEY", private.as_ref()))
}

fn to_pem(tag: &str, der: &[u8]) -> String {
    // The crate's default line length, 64, is also that of Apple's files.
    let lf = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), lf)
}

fn from_pem(tag: &str, text: &str) -> io::Result<Vec<u8>> {
    let parsed = pem::parse(text).map_err(|error| invalid(&format!("not PEM: {error}")))?;
    if parsed.tag() != tag {
        return Err(invalid(&format!("expected PEM with BEGIN {tag}, found BEGIN {}", parsed.tag())));
    }
    Ok(parsed.into_contents())
}

fn failed(_: aws_lc_rs::error::Unspecified) -> io::Error {
    io::Error::other("a key cannot be generated")
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
