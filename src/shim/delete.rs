//! `delete`: what is done for a container whose shim is not there any more.

use super::api::{DeleteResponse, Options};
use super::flags::Flags;
use super::work;
use crate::host;
use crate::protobuf::Declared;
use crate::sys::{Errno, socket};
use anyhow::{Context, Result};
use nix::sys::socket::SockType;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Take away what the shim has left, and say how the container has ended as far as that is known.
pub fn delete(flags: &Flags) -> Result<()> {
    let bundle = if flags.bundle.as_os_str().is_empty() {
        // containerd says it by the working directory, or that of another container of the pod.
        let here = std::env::current_dir().context("getcwd")?;
        here.parent().unwrap_or(Path::new("/")).join(&flags.id)
    } else {
        flags.bundle.clone()
    };
    let root = work::recalled(&bundle).unwrap_or_else(|| Options::default().root(&flags.namespace));
    let global = work::global(&root, &Options::default());
    let id = flags.id.parse()?;
    let pid = global.store().find(&id).ok().flatten().map_or(0, |found| found.state.pid);
    let done = work::forget(&global, &flags.id, &bundle.join("rootfs"))?;
    done.warnings.iter().for_each(|warning| crate::log::say(&format!("warning: {warning}")));
    forget_socket(&bundle);
    // What ended it nobody knows; SIGKILL is what others say.
    let response = DeleteResponse {
        pid: pid as u32,
        exit_status: 128 + libc::SIGKILL as u32,
        exited_at: Some(SystemTime::now().into()),
    };
    std::io::stdout().write_all(&response.encode()).context("standard output")
}

/// The socket of a shim that was killed; one that listens goes on for others of the pod.
fn forget_socket(bundle: &Path) {
    let Ok(address) = host::read(bundle.join(super::start::ADDRESS)) else { return };
    let path = PathBuf::from(address.trim().trim_start_matches("unix://"));
    if matches!(socket::connect_to(&path, SockType::Stream), Err(Errno::ECONNREFUSED)) {
        let _ = std::fs::remove_file(path);
    }
}
