//! What people give in place of an App Store Connect API key.

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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
        let sentences: BTreeSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), all.len(), "each has its own");
        for sentence in sentences {
            let (what, remedy) = sentence.split_once(": ").unwrap_or_default();
            assert!(!what.is_empty() && !remedy.is_empty(), "{sentence}");
        }
    }
}
