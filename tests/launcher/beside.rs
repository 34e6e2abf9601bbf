//! A binary beside the launcher.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::support::{CURL, Launcher, NAME, system};

#[test]
fn a_binary_beside_is_run_and_nothing_is_asked() {
    let launcher = Launcher::released(Vec::new());
    let beside = launcher.path(&format!("step/{NAME}-{}", system()));
    fs::write(&beside, "#!/bin/sh\necho \"beside, with $# arguments\"\n").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    let run = launcher.run(CURL);
    assert_eq!((run.status, run.log.as_str()), (Some(0), "beside, with 0 arguments\n"));
    assert_eq!(launcher.requests(), 0);
    assert!(!launcher.cache().exists());
}
