//! The folder on the host that keeps the changes of an overlay.

use crate::sys::{Errno, fs};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What the kernel makes in a work folder, and leaves there.
const WORK: [&str; 2] = ["work/work", "work/index"];

/// Make `path` with `upper` and `work` in it, where they are not there yet; `made` gets those that were not. `upper` becomes
/// the root of the container: it is made with the mode of `like`, and belongs to `owner` or else to whom `like` does.
pub(super) fn make(
    path: &Path,
    like: &Path,
    owner: Option<(u32, u32)>,
    made: &mut Vec<PathBuf>,
) -> Result<(), (String, Option<Errno>)> {
    let refused = |call: &str, path: &Path, errno| (format!("{call} {}", path.display()), Some(errno));
    let open = |path: &Path| {
        fs::open(path, fs::O_PATH | fs::O_DIRECTORY, 0).map_err(|errno| refused("open", path, errno))
    };
    let is_new = new_folder(path, made).map_err(|errno| refused("mkdir", path, errno))?;
    let folder = open(path)?;
    if let (true, Some((uid, gid))) = (is_new, owner) {
        // Whose way to what is in it leads through it.
        fs::chown_fd(folder.as_fd(), uid, gid).map_err(|errno| refused("chown", path, errno))?;
    }
    let like = fs::stat_fd(open(like)?.as_fd()).map_err(|errno| refused("fstat", like, errno))?;
    for name in ["upper", "work"] {
        let inside = path.join(name);
        if !new_folder(&inside, made).map_err(|errno| refused("mkdir", &inside, errno))? {
            continue;
        }
        let (uid, gid) = owner.unwrap_or((like.st_uid, like.st_gid));
        match fs::chownat(folder.as_fd(), name, uid, gid) {
            // An ordinary user's folders are the user's.
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(refused("chown", &inside, errno)),
        }
        if name == "upper" {
            fs::chmodat(folder.as_fd(), name, like.st_mode & 0o7777)
                .map_err(|errno| refused("chmod", &inside, errno))?;
        } else {
            made.extend(WORK.map(|name| path.join(name)));
        }
    }
    Ok(())
}

/// Make a folder, unless something is there; whether it was made.
fn new_folder(path: &Path, made: &mut Vec<PathBuf>) -> Result<bool, Errno> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            made.push(path.into());
            Ok(true)
        }
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(err) => Err(Errno::from_raw(err.raw_os_error().unwrap_or_default())),
    }
}
