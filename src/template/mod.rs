//! A config.json to start from: the one of `spec`, Docker's confinement, the sandbox of `run
//! --host-root`, and what recordings of containers need.

pub mod docker;
pub mod profile;
pub mod recording;
pub mod sandbox;
pub mod spec;
