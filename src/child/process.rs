//! What the process is: limits, scheduling, ids, capabilities, working directory.

use super::Init;
use super::exec::find;
use super::landlock;
use crate::acts::{labels, process as acts};
use crate::capability::Set;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::ProcessStep;
use crate::sys::{Errno, cred, fs, rlimit, schedule, signal};
use std::os::fd::{AsFd, OwnedFd};

/// How many processors a kernel can be built for (CONFIG_NR_CPUS). One that knows fewer takes as
/// many.
const MOST_PROCESSORS: usize = 8192;

/// Write a file of this process's own in the host's /proc. For an ordinary user it is root's while
/// nobody may look into this process.
pub(super) fn write_own_file(path: &str, value: &str) -> Outcome {
    let open = || fs::open(path, fs::O_WRONLY, 0);
    let mut opened = open();
    if matches!(opened, Err(Errno::EACCES)) {
        cred::set_dumpable(true).call(|| "prctl".into())?;
        opened = open();
        cred::set_dumpable(false).call(|| "prctl".into())?;
    }
    write_to(opened, path, value)
}

fn write_to(opened: Result<OwnedFd, Errno>, path: &str, value: &str) -> Outcome {
    let fd = opened.call(|| format!("open {path}"))?;
    fs::write_once(fd.as_fd(), value.as_bytes()).call(|| format!("write {value:?} to {path}"))
}

fn umask(mask: u32) -> Outcome {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
    Ok(())
}

/// Bring up `lo`, netdevice(7).
pub(super) fn loopback() -> Outcome {
    crate::sys::net::up("lo").call(|| "bring up lo".into())
}

impl Init<'_> {
    pub(super) fn take_process_step(&mut self, step: &ProcessStep) -> Outcome {
        match step {
            ProcessStep::HardLimit(ceiling) => acts::raise_hard_limit(0, ceiling).call(|| "prlimit".into()),
            ProcessStep::Rlimit { resource, soft, hard, .. } => {
                rlimit::set(0, *resource, *soft, *hard).call(|| format!("setrlimit {soft} {hard}"))
            }
            ProcessStep::Scheduler(scheduler) => {
                acts::set_scheduler(0, scheduler).call(|| "sched_setattr".into())
            }
            ProcessStep::IoPriority(priority) => {
                schedule::set_io_priority(0, *priority).call(|| "ioprio_set".into())
            }
            ProcessStep::MemoryPolicy(policy) => {
                schedule::set_memory_policy(policy.mode, &policy.nodes.words)
                    .call(|| format!("set_mempolicy nodes \"{}\"", policy.nodes.list))
            }
            ProcessStep::Personality(domain) => {
                schedule::set_personality(*domain).call(|| format!("personality {domain:#x}"))
            }
            ProcessStep::Affinity(cpus) => {
                schedule::set_affinity(&cpus.words).call(|| format!("sched_setaffinity \"{}\"", cpus.list))
            }
            ProcessStep::AllProcessors => all_processors(),
            ProcessStep::AppArmor(profile) => labels::apparmor(profile),
            ProcessStep::SelinuxLabel(label) => labels::selinux(label),
            ProcessStep::Umask(mask) => umask(*mask),
            ProcessStep::NoNewPrivileges => cred::no_new_privs().call(|| "prctl".into()),
            ProcessStep::Bounding { drop, .. } => bounding(*drop),
            ProcessStep::StdioOwner(uid) => acts::give_stdio(*uid),
            ProcessStep::Ids { uid, gid, groups } => ids(*uid, *gid, groups.as_deref()),
            ProcessStep::Capabilities { effective, permitted, inheritable, ambient } => {
                capabilities(*effective, *permitted, *inheritable, *ambient)
            }
            ProcessStep::EarlyCwd(path) => {
                self.in_cwd = match working_directory(path) {
                    Err(refusal) if refusal.errno == Some(Errno::EACCES) => false,
                    entered => entered.map(|()| true)?,
                };
                Ok(())
            }
            ProcessStep::Cwd(_) if self.in_cwd => Ok(()),
            ProcessStep::Cwd(path) => working_directory(path),
            ProcessStep::Find { program, path } => {
                self.program = find(program, path)?;
                Ok(())
            }
            ProcessStep::Ready => self.ready(),
            ProcessStep::AwaitRecord => self.await_record(),
            ProcessStep::EndBySignals => signal::end_by_default().call(|| "sigaction".into()),
            ProcessStep::AwaitStart => self.await_start(),
            ProcessStep::NoProcess => Err(Refusal::message("missing; there is nothing to start")),
            ProcessStep::StartHooks { hooks, env, computed } => self.start_hooks(hooks, env, computed),
            ProcessStep::Prepare { args, env, computed } => self.prepare(args, env, computed),
            ProcessStep::Landlock(names) => landlock::restrict(*names),
            ProcessStep::LandlockRules(rules) => landlock::enforce(rules, self.own.as_ref()),
            ProcessStep::Seccomp(filter) => self.seccomp(filter),
            ProcessStep::Exec => self.exec(),
            ProcessStep::ExecInit(init) => self.exec_init(*init),
        }
    }
}

/// Nobody asked for it, so a refusal (by an LSM, or a filter of the caller's) leaves the caller's.
fn all_processors() -> Outcome {
    let _ = schedule::set_affinity(&[u64::MAX; MOST_PROCESSORS / 64]);
    Ok(())
}

fn bounding(drop: Set) -> Outcome {
    for n in drop.numbers() {
        cred::drop_bounding(n).call(|| format!("PR_CAPBSET_DROP {n}"))?;
    }
    Ok(())
}

fn ids(uid: u32, gid: u32, groups: Option<&[u32]>) -> Outcome {
    cred::keep_caps(true).call(|| "PR_SET_KEEPCAPS".into())?;
    if let Some(groups) = groups {
        match cred::set_groups(groups) {
            // Who may drop no groups keeps those that the user namespace gives no name to
            // (user_namespaces(7)).
            Err(Errno::EPERM) if groups.is_empty() && denies_setgroups() => {}
            set => set.call(|| "setgroups".into())?,
        }
    }
    cred::set_gid(gid).call(|| format!("setresgid {gid}"))?;
    cred::set_uid(uid).call(|| format!("setresuid {uid}"))?;
    // The kernel has just made of it what fs.suid_dumpable says (proc(5)).
    cred::set_dumpable(false).call(|| "prctl".into())?;
    cred::keep_caps(false).call(|| "PR_SET_KEEPCAPS".into())
}

fn denies_setgroups() -> bool {
    let denied =
        fs::open("/proc/self/setgroups", fs::O_RDONLY, 0).and_then(|fd| fs::read_all(fd.as_fd(), 16));
    denied.is_ok_and(|text| text.starts_with(b"deny"))
}

fn capabilities(effective: Set, permitted: Set, inheritable: Set, ambient: Set) -> Outcome {
    cred::capset(effective.bits(), permitted.bits(), inheritable.bits()).call(|| "capset".into())?;
    cred::clear_ambient().call(|| "PR_CAP_AMBIENT".into())?;
    for n in ambient.numbers() {
        cred::raise_ambient(n).call(|| format!("PR_CAP_AMBIENT_RAISE {n}"))?;
    }
    Ok(())
}

/// chdir(2), and refuse a directory that is not below the root (getcwd(3) then answers
/// `(unreachable)…`).
fn working_directory(path: &str) -> Outcome {
    nix::unistd::chdir(path).call(|| format!("chdir {path}"))?;
    let cwd = fs::getcwd().call(|| "getcwd".into())?;
    if cwd.starts_with('/') {
        Ok(())
    } else {
        Err(Refusal::message(format!("{path} is outside of the container's root")))
    }
}
