//! A sealed copy of this program: what enters a container must never lead back to the host's file.
//!
//! A process in a container can reach the executable of another through /proc/PID/exe, and could
//! overwrite the runtime on the host (CVE-2019-5736). So the commands that enter one first go on
//! from a place that no write can reach: a detached overlay without an upper layer, or, where
//! mounting is not allowed, a sealed memfd. They map themselves from there (`sys/image.rs`) or,
//! where the kernel does not allow that, execute themselves again.

use crate::proc::stat;
use crate::sys::image::Layout;
use crate::sys::mount::{self, attr};
use crate::sys::{Errno, fs, image, process};
use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Go on as a sealed copy. Returns in the copy.
pub fn enter() -> Result<()> {
    let exe = std::fs::read_link("/proc/self/exe").context("readlink /proc/self/exe")?;
    let own = fs::open("/proc/self/exe", fs::O_RDONLY, 0).context("open /proc/self/exe")?;
    if is_sealed(&own, &exe).context("inspect /proc/self/exe")? {
        return Ok(());
    }
    let overlaid = overlay(&exe);
    if let Ok(copy) = &overlaid
        && move_to(copy, &own).is_ok()
    {
        return Ok(());
    }
    let copy = overlaid.or_else(|_| memfd(&own)).context("seal the executable")?;
    let args: Vec<CString> =
        std::env::args_os().filter_map(|arg| CString::new(arg.into_vec()).ok()).collect();
    let errno = process::exec_fd(copy.as_fd(), &args, &process::environment());
    Err(errno).context("execveat of the sealed executable")
}

/// Go on with the copy in place of the file that this process was executed from. Where the kernel
/// does not allow it (it takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE, and
/// CONFIG_CHECKPOINT_RESTORE) the copy is executed.
fn move_to(copy: &OwnedFd, own: &OwnedFd) -> Result<()> {
    // A file that has taken the place of this program's meanwhile is another program.
    let version = |file: &OwnedFd| {
        fs::stat_fd(file.as_fd()).map(|stat| (stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec))
    };
    if version(own)? != version(copy)? {
        bail!("the executable was replaced");
    }
    let stat = crate::host::read("/proc/self/stat")?;
    let layout = layout(&stat).context("/proc/self/stat: a field is missing")?;
    image::move_to(copy.as_fd(), &layout).context("PR_SET_MM_MAP")
}

fn layout(stat: &str) -> Option<Layout> {
    let pair = |(start, end)| Some((stat::field(stat, start)?, stat::field(stat, end)?));
    Some(Layout {
        code: pair(stat::CODE)?,
        data: pair(stat::DATA)?,
        start_brk: stat::field(stat, stat::START_BRK)?,
        start_stack: stat::field(stat, stat::STARTSTACK)?,
        args: pair(stat::ARGS)?,
        env: pair(stat::ENV)?,
    })
}

/// Whether this process runs from a sealed copy. The answer depends on nothing that a caller could
/// set.
fn is_sealed(own: &OwnedFd, exe: &Path) -> std::result::Result<bool, Errno> {
    if let Ok(seals) = fcntl(own, FcntlArg::F_GET_SEALS) {
        return Ok(
            SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL)
        );
    }
    if mount::fs_magic(own)? != mount::OVERLAYFS_SUPER_MAGIC || exe.parent() != Some(Path::new("/")) {
        return Ok(false);
    }
    // A detached mount is nobody's root: its path is not to be found, or leads to another file.
    let here = fs::stat_fd(own.as_fd())?;
    let same = |found: libc::stat| (found.st_dev, found.st_ino) == (here.st_dev, here.st_ino);
    Ok(!nix::sys::stat::lstat(exe).is_ok_and(same))
}

/// This program's file in a detached overlay of its folder. It has no upper layer, so nothing can
/// be written through it, and unlike a read-only bind mount it cannot be made writable.
fn overlay(exe: &Path) -> std::result::Result<OwnedFd, Errno> {
    let (folder, name) = (exe.parent().ok_or(Errno::EINVAL)?, exe.file_name().ok_or(Errno::EINVAL)?);
    let folder = folder.to_str().ok_or(Errno::EINVAL)?;
    let escaped: String =
        folder.chars().flat_map(|c| [Some('\\').filter(|_| ":,\\".contains(c)), Some(c)]).flatten().collect();
    let overlay = mount::fsopen("overlay")?;
    let overlay = overlay.as_fd();
    // The kernel wants two lower layers where there is no upper one; /sys is a folder on every
    // machine.
    mount::fsconfig_string(overlay, "lowerdir", &format!("{escaped}:/sys"))?;
    mount::fsconfig_create(overlay)?;
    let mount = mount::fsmount(overlay, attr::RDONLY | attr::NOSUID | attr::NODEV)?;
    fs::openat(mount.as_fd(), name.to_str().ok_or(Errno::EINVAL)?, fs::O_RDONLY | fs::O_NOFOLLOW, 0)
}

/// This program in a memfd that can neither be written nor resized nor unsealed.
fn memfd(own: &OwnedFd) -> std::result::Result<OwnedFd, Errno> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // MFD_EXEC is Linux 6.3; older kernels make every memfd executable.
    let exec = MFdFlags::from_bits_retain(0x10);
    let copy = memfd_create(c"knarr", flags | exec).or_else(|_| memfd_create(c"knarr", flags))?;
    let mut left = fs::stat_fd(own.as_fd())?.st_size as usize;
    while left > 0 {
        let n = nix::sys::sendfile::sendfile(&copy, own, None, left)?;
        if n == 0 {
            return Err(Errno::EIO);
        }
        left -= n;
    }
    let all =
        SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(all))?;
    Ok(copy)
}
