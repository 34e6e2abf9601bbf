//! TLS by rustls, with the certificates that the system trusts.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;

use crate::env::Env;
use crate::redact::{self, Text, text};
use crate::regular_file::{self, ReadError};

/// Names a file of certificates in the place of the system's, to OpenSSL and to rustls alike.
const FILE_VARIABLE: &str = "SSL_CERT_FILE";

/// The file of certificates that the environment names.
#[must_use]
pub(super) fn file(env: &Env) -> Option<PathBuf> {
    env.var(FILE_VARIABLE).map(PathBuf::from)
}

/// What every client of a run shares: on Linux, the system's trust store is some 150 files to read
/// and parse, which takes longer than the rest of a run. `file`: see [`file`].
///
/// # Errors
/// Why the trust store cannot be read.
pub(super) fn config(file: Option<&Path>) -> Result<ClientConfig, Text> {
    if let Some(file) = file {
        check(file)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier);
    let mut config = config.map_err(|error| redact::cause(&error))?.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// rustls would wait for a FIFO, and read a device without an end. On a Mac the system judges
/// certificates, and nothing reads the file.
fn check(file: &Path) -> Result<(), Text> {
    if cfg!(target_os = "macos") {
        return Ok(());
    }
    match regular_file::open(file, OpenOptions::new().read(true)) {
        Ok(_) => Ok(()),
        Err(ReadError::NotRegular) => Err(text!("{} names what is not a regular file", FILE_VARIABLE)),
        Err(error) => Err(text!("the file in {} cannot be read: {}", FILE_VARIABLE, error.why())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_taken_for_certificates() {
        let why = |path: &str| {
            let mut env = Env::system();
            env.vars.insert(FILE_VARIABLE.to_owned(), path.to_owned());
            check(&file(&env)?).err().map(|why| why.to_string())
        };
        assert_eq!(why(""), None, "as good as none");
        assert_eq!(why(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), None);
        for path in ["/dev/zero", "/dev/null", "/nowhere/ca.pem"] {
            let is_named = why(path).is_some_and(|why| why.contains(FILE_VARIABLE));
            assert_ne!(is_named, cfg!(target_os = "macos"), "{path}");
        }
    }
}
