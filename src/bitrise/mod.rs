//! What Bitrise defines: the connection's format, the envstore, the log, annotations, `step.yml`.

pub(crate) mod annotation;
pub mod connection;
pub mod entry;
pub mod envman;
pub mod envstore;
pub mod limits;
pub mod step_yml;
