//! TLS with rustls and the certificates that the system trusts.

use std::fs::{self, Metadata};
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;

use crate::env::Env;
use crate::redact::{self, text};
use crate::regular_file;

use super::failure::Failure;

/// The variable with the path of a file of certificates. Like OpenSSL, rustls uses them instead of the system's.
const CERT_FILE: &str = "SSL_CERT_FILE";

/// The variable with the paths of folders of such files, separated by colons.
const CERT_DIR: &str = "SSL_CERT_DIR";

/// The maximum size of all these files together. Debian's certificates take up 250 KB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Rejects files that would block rustls, such as a FIFO, and files that are too large or endless. Returns the
/// first variable that rustls reads certificates from. An empty [`CERT_FILE`] counts: rustls tries to open it.
/// On a Mac, rustls ignores both variables.
fn check_variables(env: &Env) -> Result<Option<&'static str>, Failure> {
    if cfg!(target_os = "macos") {
        return Ok(None);
    }
    let invalid = |name, problem| Failure::InvalidVariable { name, problem };
    // rustls would also use a variable that is not UTF-8, but the Step can't check the files that it names.
    if let Some(name) = [CERT_FILE, CERT_DIR].into_iter().find(|name| env.is_not_utf8(name)) {
        return Err(invalid(name, text!("is not UTF-8")));
    }
    let check_size = |name, bytes: u64| {
        let problem = || text!("points to more than {} MiB of certificates", MAX_BYTES / 1024 / 1024);
        if bytes > MAX_BYTES { Err(invalid(name, problem())) } else { Ok(bytes) }
    };
    let mut bytes = 0;
    if let Some(file) = env.var(CERT_FILE) {
        let length = regular_file::open(Path::new(file)).and_then(|file| Ok(file.metadata()?.len()));
        let unreadable = |error| invalid(CERT_FILE, text!("names a file that cannot be read ({})", error));
        bytes = check_size(CERT_FILE, length.map_err(unreadable)?)?;
    }
    // In these folders, rustls skips whatever it can't read and whatever isn't a regular file.
    let folders = env.var(CERT_DIR).map(std::env::split_paths).into_iter().flatten();
    let entries = folders.flat_map(fs::read_dir).flatten().flatten();
    let files = entries.flat_map(|entry| fs::metadata(entry.path())).filter(Metadata::is_file);
    check_size(CERT_DIR, files.map(|file| file.len()).fold(bytes, u64::saturating_add))?;
    let has_file = env.vars.contains_key(CERT_FILE);
    Ok(if has_file { Some(CERT_FILE) } else { env.var(CERT_DIR).map(|_| CERT_DIR) })
}

/// The configuration that all TLS clients of a run share: on Linux, the system's trust store is about 150 files,
/// which take longer to read than the rest of a run. Fails if the trust store can't be read or is empty.
pub(super) fn config(env: &Env) -> Result<ClientConfig, Failure> {
    let variable = check_variables(env)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier);
    let config = config.map_err(|error| match variable {
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

    fn error(vars: &[(&str, &str)]) -> Option<String> {
        check_variables(&Env::for_tests(vars)).err().map(|failure| failure.to_string())
    }

    #[test]
    fn certificates_must_be_in_a_regular_file() {
        for path in ["/dev/zero", "/dev/null", "/nowhere/ca.pem"] {
            assert!(error(&[(CERT_FILE, path)]).is_some_and(|error| error.contains(CERT_FILE)), "{path}");
        }
    }

    #[test]
    fn more_than_16_mib_of_certificates_in_total_are_rejected_unread() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("c"))?;
        // Sparse files: only the length counts. The folder's own files have exactly the maximum size.
        for (name, length) in [("a.pem", MAX_BYTES - 1), ("b.pem", 1), ("c/d.pem", 1)] {
            File::create(folder.path().join(name))?.set_len(length)?;
        }
        let folder = folder.path().to_str().unwrap_or_default();
        assert_eq!(error(&[(CERT_DIR, folder)]), None);
        assert_eq!(error(&[(CERT_DIR, "/nowhere")]), None);
        let both = error(&[(CERT_FILE, &format!("{folder}/c/d.pem")), (CERT_DIR, folder)]);
        assert!(both.is_some_and(|error| error.contains("SSL_CERT_DIR points to more than 16 MiB")));
        assert!(error(&[(CERT_DIR, &format!("{folder}:{folder}/c"))]).is_some());
        Ok(())
    }
}
