//! The ASN.1 structures of keys, and of files that people mistake for keys.

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use pkcs8::der::pem::LineEnding;
use pkcs8::der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use secrecy::SecretString;

use super::error::PrivateKeyError;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const PKCS7_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const PKCS7_SIGNED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// Checks a P-256 key and writes it in its canonical form: PKCS#8 around SEC1 ([RFC 5915]) with the public key, as
/// OpenSSL writes it. Returns `None` if the key is invalid.
///
/// Does not use the crypto library's export, which leaves an unwiped copy behind.
///
/// [RFC 5915]: https://www.rfc-editor.org/rfc/rfc5915
pub(super) fn to_canonical_pem(der: &[u8]) -> Option<SecretString> {
    // Checks that the private key is in the curve's range and that the public key, if there is one, belongs to it.
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?;
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

/// Identifies a structure by its first elements. Returns an error if it is something other than a P-256 key, and `None`
/// if it is unknown or incomplete.
pub(super) fn identify(der: &[u8]) -> Option<Result<(), PrivateKeyError>> {
    if let Ok(info) = PrivateKeyInfoRef::try_from(der) {
        let algorithm = &info.algorithm;
        return Some(match algorithm.oid {
            EC_PUBLIC_KEY if algorithm.parameters_oid() == Ok(P256) => Ok(()),
            EC_PUBLIC_KEY => Err(PrivateKeyError::OtherCurve),
            RSA => Err(PrivateKeyError::Rsa),
            ED25519 => Err(PrivateKeyError::Ed25519),
            _ => Err(PrivateKeyError::OtherAlgorithm),
        });
    }
    if let Ok(key) = sec1::EcPrivateKey::from_der(der) {
        let curve = key.parameters.and_then(sec1::EcParameters::named_curve);
        // SEC1 can omit the curve.
        let is_p256 = curve.map_or(key.private_key.len() == 32, |curve| curve == P256);
        return Some(if is_p256 { Ok(()) } else { Err(PrivateKeyError::OtherCurve) });
    }
    identify_other(der).map(Err)
}

fn identify_other(der: &[u8]) -> Option<PrivateKeyError> {
    let whole = AnyRef::from_der(der).ok().filter(|whole| whole.tag() == Tag::Sequence)?;
    let (first, second) = first_two(whole)?;
    match (first.tag(), second.tag()) {
        // PFX ::= SEQUENCE { version INTEGER, authSafe ContentInfo, … } (RFC 7292)
        (Tag::Integer, Tag::Sequence) if matches!(first_oid(second), Some(PKCS7_DATA | PKCS7_SIGNED)) => {
            Some(PrivateKeyError::Pkcs12)
        }
        // RSAPrivateKey ::= SEQUENCE { version INTEGER, modulus INTEGER, … } (RFC 8017)
        (Tag::Integer, Tag::Integer) => Some(PrivateKeyError::Rsa),
        // EncryptedPrivateKeyInfo ::= SEQUENCE { AlgorithmIdentifier, OCTET STRING } (RFC 5958)
        (Tag::Sequence, Tag::OctetString) => Some(PrivateKeyError::Encrypted),
        // SubjectPublicKeyInfo ::= SEQUENCE { AlgorithmIdentifier, BIT STRING } (RFC 5280)
        (Tag::Sequence, Tag::BitString) => Some(PrivateKeyError::PublicKey),
        // CertificationRequest ::= SEQUENCE { CertificationRequestInfo, AlgorithmIdentifier, … } (RFC 2986)
        (Tag::Sequence, Tag::Sequence) if is_request_info(first) => Some(PrivateKeyError::CertificateRequest),
        // Certificate ::= SEQUENCE { TBSCertificate, AlgorithmIdentifier, BIT STRING } (RFC 5280)
        (Tag::Sequence, Tag::Sequence) => Some(PrivateKeyError::Certificate),
        _ => None,
    }
}

/// Whether a SEQUENCE is `CertificationRequestInfo ::= SEQUENCE { version INTEGER, subject Name, … }`. A Name is a
/// SEQUENCE of SETs. In a `TBSCertificate`, the first element is not an INTEGER, or the second begins with an OID.
fn is_request_info(sequence: AnyRef<'_>) -> bool {
    first_two(sequence).is_some_and(|(version, subject)| {
        version.tag() == Tag::Integer && subject.tag() == Tag::Sequence && first_oid(subject).is_none()
    })
}

fn first_two(sequence: AnyRef<'_>) -> Option<(AnyRef<'_>, AnyRef<'_>)> {
    let mut reader = SliceReader::new(sequence.value()).ok()?;
    Some((reader.decode().ok()?, reader.decode().ok()?))
}

fn first_oid(sequence: AnyRef<'_>) -> Option<ObjectIdentifier> {
    SliceReader::new(sequence.value()).ok()?.decode().ok()
}
