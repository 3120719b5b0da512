//! `update --device-add` and `--device-remove`.

use crate::config::Device;
use crate::config::added::AddedDevice;
use crate::config::device_rules::{Access, access};
use crate::parent::added_devices::Act;
use crate::state::State;
use crate::sys::fs;
use anyhow::{Context, Result, bail};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// PATH[:CONTAINER_PATH][:rwm]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    source: PathBuf,
    /// Absolute, in the container.
    path: String,
    access: Access,
}

/// What `--device-add` is followed by.
pub(super) fn asked(text: &str) -> Result<Asked, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, path, letters) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, letters] if access(letters).is_some() => (source, source, letters),
        [source, path] => (source, path, "rwm"),
        [source, path, letters] => (source, path, letters),
        _ => return Err("not of the form PATH[:CONTAINER_PATH][:rwm]".into()),
    };
    let access = access(letters).ok_or_else(|| format!("{letters:?} is not made of r, w and m"))?;
    let names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
    let names: Vec<&str> = names.collect();
    if !path.starts_with('/') || names.is_empty() || names.contains(&"..") {
        return Err(format!("{path:?} is not an absolute path of a device"));
    }
    Ok(Asked { source: source.into(), path: format!("/{}", names.join("/")), access })
}

/// All acts, those that add first.
pub(super) fn acts(add: &[Asked], remove: &[String], state: &State) -> Result<Vec<Act>> {
    let mut acts = Vec::new();
    for asked in add {
        let option = || format!("--device-add {}", asked.source.display());
        acts.push(Act::Add(look_at(asked).with_context(option)?));
    }
    for path in remove {
        match state.devices.iter().find(|known| known.node.path == *path) {
            Some(known) => acts.push(Act::Remove(known.clone())),
            None => bail!("--device-remove {path}: was not added"),
        }
    }
    Ok(acts)
}

/// What the node on the host is.
fn look_at(asked: &Asked) -> Result<AddedDevice> {
    let node = fs::open(Path::new(&asked.source), fs::O_PATH, 0).context("open")?;
    let stat = fs::stat_fd(node.as_fd()).context("fstat")?;
    let kind = stat.st_mode & libc::S_IFMT;
    if kind != libc::S_IFCHR && kind != libc::S_IFBLK {
        bail!("is not a device");
    }
    let node = Device {
        path: asked.path.clone(),
        kind,
        major: libc::major(stat.st_rdev),
        minor: libc::minor(stat.st_rdev),
        mode: stat.st_mode & 0o777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    };
    let source = std::path::absolute(&asked.source).context("getcwd")?;
    Ok(AddedDevice { node, source, access: asked.access, mount: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_path_and_rights() {
        let of =
            |text: &str| asked(text).map(|a| (a.source.display().to_string(), a.path, a.access.letters()));
        let good = |source: &str, path: &str, letters: &str| Ok((source.into(), path.into(), letters.into()));
        assert_eq!(of("/dev/a"), good("/dev/a", "/dev/a", "rwm"));
        assert_eq!(of("/dev/a:r"), good("/dev/a", "/dev/a", "r"));
        assert_eq!(of("/dev/a:/dev//b"), good("/dev/a", "/dev/b", "rwm"));
        assert_eq!(of("/dev/a:/dev/b:mr"), good("/dev/a", "/dev/b", "rm"));
        for text in ["/dev/a:b", "/dev/a:/", "/dev/a:/dev/../x", "/dev/a:/dev/b:x", "/dev/a:/b:r:r", "a"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
