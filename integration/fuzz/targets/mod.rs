//! What is tried with any input: each target gives it to the code that reads such a thing, and
//! panics where that does wrong.

mod accounts;
mod archive;
mod bus;
mod channel;
mod configs;
mod criu;
mod notifications;
mod seccomp;
mod shim;

/// What an input is, so that it is changed in a way that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any bytes.
    Bytes,
    /// JSON, most of the time.
    Json,
}

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also of its folder in the corpus.
    pub name: &'static str,
    /// How inputs are changed.
    pub shape: Shape,
    /// Folders of the project whose files are tried too.
    pub seeds: &'static [&'static str],
    /// What is tried.
    pub run: fn(&[u8]),
}

const fn bytes(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, shape: Shape::Bytes, seeds: &[], run }
}

const fn json(name: &'static str, seeds: &'static [&'static str], run: fn(&[u8])) -> Target {
    Target { name, shape: Shape::Json, seeds, run }
}

/// All targets.
pub const TARGETS: [Target; 13] = [
    json("config", &["tests/plans"], configs::config),
    json("process", &[], configs::process),
    json("state", &[], configs::state),
    bytes("options", configs::options),
    bytes("seccomp", seccomp::run),
    json("image", &[], accounts::run),
    bytes("archive", archive::archive),
    bytes("pax", archive::pax),
    bytes("bus", bus::run),
    bytes("criu", criu::run),
    bytes("channel", channel::run),
    bytes("notifications", notifications::run),
    bytes("shim", shim::run),
];
