//! containerd's shim, built in: this program by the name `containerd-shim-knarr-v2`. One process
//! serves the containers of a pod; it makes, starts and ends them by knarr's own functions.

pub mod api;
mod connection;
mod delete;
mod flags;
mod job;
mod lifecycle;
mod metrics;
mod mounts;
mod options;
pub mod pod;
mod process;
mod publisher;
mod pump;
mod sandbox;
mod server;
mod service;
mod start;
mod stdio;
mod understudy;
pub mod wire;
mod work;

use crate::cmd;
use crate::protobuf::Declared;
use crate::sys::{self, fs};
use anyhow::{Context, Result, bail};
use api::{Any, Options, RuntimeInfo, RuntimeRequest, RuntimeVersion};
use flags::Flags;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The name that containerd makes of `io.containerd.knarr.v2`.
const NAME: &str = "containerd-shim-knarr-v2";

/// The name of what `features` prints, as containerd registers it.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// Whether this program was called as the shim.
pub fn is_called(program: &OsStr) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == NAME)
}

/// Do what containerd asks on the command line.
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    sys::signal::keep_zombies();
    match Flags::parse(args).and_then(|flags| run(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            sys::to_stderr(&format!("{NAME}: {}\n", crate::log::message(&err)));
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<()> {
    if flags.version {
        cmd::print(&format!("{NAME}:\n  Version:  {}\n", env!("CARGO_PKG_VERSION")))?;
        return Ok(());
    }
    if flags.info {
        return info();
    }
    if flags.namespace.is_empty() {
        bail!("-namespace: a name is needed");
    }
    match flags.action.as_str() {
        "start" => start::start(flags),
        "delete" => delete::delete(flags),
        other => bail!("{other:?} is neither start nor delete"),
    }
}

/// `-info`: the options that are given, and what config.json may ask for.
fn info() -> Result<()> {
    const INPUT_MAX: usize = 10 << 20;
    let input = fs::read_all(sys::process::stdin(), INPUT_MAX).context("standard input")?;
    // containerd sends the options, or a request that has them.
    let any = Any::decode(&input).filter(|any| !any.type_url.is_empty());
    let asked = || RuntimeRequest::decode(&input).and_then(|request| request.options);
    let options = any.filter(|any| any.type_url.contains("Options")).or_else(asked);
    Options::read(options.as_ref())?;
    let version = RuntimeVersion { version: env!("CARGO_PKG_VERSION").into(), revision: String::new() };
    let features =
        Any { type_url: FEATURES.into(), value: cmd::features::features().to_string().into_bytes() };
    let info = RuntimeInfo {
        name: "io.containerd.knarr.v2".into(),
        version: Some(version),
        options,
        features: Some(features),
    };
    std::io::stdout().write_all(&info.encode()).context("standard output")
}
