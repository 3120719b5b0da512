//! The text of a plan: what `knarr plan` prints and what golden tests compare.

use super::{
    Computed, Console, CopyUp, Exec, ExecCgroup, Filesystem, Groups, HardLimit, HostStep, IdSource, Launch,
    Lookup, Plan, Planned, Settle, Source, Step, Symlink, Tree, Writable,
};
use crate::config::{Namespace, Scheduler, capability};
use crate::sys::mount::{Change, Reach, attr};
use std::fmt::{self, Display, Formatter};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "container {}, descriptors 0 to {}", self.id, self.keep_fds - 1)?;
        writeln!(f, "parent, in the host's namespaces:")?;
        list(f, &self.host, 1)?;
        writeln!(f, "launch:\n  {}", self.launch)?;
        if !self.settle.is_empty() {
            writeln!(f, "parent, while init waits:")?;
            list(f, &self.settle, 1)?;
        }
        writeln!(f, "init, in the container's namespaces:")?;
        list(f, &self.init, 1)
    }
}

impl Display for Exec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "process in container {}, descriptors 0 to {}", self.id, self.keep_fds - 1)?;
        if let Some(cpus) = &self.initial_cpus {
            writeln!(f, "parent:\n  processors {}    # process.execCPUAffinity.initial", cpus.list)?;
        }
        match &self.cgroup {
            ExecCgroup::Containers => {
                writeln!(f, "launch:\n  clone3 into the container's cgroup, or init's")?;
            }
            ExecCgroup::Below(path) => {
                writeln!(f, "launch:\n  clone3 into cgroup {path} of the container's")?;
            }
        }
        writeln!(f, "child:")?;
        list(f, &self.steps, 1)
    }
}

fn names(kinds: &[Namespace]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" ")
}

fn list<T: Display>(f: &mut Formatter<'_>, steps: &[Planned<T>], first: usize) -> fmt::Result {
    for (i, planned) in steps.iter().enumerate() {
        write!(f, "{:>4}  {}", i + first, planned.step)?;
        if planned.field.is_empty() {
            writeln!(f)?;
        } else {
            writeln!(f, "    # {}", planned.field)?;
        }
    }
    Ok(())
}

impl Display for Launch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.joins_pid {
            write!(f, "setns pid, ")?;
        }
        if !self.through.is_empty() {
            let names: Vec<&str> = self.through.iter().map(|kind| kind.name()).collect();
            write!(f, "through a process that joins {}", names.join(" "))?;
            if !self.expected_maps.is_empty() {
                write!(f, " (which must map {})", self.expected_maps)?;
            }
            write!(f, ": ")?;
        }
        write!(f, "clone3")?;
        if self.into_cgroup {
            write!(f, " into-cgroup")?;
        }
        for kind in Namespace::ALL {
            if self.new & kind.clone_flag() as u64 != 0 {
                write!(f, " new-{}", kind.name())?;
            }
        }
        if self.joins_pid { write!(f, ", setns back") } else { Ok(()) }
    }
}

impl Display for HostStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            HostStep::Cgroup { path, controllers } if controllers.is_empty() => write!(f, "cgroup /{path}"),
            HostStep::Cgroup { path, controllers } => {
                let names: Vec<&str> =
                    controllers.iter().map(|controller| controller.step.as_str()).collect();
                write!(f, "cgroup /{path} with {}", names.join(" "))
            }
            HostStep::Scope { scope, path, controllers } => {
                let cgroup = HostStep::Cgroup { path: path.clone(), controllers: controllers.clone() };
                write!(f, "{cgroup} as {scope}")
            }
            HostStep::Limit(write) => write!(f, "limit {write}"),
            HostStep::Delegate { uid, gid } => write!(f, "cgroup delegated to {uid}:{gid}"),
            HostStep::DeviceFilter(insns) if insns.is_empty() => write!(f, "no device filter"),
            HostStep::DeviceFilter(insns) => write!(f, "device filter of {} instructions", insns.len()),
            HostStep::OpenNamespace { kind, path, changed_by } => {
                write!(f, "open {} namespace {}", kind.name(), path.display())?;
                if changed_by.is_empty() {
                    Ok(())
                } else {
                    write!(f, ", not the runtime's own for {changed_by}")
                }
            }
            HostStep::CloneTree(tree) => write!(f, "{tree}"),
            HostStep::OverlayFolder { path, like, owner } => {
                write!(f, "make {0}/upper like {1} and {0}/work", path.display(), like.display())?;
                owner.map_or(Ok(()), |(uid, gid)| write!(f, ", of {uid}:{gid}"))
            }
            HostStep::ResctrlGroup(rdt) => {
                let group = rdt.group.as_deref().unwrap_or("of the container's own");
                write!(f, "resctrl group {group} with {:?}", [&rdt.compared[..], &rdt.written].concat())?;
                if rdt.monitoring { write!(f, ", monitored") } else { Ok(()) }
            }
            HostStep::StdioOwner(uid) => write!(f, "standard pipes belong to {uid}"),
            HostStep::NotifySocket => write!(f, "take notifications"),
            HostStep::StartSocket => write!(f, "listen for start"),
        }
    }
}

impl Display for Settle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Settle::MapIds(maps) => write!(f, "map {maps}"),
            Settle::OomScoreAdj(score) => write!(f, "oom_score_adj {score}"),
            Settle::Scheduler(scheduler) => scheduler_text(f, scheduler),
            Settle::ResctrlGroup => write!(f, "enter the resctrl group"),
            Settle::NetDevice(device) => {
                write!(f, "move network device {} in as {}", device.host, device.container)
            }
            Settle::IoPriority(priority) => io_priority_text(f, *priority),
            Settle::HardLimit(ceiling) => hard_limit_text(f, ceiling),
        }
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let reach = if self.reach == Reach::Tree { "tree" } else { "mount" };
        write!(f, "copy #{} of {reach} {}", self.slot, self.source.display())?;
        match self.symlink {
            Symlink::Followed => {}
            Symlink::Meant => write!(f, " (a symlink is meant)")?,
            Symlink::Copied => write!(f, " (a symlink is copied)")?,
        }
        if let Some(flags) = &self.flags {
            let set = super::bind::names(flags.set);
            write!(f, ", flags {}", if set.is_empty() { "none" } else { &set })?;
            if self.locked {
                write!(f, " beside those of its source")?;
            }
        }
        for (reach, change) in &self.changes {
            write!(f, ", ")?;
            change_text(f, *reach, *change)?;
        }
        if let Some((kind, major, minor)) = self.device {
            write!(f, ", if it is {} {major}:{minor}", device_letter(kind))?;
        }
        match &self.id_map {
            Some((reach, source)) => {
                write!(
                    f,
                    ", {}",
                    if *reach == Reach::Tree { "ids of the tree mapped " } else { "ids mapped " }
                )?;
                match source {
                    IdSource::Maps(maps) => write!(f, "{maps}"),
                    IdSource::Joined => write!(f, "as the joined user namespace does"),
                }
            }
            None => Ok(()),
        }
    }
}

fn device_letter(kind: u32) -> char {
    match kind {
        libc::S_IFBLK => 'b',
        libc::S_IFIFO => 'p',
        _ => 'c',
    }
}

/// The names of attributes in the order of their bits.
fn attr_names(bits: u64) -> Vec<&'static str> {
    const NAMES: [(u64, &str); 6] = [
        (attr::RDONLY, "ro"),
        (attr::NOSUID, "nosuid"),
        (attr::NODEV, "nodev"),
        (attr::NOEXEC, "noexec"),
        (attr::NODIRATIME, "nodiratime"),
        (attr::NOSYMFOLLOW, "nosymfollow"),
    ];
    let mut names: Vec<_> = NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    match bits & attr::ATIME_MASK {
        attr::NOATIME => names.push("noatime"),
        attr::STRICTATIME => names.push("strictatime"),
        _ => {}
    }
    names
}

fn propagation_name(kind: u64) -> &'static str {
    match kind {
        libc::MS_SHARED => "shared",
        libc::MS_SLAVE => "slave",
        libc::MS_PRIVATE => "private",
        _ => "unbindable",
    }
}

fn change_text(f: &mut Formatter<'_>, reach: Reach, change: Change) -> fmt::Result {
    let r = if reach == Reach::Tree { "r" } else { "" };
    let mut words: Vec<String> = attr_names(change.set).iter().map(|name| format!("{r}{name}")).collect();
    let clear = change.clear & !change.set & !attr::ATIME_MASK;
    words.extend(attr_names(clear).iter().map(|name| format!("not {r}{name}")));
    if change.clear & attr::ATIME_MASK != 0 && change.set & attr::ATIME_MASK == attr::RELATIME {
        words.push(format!("{r}relatime"));
    }
    if change.propagation != 0 {
        words.push(format!("{r}{}", propagation_name(change.propagation)));
    }
    write!(f, "{}", words.join(" "))
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

/// Where the words of a step stand.
fn mount_text(f: &mut Formatter<'_>, step: &Step) -> fmt::Result {
    let Step::Mount { target, lookup, source, propagation, copy_up, held } = step else { return Ok(()) };
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

fn overlay_text(f: &mut Formatter<'_>, step: &Step) -> fmt::Result {
    let Step::Overlay { lower, upper, parameters, keeps_owner } = step else { return Ok(()) };
    let lower: Vec<String> = lower.iter().map(|slot| format!("#{slot}")).collect();
    write!(f, "overlay of {}", lower.join(" "))?;
    match upper {
        None => write!(f, ", read-only")?,
        Some(Writable::Memory) => write!(f, ", changes in memory")?,
        Some(Writable::Tree { slot, upper, work }) => {
            write!(f, ", changes in {upper} of #{slot}, work in {work}")?;
        }
    }
    if !*keeps_owner {
        write!(f, ", of the container's root")?;
    }
    if parameters.is_empty() { Ok(()) } else { write!(f, ", {}", parameters.join(" ")) }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Step::CloneTree(tree) => write!(f, "{tree}"),
            Step::Slave => write!(f, "all mounts slaves of the host's"),
            Step::Root { slot, path } => write!(f, "root copy #{slot} on {}", path.display()),
            Step::Overlay { .. } => overlay_text(f, self),
            Step::RootDirectory(path) => write!(f, "root {}", path.display()),
            Step::Mount { .. } => mount_text(f, self),
            Step::Glass { target, slot, attrs } => {
                write!(f, "mount {target} overlay of #{slot} ({})", attr_names(*attrs).join(" "))
            }
            Step::Attributes { target, reach, change } => {
                write!(f, "change {target}: ")?;
                change_text(f, *reach, *change)
            }
            Step::Node(node) => {
                let kind = device_letter(node.kind);
                let (mode, uid, gid) = (node.mode, node.uid, node.gid);
                write!(
                    f,
                    "node {} {kind} {}:{} mode {mode:04o} owner {uid}:{gid}",
                    node.path, node.major, node.minor
                )
            }
            Step::Link { path, target } => write!(f, "link {path} -> {target}"),
            Step::Ptmx => write!(f, "link /dev/ptmx -> pts/ptmx, replacing"),
            Step::HostHooks => write!(f, "ask the parent for prestart and createRuntime hooks"),
            Step::ContainerHooks(hooks) => write!(f, "{} createContainer hooks", hooks.len()),
            Step::Pivot => write!(f, "pivot_root"),
            Step::MoveRoot => write!(f, "move root over / and chroot"),
            Step::Chroot => write!(f, "chroot"),
            Step::RootPropagation(reach, kind) => {
                let r = if *reach == Reach::Tree { "r" } else { "" };
                write!(f, "root {r}{}", propagation_name(*kind))
            }
            Step::Terminal { size, uid, console } => {
                write!(f, "terminal ")?;
                if let (rows @ 1.., columns) | (rows, columns @ 1..) = size {
                    write!(f, "{rows}x{columns} ")?;
                }
                let on = if *console == Console::Bound { "" } else { ", not on /dev/console" };
                write!(f, "for {uid}{on}")
            }
            Step::OwnNull => write!(f, "standard descriptors that are /dev/null: the container's own"),
            _ => process_text(f, self),
        }
    }
}

fn identity_text(f: &mut Formatter<'_>, step: &Step) -> fmt::Result {
    match step {
        Step::AwaitParent => write!(f, "wait for the parent"),
        Step::NamespaceRoot { groups: Groups::Configured } => {
            write!(f, "become root of the user namespace")
        }
        Step::NamespaceRoot { groups: Groups::Callers } => {
            write!(f, "become root of the user namespace with the caller's groups")
        }
        Step::Time(offsets) => {
            let offsets: Vec<String> =
                offsets.iter().map(|o| format!("{} {}.{:09}", o.clock, o.seconds, o.nanoseconds)).collect();
            write!(f, "time namespace with offsets {}", offsets.join(", "))
        }
        Step::New(kind) => write!(f, "new {} namespace", kind.name()),
        Step::Join(kind) => write!(f, "join {} namespace", kind.name()),
        Step::Enter(kinds) => write!(f, "enter {} of init", names(kinds)),
        Step::Fork => write!(f, "fork and tell the parent"),
        Step::Session => write!(f, "new session"),
        Step::Keyring { name, label } => {
            write!(f, "session keyring {name}")?;
            label.iter().try_for_each(|label| write!(f, " with SELinux label {label}"))
        }
        Step::Loopback => write!(f, "loopback up"),
        Step::Hostname(name) => write!(f, "hostname {name}"),
        Step::Domainname(name) => write!(f, "domainname {name}"),
        Step::Sysctl { path, value } => write!(f, "/proc/sys/{path} = {value}"),
        Step::OomScoreAdj(score) => write!(f, "oom_score_adj {score}"),
        _ => Ok(()),
    }
}

fn process_text(f: &mut Formatter<'_>, step: &Step) -> fmt::Result {
    match step {
        Step::ReadonlyPaths(paths) => write!(f, "read-only {}", paths.join(" ")),
        Step::MaskPaths { paths, null, empty } => {
            write!(f, "mask, files with copy #{null}, folders with {empty}: {}", paths.join(" "))
        }
        Step::MakeCwd(path) => write!(f, "make working directory {path}"),
        Step::HardLimit(ceiling) => hard_limit_text(f, ceiling),
        Step::Rlimit { name, soft, hard, .. } => write!(f, "rlimit {name} {} {}", limit(*soft), limit(*hard)),
        Step::Scheduler(scheduler) => scheduler_text(f, scheduler),
        Step::IoPriority(priority) => io_priority_text(f, *priority),
        Step::MemoryPolicy(policy) => {
            write!(f, "memory policy {:#x} nodes \"{}\"", policy.mode, policy.nodes.list)
        }
        Step::Personality(domain) => write!(f, "personality {domain:#x}"),
        Step::AllProcessors => write!(f, "all processors"),
        Step::Affinity(cpus) => write!(f, "processors {}", cpus.list),
        Step::AppArmor(profile) => write!(f, "AppArmor profile {profile} on execve"),
        Step::SelinuxLabel(label) => write!(f, "SELinux label {label} on execve"),
        Step::Umask(mask) => write!(f, "umask {mask:04o}"),
        Step::NoNewPrivileges => write!(f, "no new privileges"),
        Step::Bounding { keep, .. } => write!(f, "bounding set {}", capability::describe(*keep)),
        Step::StdioOwner(uid) => write!(f, "standard pipes belong to {uid}"),
        Step::Ids { uid, gid, groups: Some(groups) } => write!(f, "ids {uid}:{gid} groups {groups:?}"),
        Step::Ids { uid, gid, groups: None } => write!(f, "ids {uid}:{gid}, groups as they are"),
        Step::Capabilities { effective, permitted, inheritable, ambient } => {
            let sets = [
                ("effective", effective),
                ("permitted", permitted),
                ("inheritable", inheritable),
                ("ambient", ambient),
            ];
            let sets: Vec<String> =
                sets.iter().map(|(name, set)| format!("{name} {}", capability::describe(**set))).collect();
            write!(f, "capabilities {}", sets.join("; "))
        }
        Step::EarlyCwd(path) => write!(f, "working directory {path}"),
        Step::Cwd(path) => write!(f, "working directory {path} at the latest"),
        Step::Find { program, .. } => write!(f, "find {program}"),
        Step::Ready => write!(f, "tell the parent: ready"),
        Step::AwaitRecord => write!(f, "await record"),
        Step::EndBySignals => write!(f, "end by any signal that ends a process"),
        Step::AwaitStart => write!(f, "await start"),
        Step::NoProcess => write!(f, "no process: start is an error"),
        Step::StartHooks { hooks, .. } => write!(f, "{} startContainer hooks", hooks.len()),
        Step::Prepare { args, env, computed } => {
            write!(f, "prepare {args:?} with {} variables", env.len())?;
            computed.iter().try_for_each(|variable| match variable {
                Computed::Home(_) => write!(f, " and HOME"),
                Computed::ListenPid => write!(f, " and LISTEN_PID"),
            })
        }
        Step::Seccomp(filter) => {
            write!(f, "seccomp filter of {} instructions, flags {}", filter.insns.len(), filter.flags)
        }
        Step::Exec => write!(f, "execve"),
        Step::OpenSelf => write!(f, "open this program"),
        Step::ExecInit => write!(f, "execve this program as init, and the process as its child"),
        _ => identity_text(f, step),
    }
}

fn scheduler_text(f: &mut Formatter<'_>, scheduler: &Scheduler) -> fmt::Result {
    let Scheduler { policy, flags, nice, priority, runtime, deadline, period } = scheduler;
    let name = match *policy as i32 {
        libc::SCHED_OTHER => "SCHED_OTHER",
        libc::SCHED_FIFO => "SCHED_FIFO",
        libc::SCHED_RR => "SCHED_RR",
        libc::SCHED_BATCH => "SCHED_BATCH",
        libc::SCHED_IDLE => "SCHED_IDLE",
        _ => "SCHED_DEADLINE",
    };
    write!(f, "{name} flags {flags:#x} nice {nice} priority {priority}")?;
    if *policy as i32 == libc::SCHED_DEADLINE {
        write!(f, " runtime {runtime} deadline {deadline} period {period}")?;
    }
    Ok(())
}

fn io_priority_text(f: &mut Formatter<'_>, priority: u32) -> fmt::Result {
    let class = ["none", "real-time", "best-effort", "idle"][(priority >> 13) as usize & 3];
    write!(f, "I/O priority {class} {}", priority & 7)
}

fn limit(value: u64) -> String {
    if value == u64::MAX { "unlimited".into() } else { value.to_string() }
}

fn hard_limit_text(f: &mut Formatter<'_>, ceiling: &HardLimit) -> fmt::Result {
    write!(f, "raise the ceiling of {} to {}", ceiling.name, limit(ceiling.hard))
}
