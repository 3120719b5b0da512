//! Controllers: handed down the tree, from the root to where a limit is.

use super::{Cgroup, FILE_LIMIT, open_below};
use crate::fault::{Call, Fault, Outcome, Refusal};
use crate::plan::Planned;
use crate::proc::cgroup::{Holder, holder};
use crate::sys::{self, Errno, fs};
use std::os::fd::AsFd;
use std::path::Path;

impl Cgroup {
    /// Enable `controllers` in this cgroup, which is `path` below `root`, by enabling them in every
    /// cgroup above it that has not. What is enabled there stays so: others may rely on it by then.
    /// The fault names the field that asks for one.
    pub fn enable(&self, root: &Path, path: &str, controllers: &[Planned<String>]) -> Result<(), Fault> {
        let Some(first) = controllers.first() else { return Ok(()) };
        let here = self.list("cgroup.controllers").map_err(|refusal| refusal.of(&first.field))?;
        let missing: Vec<&Planned<String>> =
            controllers.iter().filter(|controller| !is_in(&here, &controller.step)).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        let asked = |refusal: Refusal| refusal.of(&first.field);
        let open = fs::open(root, fs::O_RDONLY | fs::O_DIRECTORY, 0);
        let fd = open.call(|| format!("open {}", root.display())).map_err(asked)?;
        let mut above = Cgroup { fd, path: root.into() };
        let offered = above.list("cgroup.controllers").map_err(asked)?;
        if let Some(Planned { step: absent, field }) =
            missing.iter().find(|controller| !is_in(&offered, &controller.step))
        {
            let call =
                format!("the {absent} controller is not in the cgroup v2 tree: {}", whereabouts(absent));
            return Err(Refusal::message(call).of(field));
        }
        for name in path.split('/') {
            let enabled = above.list("cgroup.subtree_control").map_err(asked)?;
            let mut missing =
                missing.iter().filter(|controller| !is_in(&enabled, &controller.step)).peekable();
            if let Some(first) = missing.peek() {
                let field = &first.field;
                let names: Vec<&str> = missing.map(|controller| controller.step.as_str()).collect();
                above.hand_down(&names).map_err(|refusal| refusal.of(field))?;
            }
            let opened = open_below(above.as_fd(), name, fs::O_RDONLY | fs::O_DIRECTORY);
            let fd = opened.call(|| format!("open {}/{name}", above.path.display())).map_err(asked)?;
            above = Cgroup { fd, path: above.path.join(name) };
        }
        Ok(())
    }

    /// Enable in this cgroup, which is `path` below `root`, whatever else the tree has: statistics
    /// come from controllers, and a container that manages cgroups itself hands them on. Nothing
    /// depends on it, so what is refused is left.
    pub fn enable_rest(&self, root: &Path, path: &str) {
        let Ok(fd) = fs::open(root, fs::O_RDONLY | fs::O_DIRECTORY, 0) else { return };
        let mut above = Cgroup { fd, path: root.into() };
        let controllers = |cgroup: &Cgroup, file| cgroup.read(file).unwrap_or_default();
        let (offered, here) =
            (controllers(&above, "cgroup.controllers"), controllers(self, "cgroup.controllers"));
        let missing: Vec<&str> =
            offered.split_ascii_whitespace().filter(|name| !is_in(&here, name)).collect();
        if missing.is_empty() {
            return;
        }
        for name in path.split('/') {
            let enabled = controllers(&above, "cgroup.subtree_control");
            let missing: Vec<&str> = missing.iter().copied().filter(|name| !is_in(&enabled, name)).collect();
            if above.hand_down(&missing).is_err() {
                missing.iter().for_each(|name| drop(above.hand_down(&[name])));
            }
            let Ok(fd) = open_below(above.as_fd(), name, fs::O_RDONLY | fs::O_DIRECTORY) else { return };
            above = Cgroup { fd, path: above.path.join(name) };
        }
    }

    /// A file that is a list.
    pub(super) fn list(&self, file: &str) -> Outcome<String> {
        let data =
            open_below(self.as_fd(), file, fs::O_RDONLY).and_then(|fd| fs::read_all(fd.as_fd(), FILE_LIMIT));
        let data = data.call(|| format!("read {}/{file}", self.path().display()))?;
        Ok(String::from_utf8_lossy(&data).into_owned())
    }

    /// Enable `controllers` in the cgroups below this one, all in one write.
    fn hand_down(&self, controllers: &[&str]) -> Outcome {
        if controllers.is_empty() {
            return Ok(());
        }
        let call = format!("enable {} below {}", controllers.join(" "), self.path().display());
        if self.holds_processes() {
            let why = "processes are in it, and only a cgroup without any has controllers below it";
            return Err(Refusal::message(format!("{call}: {why}")));
        }
        let words: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
        let Err(errno) = self.put("cgroup.subtree_control", &words.join(" ")) else { return Ok(()) };
        let text = match errno {
            Errno::EBUSY => "processes are in it, and only a cgroup without any has controllers below it",
            Errno::ENOENT => "it does not have them itself: they are not delegated to it",
            Errno::EOPNOTSUPP => "it is threaded, or below a cgroup that is",
            _ => "",
        };
        Err(Refusal::kernel(call, errno).with_text(text))
    }

    /// Whether the rule of no internal processes, cgroups(7), keeps controllers from the cgroups
    /// below. Asked before they are enabled, because the kernel does not refuse the threaded ones,
    /// as pids: it turns this cgroup into a threaded domain, in which no container can be born.
    fn holds_processes(&self) -> bool {
        // The root has no type, and is free of the rule.
        self.read("cgroup.type").is_ok() && self.read("cgroup.procs").is_ok_and(|procs| !procs.is_empty())
    }
}

/// Whether a list of controllers has this one.
fn is_in(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == name)
}

/// Where a controller is that the root of the cgroup v2 tree does not offer. Only errors ask.
fn whereabouts(controller: &str) -> String {
    let read = |path| fs::open(path, fs::O_RDONLY, 0).and_then(|fd| fs::read_all(fd.as_fd(), FILE_LIMIT));
    let text = |data: sys::Result<Vec<u8>>| String::from_utf8_lossy(&data.unwrap_or_default()).into_owned();
    absence(controller, &text(read("/proc/self/mountinfo")), &text(read("/proc/cgroups")))
}

fn absence(controller: &str, mountinfo: &str, proc_cgroups: &str) -> String {
    match holder(controller, "", proc_cgroups, mountinfo) {
        Holder::V1(Some(mount), _) => format!("cgroup v1 has it, at {mount}"),
        Holder::V1(None, hierarchy) => format!("cgroup v1 has it, as hierarchy {hierarchy}"),
        Holder::Disabled => "it is disabled on the kernel's command line".into(),
        Holder::Free => "it is not delegated to this tree".into(),
        Holder::V2 | Holder::Unknown => "this kernel does not have it".into(),
    }
}
