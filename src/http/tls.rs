//! TLS with rustls and the certificates that the system trusts.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;

use crate::env::Env;
use crate::redact::{self, text};
use crate::regular_file;

use super::failure::Failure;

/// The path of a file with certificates that replace the system's, for OpenSSL and rustls alike.
const CERT_FILE: &str = "SSL_CERT_FILE";

/// The paths of folders of such files, separated by colons.
const CERT_DIR: &str = "SSL_CERT_DIR";

/// The maximum size of all these files together. Debian's certificates take up 250 KB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The paths of certificates in environment variables. Without any, the system's certificates apply.
#[derive(Default)]
pub(super) struct TrustStore {
    file: Option<PathBuf>,
    folders: Vec<PathBuf>,
    /// The first variable that rustls reads certificates from. An empty [`CERT_FILE`] counts, as a file without a name.
    variable: Option<&'static str>,
    /// A variable whose value is not UTF-8, so that its files can't be checked. rustls would read them.
    not_utf8: Option<&'static str>,
}

impl TrustStore {
    /// On a Mac, the system verifies certificates, and the variables have no effect.
    pub(super) fn from_env(env: &Env) -> Self {
        if cfg!(target_os = "macos") {
            return Self::default();
        }
        let is_read =
            |name: &&str| env.var(name).is_some() || (*name == CERT_FILE && env.vars.contains_key(name));
        Self {
            variable: [CERT_FILE, CERT_DIR].into_iter().find(is_read),
            file: env.var(CERT_FILE).map(PathBuf::from),
            folders: env.var(CERT_DIR).map(std::env::split_paths).into_iter().flatten().collect(),
            not_utf8: [CERT_FILE, CERT_DIR].into_iter().find(|name| env.is_not_utf8(name)),
        }
    }

    /// Rejects files that would block rustls, such as a FIFO, and files that are too large or endless.
    fn check(&self) -> Result<(), Failure> {
        let wrong = |name, problem| Failure::InvalidVariable { name, problem };
        if let Some(name) = self.not_utf8 {
            return Err(wrong(name, text!("is not UTF-8")));
        }
        let mut bytes = 0;
        let mut add = |name, length: u64| {
            bytes += length;
            if bytes <= MAX_BYTES {
                return Ok(());
            }
            Err(wrong(name, text!("points to more than {} MiB of certificates", MAX_BYTES / 1024 / 1024)))
        };
        if let Some(file) = &self.file {
            let length = regular_file::open(file, OpenOptions::new().read(true))
                .and_then(|file| Ok(file.metadata()?.len()))
                .map_err(|error| {
                    wrong(CERT_FILE, text!("names a file that cannot be read ({})", error.why()))
                })?;
            add(CERT_FILE, length)?;
        }
        // In these folders, rustls skips whatever it can't read and whatever isn't a regular file.
        for entry in self.folders.iter().flat_map(fs::read_dir).flatten().flatten() {
            if let Ok(metadata) = fs::metadata(entry.path())
                && metadata.is_file()
            {
                add(CERT_DIR, metadata.len())?;
            }
        }
        Ok(())
    }
}

/// The configuration that all clients of a run share: on Linux, the system's trust store is about 150 files,
/// which take longer to read than the rest of a run.
///
/// # Errors
/// [`Failure`] if the trust store can't be read or is empty.
pub(super) fn config(trust_store: &TrustStore) -> Result<ClientConfig, Failure> {
    trust_store.check()?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier);
    let config = config.map_err(|error| match trust_store.variable {
        Some(name) => Failure::InvalidVariable { name, problem: text!("points to no certificates") },
        None => Failure::Other(redact::cause(&error)),
    })?;
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(all(test, not(target_os = "macos")))]
mod tests {
    use std::fs::File;

    use super::*;

    fn problem(vars: &[(&str, &str)]) -> Option<String> {
        TrustStore::from_env(&Env::for_tests(vars)).check().err().map(|why| why.to_string())
    }

    #[test]
    fn certificates_are_read_only_from_a_regular_file() {
        assert_eq!(problem(&[(CERT_FILE, concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))]), None);
        for path in ["/dev/zero", "/dev/null", "/nowhere/ca.pem"] {
            assert!(problem(&[(CERT_FILE, path)]).is_some_and(|why| why.contains(CERT_FILE)), "{path}");
        }
    }

    #[test]
    fn more_than_16_mib_of_certificates_in_total_are_rejected_unread() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let paths = ["a.pem", "b.pem", "c/d.pem"].map(|name| folder.path().join(name));
        fs::create_dir(folder.path().join("c"))?;
        // Sparse: only the length counts.
        for (path, length) in paths.iter().zip([MAX_BYTES - 1, 1, 1]) {
            File::create(path)?.set_len(length)?;
        }
        let [file, _, other] = paths.each_ref().map(|path| path.to_str().unwrap_or_default());
        let folder = folder.path().to_str().unwrap_or_default();
        assert_eq!(problem(&[(CERT_DIR, folder)]), None);
        assert_eq!(problem(&[(CERT_DIR, "/nowhere")]), None);
        let in_total = problem(&[(CERT_FILE, other), (CERT_DIR, folder)]);
        assert_eq!(
            in_total.as_deref(),
            Some(
                "was not contacted, because the variable SSL_CERT_DIR points to more than 16 MiB of certificates"
            )
        );
        let two_folders = format!("{folder}:{folder}/c");
        assert!(problem(&[(CERT_DIR, &two_folders)]).is_some());
        File::create(file)?.set_len(20 << 30)?;
        let one_file = problem(&[(CERT_FILE, file)]);
        assert!(one_file.is_some_and(|why| why.contains("SSL_CERT_FILE points to more than 16 MiB")));
        Ok(())
    }
}
