//! The folder on the host that keeps the changes of an overlay.

use crate::fault::{Call, Outcome, Refusal};
use crate::sys::{Errno, fs};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// What the kernel makes in a work folder, and leaves there.
const WORK: [&str; 2] = ["work/work", "work/index"];

/// Make `path` with `upper` and `work` in it, where they are not there yet; `made` gets those that
/// were not. `upper` becomes the root of the container: it is made with the mode of `like`, and
/// belongs to `owner` or else to whom `like` does.
pub(super) fn make(path: &Path, like: &Path, owner: Option<(u32, u32)>, made: &mut Vec<PathBuf>) -> Outcome {
    let open = |path: &Path| {
        fs::open(path, fs::O_PATH | fs::O_DIRECTORY, 0).call(|| format!("open {}", path.display()))
    };
    let is_new = new_folder(path, made)?;
    let folder = open(path)?;
    if let (true, Some((uid, gid))) = (is_new, owner) {
        // The container's root must be able to walk through it.
        fs::chown_fd(folder.as_fd(), uid, gid).call(|| format!("chown {}", path.display()))?;
    }
    let like = fs::stat_fd(open(like)?.as_fd()).call(|| format!("fstat {}", like.display()))?;
    for name in ["upper", "work"] {
        let inside = path.join(name);
        if !new_folder(&inside, made)? {
            continue;
        }
        let (uid, gid) = owner.unwrap_or((like.st_uid, like.st_gid));
        match fs::chownat(folder.as_fd(), name, uid, gid) {
            // An ordinary user's folders are the user's.
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(Refusal::kernel(format!("chown {}", inside.display()), errno)),
        }
        if name == "upper" {
            fs::chmodat(folder.as_fd(), name, like.st_mode & 0o7777)
                .call(|| format!("chmod {}", inside.display()))?;
        } else {
            made.extend(WORK.map(|name| path.join(name)));
        }
    }
    Ok(())
}

/// Make a folder, unless something is there; whether it was made.
fn new_folder(path: &Path, made: &mut Vec<PathBuf>) -> Outcome<bool> {
    match nix::unistd::mkdir(path, nix::sys::stat::Mode::S_IRWXU) {
        Ok(()) => {
            made.push(path.into());
            Ok(true)
        }
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(Refusal::kernel(format!("mkdir {}", path.display()), errno)),
    }
}
