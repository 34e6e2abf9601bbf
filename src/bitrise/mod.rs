//! Bitrise's formats and services: the connection document, the envstore, envman, annotations, `step.yml`.

pub(crate) mod annotation;
pub mod connection;
pub mod entry;
pub mod envman;
pub mod envstore;
pub mod limits;
pub mod step_yml;
