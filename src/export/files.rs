//! The files of a run, in one private folder. If the run fails, the folder is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use secrecy::SecretString;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::apple::device::Device;
use crate::credential::Credential;
use crate::formats::{connection, fastlane_devices, fastlane_key, rcodesign_key};
use crate::log::RunLog;
use crate::redact::{self, FatalError, text};
use crate::tools::FileKind::{
    self, Connection, FastlaneDevices, FastlaneKey, PrivateKey, RcodesignKey, UdidList,
};

/// The name of the folder, before its random part.
pub(crate) const FOLDER_PREFIX: &str = "apple-services-connection-";

/// The file that marks a folder of this Step, so that `action: remove` deletes no other folder.
pub(crate) const MARKER_NAME: &str = ".apple-services-connection";
pub(crate) const MARKER_TEXT: &str = "This folder was made by the Bitrise Step apple-services-connection.\n";

/// The files of a run. Deleted on drop, unless `keep` is called.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The absolute path of the run's folder, if a file was written.
    pub(crate) folder: Option<String>,
    pub(crate) paths: BTreeMap<FileKind, String>,
    /// The content of the file [`FileKind::Connection`].
    pub(crate) connection_json: Option<SecretString>,
}

impl Files {
    /// Writes the wanted files, except those for which this run has no content. The files have mode
    /// 0600, in a new folder with mode 0700.
    ///
    /// # Errors
    /// If the temporary folder can't be used. No file is left.
    pub(crate) fn write(
        wanted: &BTreeSet<FileKind>,
        credential: Option<&Credential>,
        devices: &[Device],
        temp_dir: &Path,
        run_log: &mut RunLog,
    ) -> Result<Self, FatalError> {
        let mut files = Self::default();
        let contents = wanted.iter().map(|&file| (file, name_and_content(file, credential, devices)));
        let contents: Vec<_> = contents.filter_map(|(file, content)| Some((file, content?))).collect();
        if contents.is_empty() {
            return Ok(files);
        }
        let temporary = create_private_folder(temp_dir, Path::new("/tmp"), run_log)
            .map_err(|error| write_error(temp_dir, &error))?;
        let folder = temporary.path().to_str().map(str::to_owned).ok_or_else(|| {
            text!("The path of the temporary folder is not valid UTF-8: set TMPDIR to another folder.")
        })?;
        // From here on, `files` deletes the folder when it is dropped, not `temporary`.
        let _path = temporary.keep();
        files.folder = Some(folder.clone());
        let create = |path: &str, bytes: &[u8]| {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            file.and_then(|mut file| file.write_all(bytes)).map_err(|error| write_error(temp_dir, &error))
        };
        create(&format!("{folder}/{MARKER_NAME}"), MARKER_TEXT.as_bytes())?;
        for (file, (name, content)) in contents {
            let path = format!("{folder}/{name}");
            // Before the file is created, so that `drop` also deletes a half-written one.
            files.paths.insert(file, path.clone());
            create(&path, &content)?;
            if file == Connection {
                files.connection_json = std::str::from_utf8(&content).ok().map(SecretString::from);
            }
        }
        Ok(files)
    }

    /// Keeps the files for later Steps: without a folder, `drop` deletes nothing.
    pub(crate) fn keep(mut self) {
        self.folder = None;
    }
}

impl Drop for Files {
    /// Deletes the files by name, since listing the folder fails if the process has no file descriptors left.
    fn drop(&mut self) {
        let Some(folder) = &self.folder else { return };
        let marker = format!("{folder}/{MARKER_NAME}");
        for path in self.paths.values().chain([&marker]) {
            drop(std::fs::remove_file(path));
        }
        drop(std::fs::remove_dir(folder));
    }
}

/// Returns the name and content of a file, or `None` if this run has no content for it.
pub(crate) fn name_and_content(
    file: FileKind,
    credential: Option<&Credential>,
    devices: &[Device],
) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let to_bytes = |text: String| Zeroizing::new(text.into_bytes());
    let (name, content) = match (file, credential) {
        (PrivateKey, Some(Credential::ApiKey(key))) => {
            return Some((key.file_name(), to_bytes(key.private_key.expose_pem().to_owned())));
        }
        (FastlaneKey, Some(Credential::ApiKey(key))) => ("fastlane_api_key.json", fastlane_key(key)),
        (RcodesignKey, Some(Credential::ApiKey(key))) => ("rcodesign_api_key.json", rcodesign_key(key)?),
        // The connection's format has no individual keys.
        (Connection, Some(Credential::ApiKey(key))) if key.issuer.is_none() => return None,
        (Connection, Some(credential)) => ("connection.json", connection::json(credential, devices)),
        (FastlaneDevices, _) if !devices.is_empty() => ("devices.txt", to_bytes(fastlane_devices(devices))),
        (UdidList, _) if !devices.is_empty() => {
            let udids: Vec<_> = devices.iter().map(|device| device.udid.as_str()).collect();
            ("device_list.txt", to_bytes(udids.join(",")))
        }
        _ => return None,
    };
    Some((name.to_owned(), content))
}

/// Creates a folder in `temp_dir`, or in `fallback` if the path of `temp_dir` is not URL-safe.
fn create_private_folder(temp_dir: &Path, fallback: &Path, run_log: &mut RunLog) -> io::Result<TempDir> {
    let create_in = |folder: &Path| {
        tempfile::Builder::new()
            .prefix(FOLDER_PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(folder)
    };
    // Later Steps run in other folders, and xcodebuild only accepts absolute paths.
    let absolute = std::path::absolute(temp_dir)?;
    // Unreserved in RFC 3986, or a slash. A path of these is the same in a URL, which some readers don't decode.
    let is_safe = |b: &u8| b.is_ascii_alphanumeric() || b"/-._~".contains(b);
    if absolute.as_os_str().as_bytes().iter().all(is_safe) {
        return create_in(&absolute);
    }
    if let Ok(folder) = create_in(fallback) {
        return Ok(folder);
    }
    let folder = create_in(&absolute)?;
    run_log.warn(text!(
        "Bitrise's own Steps can't read the files that APPLE_API_KEY_URL and APPLE_CONNECTION_URL point to, because the path of the temporary folder {} needs URL encoding: set TMPDIR to a path of letters, digits and hyphens.",
        redact::path(&absolute)
    ));
    Ok(folder)
}

fn write_error(temp_dir: &Path, error: &io::Error) -> FatalError {
    let folder = redact::path(temp_dir);
    FatalError::new(match error.kind() {
        ErrorKind::NotFound => text!(
            "The temporary folder {} does not exist: create it, or set TMPDIR to an existing folder.",
            folder
        ),
        _ => text!(
            "Cannot write the credential's files in the temporary folder {} ({}): {}, or set TMPDIR to another folder.",
            folder,
            redact::os(error),
            super::remedy(error)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Text;

    #[test]
    fn a_warning_names_the_url_outputs_if_no_temporary_folder_is_url_safe() -> io::Result<()> {
        let outer = tempfile::tempdir()?;
        let temp_dir = outer.path().join("with a blank");
        std::fs::create_dir(&temp_dir)?;
        let mut run_log = RunLog::default();
        let folder = create_private_folder(&temp_dir, &outer.path().join("missing"), &mut run_log)?;
        assert_eq!(folder.path().parent(), Some(temp_dir.as_path()));
        let warning = Text::join(run_log.warnings, "");
        assert!(warning.as_str().contains("APPLE_API_KEY_URL"), "{warning}");
        Ok(())
    }
}
