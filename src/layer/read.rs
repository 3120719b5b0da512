//! The layer of a sandbox, read: what is in it, beside what is on the machine.

use super::compare::{Sides, content};
use super::remove::entries;
use super::{About, Change, Content, FOLDER, Kind, What, machine, open, shown};
use crate::plan::overlay::place_of;
use crate::sys::{Errno, fs, xattr};
use crate::template::sandbox::view;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// How deep folders may nest: each takes a descriptor.
const DEPTH_LIMIT: usize = 512;

/// The folders of a layer.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Each with the place that its changes are of.
    pub(super) folders: Vec<(PathBuf, OwnedFd)>,
    pub(super) machine: OwnedFd,
}

impl Layer {
    /// The layer that `--overlay=DIR` has made in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Layer> {
        let path = folder.display();
        let top = fs::open(folder, fs::O_RDONLY | fs::O_DIRECTORY, 0).with_context(|| path.to_string())?;
        let upper =
            |name: &Path| fs::openat2(top.as_fd(), name.as_os_str().as_bytes(), FOLDER, 0, super::NO_LINKS);
        let of_root = upper(Path::new("upper"));
        let of_root = of_root.with_context(|| format!("{path}: no layer of a sandbox: open upper"))?;
        let mut folders = vec![(PathBuf::from("/"), of_root)];
        for name in names(top.as_fd())? {
            if let Some(place) = name.to_str().and_then(place_of) {
                let upper = upper(&Path::new(&name).join("upper"));
                folders.push((
                    place.into(),
                    upper.with_context(|| format!("{path}/{}: open upper", name.display()))?,
                ));
            }
        }
        Ok(Layer { folders, machine: machine().context("open /")? })
    }

    /// All differences, folders before what is in them; of what is below one of `chosen`, unless
    /// that is empty.
    pub(crate) fn changes(&self, chosen: &[PathBuf]) -> Result<Vec<Change>> {
        let mut walk = Walk { layer: self, chosen, changes: Vec::new(), number: 0 };
        for (number, (place, folder)) in self.folders.iter().enumerate() {
            walk.number = number;
            let folder = open(folder.as_fd(), Path::new("/"), FOLDER).context("open")?;
            walk.folder(&folder, place, Path::new(""), 0)?;
        }
        walk.changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walk.changes)
    }

    /// Whether a path in the layer of the root is only there to mount another one on, or on the way
    /// to such.
    fn is_for_a_mount(&self, path: &Path) -> bool {
        let below_own = view::OWN.iter().any(|own| path.starts_with(own));
        below_own || self.folders.iter().skip(1).any(|(place, _)| place.starts_with(path))
    }
}

/// The names in a folder, in order.
fn names(folder: BorrowedFd<'_>) -> Result<BTreeSet<OsString>> {
    let names = entries(folder).context("getdents64")?;
    Ok(names.into_iter().map(OsString::from_vec).collect())
}

struct Walk<'a> {
    layer: &'a Layer,
    chosen: &'a [PathBuf],
    changes: Vec<Change>,
    /// Of the layer's folder.
    number: usize,
}

impl Walk<'_> {
    fn is_chosen(&self, path: &Path) -> bool {
        self.chosen.is_empty() || self.chosen.iter().any(|chosen| path.starts_with(chosen))
    }

    /// Whether anything below `path`, or it, may be chosen.
    fn is_on_the_way(&self, path: &Path) -> bool {
        self.is_chosen(path) || self.chosen.iter().any(|chosen| chosen.starts_with(path))
    }

    fn folder(&mut self, folder: &OwnedFd, path: &Path, inside: &Path, depth: usize) -> Result<()> {
        if depth > DEPTH_LIMIT {
            bail!("{}: more than {DEPTH_LIMIT} folders deep", shown(path));
        }
        let at = |name: &OsString| (path.join(name), inside.join(name));
        let here = names(folder.as_fd()).with_context(|| shown(path))?;
        for name in &here {
            let (path, inside) = at(name);
            if self.is_on_the_way(&path)
                && !(self.number == 0 && view::OWN.iter().any(|own| path == Path::new(own)))
            {
                self.entry(folder, name, &path, &inside, depth).with_context(|| shown(&path))?;
            }
        }
        if is_opaque(folder.as_fd()).with_context(|| shown(path))? {
            self.removed_below(path, inside, &here)?;
        }
        Ok(())
    }

    /// What is in the machine's folder, where nothing of it is seen through the layer's.
    fn removed_below(&mut self, path: &Path, inside: &Path, here: &BTreeSet<OsString>) -> Result<()> {
        let Ok(folder) = open(self.layer.machine.as_fd(), path, FOLDER) else { return Ok(()) };
        for name in names(folder.as_fd()).with_context(|| shown(path))?.difference(here) {
            self.removed(&path.join(name), &inside.join(name))?;
        }
        Ok(())
    }

    fn removed(&mut self, path: &Path, inside: &Path) -> Result<()> {
        if let (Some(before), true) = (self.on_the_machine(path)?, self.is_chosen(path)) {
            self.push(What::Removed, path, inside, (Some(before), None), Content::Same);
        }
        Ok(())
    }

    fn on_the_machine(&self, path: &Path) -> Result<Option<About>> {
        match open(self.layer.machine.as_fd(), path, fs::O_PATH) {
            Ok(fd) => Ok(Some(About::of(&fs::stat_fd(fd.as_fd())?))),
            // By way of a symlink it is another.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno).context("openat2"),
        }
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &OsString,
        path: &Path,
        inside: &Path,
        depth: usize,
    ) -> Result<()> {
        let stat = fs::statat(folder.as_fd(), name.as_bytes()).context("fstatat")?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == 0 {
            return self.removed(path, inside);
        }
        let after = About::of(&stat);
        let before = self.on_the_machine(path)?;
        let for_a_mount = self.number == 0 && self.layer.folders.len() > 1 && self.layer.is_for_a_mount(path);
        if self.is_chosen(path) && !for_a_mount {
            self.compared(folder, (path, inside), before, after)?;
        }
        if after.kind != Kind::Folder {
            return Ok(());
        }
        let folder = fs::openat(folder.as_fd(), name.as_bytes(), FOLDER, 0).context("open")?;
        refuse_redirect(folder.as_fd())?;
        self.folder(&folder, path, inside, depth + 1)
    }

    fn compared(
        &mut self,
        folder: &OwnedFd,
        (path, inside): (&Path, &Path),
        before: Option<About>,
        after: About,
    ) -> Result<()> {
        let sides = Sides { machine: self.layer.machine.as_fd(), folder: folder.as_fd(), path };
        let content = content(&sides, before, after)?;
        let what = match before {
            None => What::Added,
            Some(before) => {
                let same_mode = before.mode == after.mode || after.kind == Kind::Symlink;
                // A symlink that knarr has copied is the caller's.
                let same_owner = before.owner() == after.owner() || after.kind == Kind::Symlink;
                if before.kind == after.kind && same_mode && same_owner && content == Content::Same {
                    return Ok(());
                }
                What::Changed
            }
        };
        self.push(what, path, inside, (before, Some(after)), content);
        Ok(())
    }

    fn push(
        &mut self,
        what: What,
        path: &Path,
        inside: &Path,
        (before, after): (Option<About>, Option<About>),
        content: Content,
    ) {
        let (path, inside) = (path.to_path_buf(), inside.to_path_buf());
        self.changes.push(Change { what, path, layer: self.number, inside, before, after, content });
    }
}

/// The names of overlayfs' attributes: with rights over the host, and of an ordinary user.
const PREFIXES: [&str; 2] = ["trusted.overlay.", "user.overlay."];

fn is_opaque(folder: BorrowedFd<'_>) -> Result<bool> {
    for prefix in PREFIXES {
        if xattr::get(folder, format!("{prefix}opaque")).context("getxattr")?.as_deref() == Some(b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A folder that was renamed and not copied has its files elsewhere.
fn refuse_redirect(folder: BorrowedFd<'_>) -> Result<()> {
    for prefix in PREFIXES {
        if xattr::get(folder, format!("{prefix}redirect")).context("getxattr")?.is_some() {
            bail!("a folder that was renamed (redirect_dir of overlayfs) cannot be compared");
        }
    }
    Ok(())
}
