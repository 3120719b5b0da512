//! A config.json to start from: the one of `spec`, Docker's confinement, and the sandbox of `run
//! --host-root`.

pub mod docker;
pub mod sandbox;
pub mod spec;
