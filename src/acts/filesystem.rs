//! Detached mounts of new filesystems.

use crate::fault::{Call, Outcome, Refusal};
use crate::plan::Filesystem;
use crate::sys::{fs, mount, xattr};
use std::os::fd::{AsFd, OwnedFd};

/// A detached mount of a new filesystem. A refusal carries the kernel's own text.
pub fn new_filesystem(filesystem: &Filesystem, mode: Option<u32>) -> Outcome<OwnedFd> {
    let fs = mount::fsopen(&filesystem.fstype).call(|| format!("fsopen {}", filesystem.fstype))?;
    let fs = fs.as_fd();
    let explain = |refusal: Refusal| refusal.with_text(mount::fs_log(fs));
    mount::fsconfig_string(fs, "source", &filesystem.source)
        .call(|| "fsconfig source".into())
        .map_err(explain)?;
    for (key, value) in &filesystem.parameters {
        let set = match value {
            Some(value) => mount::fsconfig_string(fs, key, value),
            None => mount::fsconfig_flag(fs, key),
        };
        // SELinux does not say what it does not like.
        let label = value.as_deref().filter(|_| key.ends_with("context"));
        let label = label.map(|label| format!(" \"{label}\"")).unwrap_or_default();
        set.call(|| format!("fsconfig {key}{label}")).map_err(explain)?;
    }
    if let Some(mode) = mode {
        mount::fsconfig_string(fs, "mode", &format!("{mode:o}"))
            .call(|| "fsconfig mode".into())
            .map_err(explain)?;
    }
    mount::fsconfig_create(fs).call(|| format!("create {}", filesystem.fstype)).map_err(explain)?;
    let mount = mount::fsmount(fs, filesystem.attrs).call(|| "fsmount".into()).map_err(explain)?;
    if let Some(label) = &filesystem.root_label {
        let root = fs::openat(mount.as_fd(), ".", fs::O_RDONLY | fs::O_DIRECTORY, 0);
        root.and_then(|root| xattr::set(root.as_fd(), "security.selinux", label.as_bytes()))
            .call(|| format!("fsetxattr security.selinux \"{label}\""))?;
    }
    Ok(mount)
}
