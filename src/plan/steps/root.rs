//! What init does to be in the container's root filesystem.

use super::Tree;
use super::text::{attr_names, change_text, device_letter, propagation_name};
use crate::config::{Device, Hook};
use crate::sys::mount::{Change, MountId, Reach};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// Whether a new tmpfs starts with a copy of what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyUp {
    Nothing,
    /// With a copy, of which there is a limit for the container.
    Limited,
    /// With a copy, for which config.json gives it a size of its own.
    Sized,
}

/// How the target of a mount is looked up inside the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// Symlinks are followed and stay inside the root.
    Follow,
    /// No part may be a symlink: /proc and /sys, which later steps rely on.
    NoSymlinks,
    /// As `Follow`, but one at the end is what is meant.
    FollowToLast,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The detached copy with this number.
    Tree(usize),
    /// The same; but where it is of a symlink, a symlink like it in its place.
    TreeOrLink(usize),
    /// A copy of what is in the container's own root by then, at this path: an earlier mount of the
    /// list may have brought it.
    Inside(String, Box<Tree>),
    New(Filesystem),
}

/// A new filesystem, for fsopen(2) to fsmount(2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filesystem {
    pub fstype: String,
    /// The source that /proc/self/mountinfo shows.
    pub source: String,
    /// Its parameters: a key, and a value unless it is a flag.
    pub parameters: Vec<(String, Option<String>)>,
    pub attrs: u64,
    /// Whether a tmpfs takes over the mode of the directory that it covers.
    pub mode_from_target: bool,
    /// The SELinux label of its root, where the filesystem takes none as a parameter.
    pub root_label: Option<String>,
}

/// Where the changes of an overlay go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writable {
    /// To a tmpfs that nothing else sees.
    Memory,
    /// Into a copy of a mount of the host's.
    Tree {
        /// The number of the copy.
        slot: usize,
        /// Below it.
        upper: String,
        /// Below it.
        work: String,
    },
}

/// What a terminal is to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// The container's: it is bound on /dev/console.
    Bound,
    /// That of one process among others.
    None,
}

/// Mount on a target, which is made if it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountStep {
    /// In the container.
    pub target: String,
    /// How it is looked up.
    pub lookup: Lookup,
    pub source: Source,
    /// Propagation types to set on it, in order.
    pub propagation: Vec<(Reach, u64)>,
    /// Whether the files that it covers are copied into it.
    pub copy_up: CopyUp,
    /// Whether a later step goes on from it: it is found by its descriptor then, wherever its name
    /// leads by that time.
    pub held: bool,
}

/// Stack copies on each other over the root filesystem, and go on inside what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayStep {
    /// The numbers of the copies that are only read, the top one first.
    pub lower: Vec<usize>,
    pub upper: Option<Writable>,
    /// Parameters of the filesystem.
    pub parameters: Vec<String>,
    /// Whether the root of the new filesystem belongs to whom the top layer's does, and not to the
    /// container's root.
    pub keeps_owner: bool,
}

/// Mount an overlay of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlassStep {
    /// In the container.
    pub target: String,
    /// The number of the copy.
    pub slot: usize,
    /// Its attributes.
    pub attrs: u64,
    /// Where changes go.
    pub upper: Option<Writable>,
    /// Whether its attributes are those that are without rights over the host (`userxattr`).
    pub of_user: bool,
}

/// What init does to be in the container's root filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootStep {
    /// Make every mount of the new mount namespace a slave: nothing done here reaches the host.
    Slave,
    /// Go into a new mount namespace that has no copy of the host's mounts, nor any other. From
    /// here no host path is valid.
    EmptyMounts,
    /// As [`HostStep::CloneTree`], where the parent has no right to and init, as root of its user
    /// namespace, has.
    CloneTree(Tree),
    /// Attach the copy of the root filesystem and go on inside it.
    Root {
        /// The number of the copy.
        slot: usize,
        /// Its own host path; `/` where there are no mounts of the host's.
        path: PathBuf,
    },
    /// Stack an overlay over the root filesystem.
    Overlay(OverlayStep),
    /// Mount an overlay of one layer on a target: its files, but neither its sockets nor its FIFOs.
    Glass(GlassStep),
    /// Go on inside a root filesystem without a mount namespace.
    RootDirectory(PathBuf),
    /// Mount on a target.
    Mount(MountStep),
    /// Mount on a target of a container that is there, when the parent has recorded it.
    Add(MountStep),
    /// Unmount what was mounted on a target, if it is still the mount with this id.
    Remove {
        /// In the container.
        target: String,
        id: MountId,
    },
    /// An error if something is at this path.
    Vacant(String),
    /// Unlink a node, if it is still this device; or the empty file that one was mounted on.
    RemoveNode {
        /// In the container.
        path: String,
        /// `S_IFCHR`, `S_IFBLK`, or `S_IFREG` of an empty file.
        kind: u32,
        major: u32,
        minor: u32,
    },
    /// Change the mount at a target, after everything below it has been made.
    Attributes {
        /// In the container.
        target: String,
        /// One mount or all below.
        reach: Reach,
        change: Change,
    },
    /// Make a device node or FIFO.
    Node(Device),
    /// Make a symlink unless something is there.
    Link {
        /// In the container.
        path: String,
        /// What it points to.
        target: String,
    },
    /// Replace /dev/ptmx by a link to the container's own pts/ptmx.
    Ptmx,
    /// Let the parent run the prestart and createRuntime hooks.
    HostHooks,
    /// Run the createContainer hooks.
    ContainerHooks(Vec<Hook>),
    /// pivot_root(2) into the root filesystem and drop the old root. From here no host path is
    /// valid.
    Pivot,
    /// Move the root filesystem over `/` and chroot(2). From here no host path is valid.
    MoveRoot,
    /// chroot(2) alone, without a mount namespace. From here no host path is valid.
    Chroot,
    /// Set the propagation type of the new root.
    RootPropagation(Reach, u64),
    /// Open a terminal of the container's devpts and hand its other end to the parent.
    Terminal {
        /// Lines and characters; zero leaves them alone.
        size: (u16, u16),
        /// Owner of the terminal.
        uid: u32,
        /// What it is to the container.
        console: Console,
    },
    /// Where standard input, output or error is a null device, make it the container's own.
    OwnNull,
    /// Make paths read-only that exist.
    ReadonlyPaths(Vec<String>),
    /// Cover paths that exist: files with the host's /dev/null, directories with an empty read-only
    /// tmpfs.
    MaskPaths {
        /// In the container.
        paths: Vec<String>,
        /// The number of the copy of the host's /dev/null.
        null: usize,
        empty: Filesystem,
    },
    /// Make the working directory if it is missing.
    MakeCwd(String),
}

impl Display for Filesystem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "new {} {}", self.fstype, self.source)?;
        for (key, value) in &self.parameters {
            match value {
                Some(value) => write!(f, " {key}={value}")?,
                None => write!(f, " {key}")?,
            }
        }
        let attrs = attr_names(self.attrs);
        if !attrs.is_empty() {
            write!(f, " ({})", attrs.join(" "))?;
        }
        self.root_label.iter().try_for_each(|label| write!(f, ", its root labelled {label}"))
    }
}

/// `mount TARGET [(LOOKUP)] SOURCE[, PROPAGATION]...`
impl Display for MountStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let MountStep { target, lookup, source, propagation, copy_up, held } = self;
        write!(f, "mount {target} ")?;
        if *lookup == Lookup::NoSymlinks {
            write!(f, "(no symlinks) ")?;
        } else if *lookup == Lookup::FollowToLast {
            write!(f, "(a symlink is meant) ")?;
        }
        match source {
            Source::Tree(slot) => write!(f, "copy #{slot}")?,
            Source::TreeOrLink(slot) => write!(f, "copy #{slot}, or a symlink like it")?,
            Source::Inside(path, tree) => write!(f, "{path} as it is by then: {tree}")?,
            Source::New(filesystem) => write!(f, "{filesystem}")?,
        }
        for (reach, kind) in propagation {
            let r = if *reach == Reach::Tree { "r" } else { "" };
            write!(f, ", {r}{}", propagation_name(*kind))?;
        }
        match copy_up {
            CopyUp::Nothing => {}
            CopyUp::Limited => write!(f, ", filled with what it covers")?,
            CopyUp::Sized => write!(f, ", filled with what it covers up to its size")?,
        }
        if *held { write!(f, ", held") } else { Ok(()) }
    }
}

impl Display for Writable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Writable::Memory => write!(f, "changes in memory"),
            Writable::Tree { slot, upper, work } => {
                write!(f, "changes in {upper} of #{slot}, work in {work}")
            }
        }
    }
}

impl Display for GlassStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let GlassStep { target, slot, attrs, upper, of_user } = self;
        write!(f, "mount {target} overlay of #{slot}")?;
        let attrs = attr_names(*attrs);
        if !attrs.is_empty() {
            write!(f, " ({})", attrs.join(" "))?;
        }
        upper.iter().try_for_each(|upper| write!(f, ", {upper}"))?;
        if *of_user { write!(f, ", userxattr") } else { Ok(()) }
    }
}

impl Display for OverlayStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let OverlayStep { lower, upper, parameters, keeps_owner } = self;
        let lower: Vec<String> = lower.iter().map(|slot| format!("#{slot}")).collect();
        write!(f, "overlay of {}", lower.join(" "))?;
        match upper {
            None => write!(f, ", read-only")?,
            Some(upper) => write!(f, ", {upper}")?,
        }
        if !*keeps_owner {
            write!(f, ", of the container's root")?;
        }
        if parameters.is_empty() { Ok(()) } else { write!(f, ", {}", parameters.join(" ")) }
    }
}

impl Display for RootStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            RootStep::CloneTree(tree) => write!(f, "{tree}"),
            RootStep::Slave => write!(f, "all mounts slaves of the host's"),
            RootStep::EmptyMounts => write!(f, "new mount, empty"),
            RootStep::Root { slot, path } => write!(f, "root copy #{slot} on {}", path.display()),
            RootStep::Overlay(overlay) => write!(f, "{overlay}"),
            RootStep::RootDirectory(path) => write!(f, "root {}", path.display()),
            RootStep::Mount(mount) => write!(f, "{mount}"),
            RootStep::Add(mount) => write!(f, "record, then {mount}"),
            RootStep::Remove { target, id } => write!(f, "unmount {target} if it is #{}", id.number),
            RootStep::Vacant(path) => write!(f, "nothing is at {path}"),
            RootStep::RemoveNode { path, kind: libc::S_IFREG, .. } => {
                write!(f, "unlink {path} if it is an empty file")
            }
            RootStep::RemoveNode { path, kind, major, minor } => {
                write!(f, "unlink {path} if it is {} {major}:{minor}", device_letter(*kind))
            }
            RootStep::Glass(glass) => write!(f, "{glass}"),
            RootStep::Attributes { target, reach, change } => {
                write!(f, "change {target}: ")?;
                change_text(f, *reach, *change)
            }
            RootStep::Node(node) => {
                let kind = device_letter(node.kind);
                let (mode, uid, gid) = (node.mode, node.uid, node.gid);
                write!(
                    f,
                    "node {} {kind} {}:{} mode {mode:04o} owner {uid}:{gid}",
                    node.path, node.major, node.minor
                )
            }
            RootStep::Link { path, target } => write!(f, "link {path} -> {target}"),
            RootStep::Ptmx => write!(f, "link /dev/ptmx -> pts/ptmx, replacing"),
            RootStep::HostHooks => write!(f, "ask the parent for prestart and createRuntime hooks"),
            RootStep::ContainerHooks(hooks) => write!(f, "{} createContainer hooks", hooks.len()),
            RootStep::Pivot => write!(f, "pivot_root"),
            RootStep::MoveRoot => write!(f, "move root over / and chroot"),
            RootStep::Chroot => write!(f, "chroot"),
            RootStep::RootPropagation(reach, kind) => {
                let r = if *reach == Reach::Tree { "r" } else { "" };
                write!(f, "root {r}{}", propagation_name(*kind))
            }
            RootStep::Terminal { size, uid, console } => {
                write!(f, "terminal ")?;
                if let (rows @ 1.., columns) | (rows, columns @ 1..) = size {
                    write!(f, "{rows}x{columns} ")?;
                }
                let on = if *console == Console::Bound { "" } else { ", not on /dev/console" };
                write!(f, "for {uid}{on}")
            }
            RootStep::OwnNull => write!(f, "standard descriptors that are /dev/null: the container's own"),
            RootStep::ReadonlyPaths(paths) => write!(f, "read-only {}", paths.join(" ")),
            RootStep::MaskPaths { paths, null, empty } => {
                write!(f, "mask, files with copy #{null}, folders with {empty}: {}", paths.join(" "))
            }
            RootStep::MakeCwd(path) => write!(f, "make working directory {path}"),
        }
    }
}
