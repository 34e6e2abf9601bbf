//! Several runs at once.

use std::fs;
use std::thread;
use std::time::Duration;

use stand_in::Behaviour;

use super::support::{CARGO, CURL, Launcher, RELEASED, Run};

#[test]
fn runs_at_once_each_find_a_whole_binary() {
    let slowly = Behaviour::Drip { bytes: 10, every: Duration::from_millis(20) };
    let launcher = Launcher::released(vec![slowly.forever()]);
    let commands: Vec<_> = (0..4).map(|_| launcher.command(CURL)).collect();
    let running: Vec<_> = commands
        .into_iter()
        .map(|mut command| thread::spawn(move || Run::from(command.output().unwrap())))
        .collect();
    for run in running {
        run.join().unwrap().assert_released();
    }
    assert_eq!(fs::read(launcher.cached()).unwrap(), RELEASED.as_bytes());
    launcher.assert_nothing_half_is_left();
}

#[test]
fn builds_at_once_each_find_a_whole_binary() {
    let launcher = Launcher::new();
    let commands: Vec<_> = (0..2).map(|_| launcher.command(CARGO)).collect();
    let running: Vec<_> = commands
        .into_iter()
        .map(|mut command| thread::spawn(move || Run::from(command.output().unwrap())))
        .collect();
    for run in running {
        run.join().unwrap().assert_built();
    }
    launcher.assert_nothing_half_is_left();
}
