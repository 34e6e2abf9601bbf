//! Why bytes are not a usable private key.

use crate::redact::error_messages;

error_messages! {
    /// `Display` completes a sentence such as "The content of `api_key_path` … ".
    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    pub enum PrivateKeyError {
        #[error("is empty")]
        Empty,
        #[error("is larger than 64 KiB, so it is not a key")]
        TooLarge,
        #[error("is not text")]
        NotText,
        #[error("is an RSA key, but App Store Connect API keys are EC keys on P-256")]
        Rsa,
        #[error("is an EC key on a curve other than P-256")]
        OtherCurve,
        #[error("is an Ed25519 key, but App Store Connect API keys are EC keys on P-256")]
        Ed25519,
        #[error("is a type of key that App Store Connect does not use")]
        OtherAlgorithm,
        #[error("is encrypted with a passphrase")]
        Encrypted,
        #[error("is encrypted with {0}")]
        EncryptedFile(&'static str),
        #[error("is a PGP message or key")]
        Pgp,
        #[error("is only the public key")]
        PublicKey,
        #[error("is a certificate")]
        Certificate,
        #[error("is a certificate signing request")]
        CertificateRequest,
        #[error("is a .p12 file (a signing certificate)")]
        Pkcs12,
        #[error("is a Git LFS pointer, not the file itself")]
        GitLfs,
        #[error("is an HTML page, most likely a login or error page")]
        Html,
        #[error("is an XML error message from a storage service, most likely because the link has expired")]
        XmlError,
        #[error("is a rich-text document (RTF) without a complete key")]
        Rtf,
        #[error("is a JSON document without a complete key")]
        Json,
        #[error("contains more than one key")]
        SeveralKeys,
        #[error("is truncated or damaged")]
        Damaged,
    }
}

impl PrivateKeyError {
    /// How to fix the input. Follows the error's message and a colon.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "provide the text or the path of AuthKey_<ID>.p8",
            Self::TooLarge => "provide AuthKey_<ID>.p8, which is about 250 bytes long",
            Self::NotText => "provide AuthKey_<ID>.p8 as downloaded",
            Self::Encrypted => {
                "decrypt it (openssl pkcs8 -in key.p8 -out AuthKey_<ID>.p8), and provide the result"
            }
            Self::EncryptedFile(_) | Self::Pgp => {
                "decrypt it in an earlier step, and provide the decrypted AuthKey_<ID>.p8"
            }
            Self::PublicKey => {
                "provide the private key AuthKey_<ID>.p8; if it is lost, create a new key in App Store Connect"
            }
            Self::Certificate | Self::CertificateRequest => {
                "provide the API key AuthKey_<ID>.p8, which has nothing to do with signing certificates"
            }
            Self::Pkcs12 => "provide the API key AuthKey_<ID>.p8 from App Store Connect",
            Self::GitLfs => "run `git lfs pull` in an earlier step",
            Self::Html => "provide a URL that downloads the .p8 file itself",
            Self::XmlError => "create a new download link",
            Self::SeveralKeys => "provide only the AuthKey_<ID>.p8 of the API key that you want to use",
            Self::Damaged => {
                "provide AuthKey_<ID>.p8 as downloaded, or the output of `base64 < AuthKey_<ID>.p8`"
            }
            Self::Rsa | Self::OtherCurve | Self::Ed25519 | Self::OtherAlgorithm | Self::Rtf | Self::Json => {
                "provide AuthKey_<ID>.p8 from App Store Connect"
            }
        }
    }
}
