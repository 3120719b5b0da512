//! A root filesystem that is stacked of layers.

use super::Init;
use super::paths::Make;
use crate::acts::filesystem::new_filesystem;
use crate::fault::{Call, Outcome};
use crate::plan::{Filesystem, GlassStep, Lookup, OverlayStep, Writable};
use crate::sys::mount::{Change, Reach};
use crate::sys::{fs, mount};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Init<'_> {
    /// Stack the layers over the root filesystem, and go on inside what comes of it.
    ///
    /// They are attached under short names on a tmpfs that covers the root filesystem. Short names
    /// allow hundreds of layers. The container sees no host path. Before Linux 6.15 only mounts of
    /// this namespace can be layers. What is written goes to that tmpfs too, or to a folder of the
    /// host. The new root covers it in turn; it is gone for good with the namespace.
    pub(super) fn overlay(&mut self, overlay: &OverlayStep) -> Outcome {
        let OverlayStep { lower, upper, parameters, keeps_owner } = overlay;
        let bench = workbench()?;
        mount::move_mount(bench.as_fd(), self.root()?).call(|| "move_mount of a tmpfs".into())?;
        // Names of layers are relative to the working directory.
        nix::unistd::fchdir(&bench).call(|| "fchdir".into())?;
        let mut names = Vec::with_capacity(lower.len() + 1);
        for (number, slot) in lower.iter().enumerate() {
            names.push(number.to_string());
            self.attach_layer(bench.as_fd(), &names[number], *slot)?;
        }
        // The kernel wants at least one, and two where nothing can be written.
        let least = if upper.is_none() { 2 } else { 1 };
        if names.len() < least {
            fs::mkdirat(bench.as_fd(), "empty", 0o755).call(|| "mkdir empty".into())?;
            names.push("empty".into());
        }
        let mut options = vec![format!("lowerdir={}", names.join(":"))];
        if let Some(upper) = upper {
            options.extend(self.changes(bench.as_fd(), upper, &names[0], *keeps_owner)?);
        }
        options.extend(parameters.iter().cloned());
        make(bench.as_fd(), "root")?;
        mount::overlay("root", &options.join(",")).call(|| format!("mount overlay {}", options.join(",")))?;
        let root = open(bench.as_fd(), "root")?;
        mount::move_mount(root.as_fd(), bench.as_fd()).call(|| "move_mount of an overlay".into())?;
        self.root = Some(root);
        self.bench = Some(bench);
        Ok(())
    }

    /// The options that say where changes go. In memory that is a folder beside the layer `like`,
    /// with its mode and, if that is wanted, its owner.
    fn changes(
        &mut self,
        bench: BorrowedFd<'_>,
        upper: &Writable,
        like: &str,
        keeps_owner: bool,
    ) -> Outcome<[String; 2]> {
        match upper {
            Writable::Memory => {
                make(bench, "work")?;
                make(bench, "upper")?;
                become_like(bench, "upper", like, keeps_owner)?;
                Ok(["upperdir=upper".into(), "workdir=work".into()])
            }
            Writable::Tree { slot, upper, work } => {
                self.attach_layer(bench, "changes", *slot)?;
                Ok([format!("upperdir=changes/{upper}"), format!("workdir=changes/{work}")])
            }
        }
    }

    /// Mount an overlay of one layer on its target. The sockets and FIFOs of an overlay are not
    /// those of its layers: nobody listens there. It is put together where the root was, whose
    /// overlay covers it; else on a tmpfs that covers the root meanwhile.
    pub(super) fn glass(&mut self, glass: &GlassStep) -> Outcome {
        let GlassStep { target, slot, .. } = glass;
        let onto = self.target(target, Make::Directory, Lookup::Follow)?;
        if let Some(bench) = &self.bench {
            let name = format!("glass-{slot}");
            make(bench.as_fd(), &name)?;
            let place = open(bench.as_fd(), &name)?;
            return self.glass_at(place.as_fd(), glass, onto.as_fd());
        }
        let bench = workbench()?;
        mount::move_mount(bench.as_fd(), self.root()?).call(|| "move_mount of a tmpfs".into())?;
        self.glass_at(bench.as_fd(), glass, onto.as_fd())?;
        mount::detach_here().call(|| "umount2 of a tmpfs".into())?;
        nix::unistd::chdir("/").call(|| "chdir /".into())
    }

    fn glass_at(&mut self, place: BorrowedFd<'_>, glass: &GlassStep, onto: BorrowedFd<'_>) -> Outcome {
        let GlassStep { target, slot, attrs, upper, of_user } = glass;
        nix::unistd::fchdir(place).call(|| "fchdir".into())?;
        self.attach_layer(place, "0", *slot)?;
        let mut options = if let Some(upper) = upper {
            let [upper, work] = self.changes(place, upper, "0", !of_user)?;
            format!("lowerdir=0,{upper},{work}")
        } else {
            make(place, "empty")?;
            "lowerdir=0:empty".into()
        };
        if *of_user {
            options.push_str(",userxattr");
        }
        make(place, "root")?;
        mount::overlay("root", &options).call(|| format!("mount overlay of {target}"))?;
        let overlay = open(place, "root")?;
        if *attrs != 0 {
            let change = Change { set: *attrs, ..Change::default() };
            mount::mount_setattr(overlay.as_fd(), Reach::Top, change)
                .call(|| format!("mount_setattr {target}"))?;
        }
        mount::move_mount(overlay.as_fd(), onto).call(|| format!("move_mount {target}"))
    }

    fn attach_layer(&mut self, bench: BorrowedFd<'_>, name: &str, slot: usize) -> Outcome {
        let layer = self.tree(slot)?;
        make(bench, name)?;
        let onto = open(bench, name)?;
        mount::move_mount(layer.as_fd(), onto.as_fd()).call(|| format!("move_mount of layer {name}"))
    }
}

fn workbench() -> Outcome<OwnedFd> {
    let tmpfs = Filesystem {
        fstype: "tmpfs".into(),
        source: "overlay".into(),
        parameters: vec![("mode".into(), Some("0700".into()))],
        attrs: 0,
        mode_from_target: false,
        root_label: None,
    };
    new_filesystem(&tmpfs, None)
}

fn make(bench: BorrowedFd<'_>, name: &str) -> Outcome {
    fs::mkdirat(bench, name, 0o700).call(|| format!("mkdir {name}"))
}

fn open(bench: BorrowedFd<'_>, name: &str) -> Outcome<OwnedFd> {
    fs::openat(bench, name, fs::O_PATH | fs::O_DIRECTORY, 0).call(|| format!("open {name}"))
}

/// Give a folder the mode of another, and its owner if that is wanted.
fn become_like(bench: BorrowedFd<'_>, name: &str, other: &str, owner: bool) -> Outcome {
    let like = fs::stat_fd(open(bench, other)?.as_fd()).call(|| format!("fstat {other}"))?;
    if owner && (like.st_uid, like.st_gid) != (0, 0) {
        fs::chownat(bench, name, like.st_uid, like.st_gid).call(|| format!("chown {name}"))?;
    }
    fs::chmodat(bench, name, like.st_mode & 0o7777).call(|| format!("chmod {name}"))
}
