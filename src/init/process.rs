//! From a container with its mounts in place to execve(2): limits, ids, capabilities, working directory, program.

use super::paths::{self, Make};
use super::{Call, Init, Outcome, Refusal, hook, labels, program, reaper};
use crate::channel::{FromInit, InitEnd};
use crate::config::{Hook, Scheduler};
use crate::plan::seccomp::Filter;
use crate::plan::{Computed, HardLimit, Lookup, Step};
use crate::sys::schedule::SchedAttr;
use crate::sys::{Errno, bpf, cred, fs, process as proc, schedule, signal, socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The longest /etc/passwd of an image that is searched for a home, in bytes.
const PASSWD_LIMIT: usize = 1 << 20;

/// How many processors a kernel can be built for (CONFIG_NR_CPUS). One that knows fewer takes as many.
const MOST_PROCESSORS: usize = 8192;

/// How many connections that say nothing are kept, to hear them later.
const SILENT_LIMIT: usize = 16;

/// The length that no path has (limits.h), in bytes.
const PATH_MAX: usize = libc::PATH_MAX as usize;

/// Who may do what with a session keyring: its possessor all, its owner what the kernel gives (view, read, link), and find it by name.
const SESSION_KEYRING: u32 = 0x3f1b_0000;

/// Write a file of this process's own in the host's /proc. For an ordinary user it is root's while nobody may look into this process.
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

/// Set how process `pid` gets processors, 0 for this one.
pub(crate) fn set_scheduler(pid: i32, scheduler: &Scheduler) -> Result<(), Errno> {
    let Scheduler { policy, flags, nice, priority, runtime, deadline, period } = *scheduler;
    schedule::set_scheduler(pid, SchedAttr { policy, flags, nice, priority, runtime, deadline, period })
}

/// Give standard descriptors that are pipes to `uid`, the group stays. Where the file system takes no owner, or this process may
/// not give it, they stay whose they are: a process that only reads and writes them misses nothing.
pub(crate) fn give_stdio(uid: u32) -> Result<(), (String, Errno)> {
    for (fd, name) in [(proc::stdin(), "input"), (proc::stdout(), "output"), (proc::stderr(), "error")] {
        let is_anothers_pipe =
            |stat: libc::stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO && stat.st_uid != uid;
        if !fs::stat_fd(fd).is_ok_and(is_anothers_pipe) {
            continue;
        }
        match fs::chown_fd(fd, uid, u32::MAX) {
            Ok(()) | Err(Errno::EPERM | Errno::EROFS | Errno::EINVAL) => {}
            Err(errno) => return Err((format!("chown {uid} of standard {name}"), errno)),
        }
    }
    Ok(())
}

/// Let a process have a limit that is above its ceiling. Without the right to raise that, it is for setrlimit(2) to say so.
pub(crate) fn raise_hard_limit(pid: i32, ceiling: &HardLimit) -> Result<(), Errno> {
    let raise = || match proc::rlimit(pid, ceiling.resource)? {
        (soft, hard) if hard < ceiling.hard => proc::set_rlimit(pid, ceiling.resource, soft, ceiling.hard),
        _ => Ok(()),
    };
    match raise() {
        Err(Errno::EPERM) => Ok(()),
        done => done,
    }
}

/// The session keyring of this name, which is made if it is not there, so that who comes later finds it. A kernel without keyrings
/// has none to share, so there is nothing to refuse.
pub(crate) fn keyring(name: &str, label: Option<&str>) -> Outcome {
    label.map_or(Ok(()), labels::keys)?;
    match cred::join_session_keyring(name) {
        Ok(serial) => cred::set_key_permissions(serial, SESSION_KEYRING).call(|| "keyctl".into()),
        Err(Errno::ENOSYS) => Ok(()),
        Err(Errno::EDQUOT) => Err(Refusal::kernel(
            "keyctl: a session keyring of the container's own is more than this user may have \
             (kernel.keys.maxkeys, kernel.keys.maxbytes; --no-new-keyring makes none)",
            Errno::EDQUOT,
        )),
        Err(errno) => Err(Refusal::kernel("keyctl", errno)),
    }
}

/// Bring up `lo`, netdevice(7).
pub(super) fn loopback() -> Outcome {
    crate::sys::net::up("lo").call(|| "bring up lo".into())
}

impl Init<'_> {
    pub(super) fn take_process_step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::MakeCwd(path) => self.make_cwd(path),
            Step::HardLimit(ceiling) => raise_hard_limit(0, ceiling).call(|| "prlimit".into()),
            Step::Rlimit { resource, soft, hard, .. } => {
                proc::set_rlimit(0, *resource, *soft, *hard).call(|| format!("setrlimit {soft} {hard}"))
            }
            Step::Scheduler(scheduler) => set_scheduler(0, scheduler).call(|| "sched_setattr".into()),
            Step::IoPriority(priority) => {
                schedule::set_io_priority(0, *priority).call(|| "ioprio_set".into())
            }
            Step::MemoryPolicy(policy) => schedule::set_memory_policy(policy.mode, &policy.nodes.words)
                .call(|| format!("set_mempolicy nodes \"{}\"", policy.nodes.list)),
            Step::Personality(domain) => {
                schedule::set_personality(*domain).call(|| format!("personality {domain:#x}"))
            }
            Step::Affinity(cpus) => {
                schedule::set_affinity(&cpus.words).call(|| format!("sched_setaffinity \"{}\"", cpus.list))
            }
            Step::AllProcessors => all_processors(),
            Step::AppArmor(profile) => labels::apparmor(profile),
            Step::SelinuxLabel(label) => labels::selinux(label),
            Step::Umask(mask) => {
                nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(*mask));
                Ok(())
            }
            Step::NoNewPrivileges => cred::no_new_privs().call(|| "prctl".into()),
            Step::Bounding { drop, .. } => bounding(*drop),
            Step::StdioOwner(uid) => give_stdio(*uid).map_err(|(call, errno)| Refusal::kernel(call, errno)),
            Step::Ids { uid, gid, groups } => ids(*uid, *gid, groups.as_deref()),
            Step::Capabilities { effective, permitted, inheritable, ambient } => {
                capabilities(*effective, *permitted, *inheritable, *ambient)
            }
            Step::EarlyCwd(path) => {
                self.in_cwd = match working_directory(path) {
                    Err(refusal) if refusal.errno == Errno::EACCES as i32 => false,
                    entered => entered.map(|()| true)?,
                };
                Ok(())
            }
            Step::Cwd(_) if self.in_cwd => Ok(()),
            Step::Cwd(path) => working_directory(path),
            Step::Find { program, path } => {
                self.program = find(program, path)?;
                Ok(())
            }
            Step::Ready => self.ready(),
            Step::AwaitRecord => self.await_record(),
            Step::EndBySignals => signal::end_by_default().call(|| "sigaction".into()),
            Step::AwaitStart => self.await_start(),
            Step::NoProcess => Err(Refusal::message("missing; there is nothing to start")),
            Step::StartHooks { hooks, env, computed } => self.start_hooks(hooks, env, computed),
            Step::Prepare { args, env, computed } => self.prepare(args, env, computed),
            Step::Seccomp(filter) => self.seccomp(filter),
            Step::Exec => self.exec(),
            Step::ExecInit => self.exec_init(),
            _ => Err(Refusal::message("the plan holds a step that init cannot take")),
        }
    }

    fn make_cwd(&self, path: &str) -> Outcome {
        if path == "/" {
            return Ok(());
        }
        let cwd = paths::open_or_make(self.root()?, path, Make::Directory, Lookup::Follow);
        match cwd {
            // The process's own user may still be able to enter it.
            Ok(_) | Err(Errno::EACCES) => Ok(()),
            Err(errno) => Err(Refusal::kernel(format!("mkdir {path}"), errno)),
        }
    }

    fn ready(&mut self) -> Outcome {
        // The container may outlive the command that made it as soon as that has recorded it. If it dies before, the closed
        // channel tells.
        cred::set_parent_death_signal(0).call(|| "prctl".into())?;
        self.held.clear();
        proc::wipe_environment();
        let channel = &self.inherited.channel;
        channel.tell(&FromInit::Ready).call(|| "sendmsg".into())?;
        channel.await_done().call(|| "recvmsg".into())
    }

    /// The parent answers what it was told when the process was born, most often long before this. From here on the process may
    /// outlive the command.
    fn await_record(&self) -> Outcome {
        cred::set_parent_death_signal(0).call(|| "prctl".into())?;
        self.inherited.channel.await_done().call(|| "recvmsg".into())
    }

    /// Wait for a connection that asks for the start, and answer over it from then on. Others, like `knarr state`, only
    /// look whether somebody waits here; who says nothing is not waited for.
    fn await_start(&mut self) -> Outcome {
        let Some(listener) = self.inherited.listener.take() else {
            return Err(Refusal::message("nothing to wait on"));
        };
        // The command that made this container is gone, or soon will be.
        self.root = None;
        let mut peers: Vec<InitEnd> = Vec::new();
        loop {
            let fds = std::iter::once(listener.as_fd()).chain(peers.iter().map(InitEnd::as_fd));
            let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                ready => ready.call(|| "poll".into())?,
            };
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            // From the last one on: the numbers of the others stay.
            for at in (0..peers.len()).rev().filter(|at| ready[at + 1]) {
                let peer = peers.remove(at);
                if peer.await_done().is_ok() {
                    self.inherited.channel = peer;
                    return Ok(());
                }
            }
            if ready[0] {
                peers.push(InitEnd::new(socket::accept(listener.as_fd()).call(|| "accept4".into())?));
                if peers.len() > SILENT_LIMIT {
                    peers.remove(0);
                }
            }
        }
    }

    /// They are programs of the host's, so what they know of is the runtime's.
    pub(super) fn container_hooks(&self, hooks: &[Hook]) -> Outcome {
        nix::unistd::fchdir(self.root()?).call(|| "fchdir".into())?;
        let own = self.callers_umask.map(nix::sys::stat::umask);
        let run = self.run_hooks(hooks, "creating", Path::new("."), &hook::environment);
        own.map(nix::sys::stat::umask);
        run
    }

    fn start_hooks(&self, hooks: &[Hook], env: &[String], computed: &[Computed]) -> Outcome {
        let env = environment(env, computed)?;
        self.run_hooks(hooks, "created", Path::new("/"), &|| env.clone())
    }

    fn run_hooks(&self, hooks: &[Hook], status: &str, cwd: &Path, env: &dyn Fn() -> Vec<CString>) -> Outcome {
        let state = self.inherited.about.json(status, Some(nix::unistd::getpid().as_raw()));
        for hook in hooks {
            hook::run(hook, &state, cwd, env).map_err(Refusal::message)?;
        }
        Ok(())
    }

    fn prepare(&mut self, args: &[String], env: &[String], computed: &[Computed]) -> Outcome {
        (self.args, self.env) = (strings(args)?, environment(env, computed)?);
        self.close_all_but(self.inherited.keep_fds)?;
        proc::reset_signals().call(|| "sigprocmask".into())
    }

    fn seccomp(&mut self, filter: &Filter) -> Outcome {
        // A filter may end whoever opens a file. What there is to say of a failing execve(2) is found out before.
        self.look_at_program();
        let insns =
            filter.insns.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k });
        let insns: Vec<_> = insns.collect();
        let number = bpf::set_seccomp_filter(&insns, filter.flags).call(|| "seccomp".into())?;
        if filter.listener.is_none() {
            return Ok(());
        }
        // The agent must hold the descriptor before the first call that it is to answer.
        self.inherited.channel.tell(&FromInit::Listener(number)).call(|| "write".into())?;
        self.inherited.channel.read_done().call(|| "read".into())
    }

    /// Have what explains an execve(2) that fails, once.
    fn look_at_program(&self) {
        let head = self.head.get_or_init(|| program::head(&self.program));
        if self.own.is_some() {
            self.foreseen.get_or_init(|| head.as_deref().and_then(program::foreseen));
        }
    }

    fn exec(&self) -> Outcome {
        let errno = proc::execve(&self.program, &self.args, &self.env);
        self.look_at_program();
        let why = self.head.get().and_then(Option::as_deref).and_then(|head| program::why(head, errno));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        Err(Refusal::kernel(format!("exec: \"{}\"{why}", self.program), errno))
    }

    /// Execute this program anew, as the init that has the process for a child.
    fn exec_init(&self) -> Outcome {
        let Some(own) = &self.own else { return Err(Refusal::message("this program was not opened")) };
        self.look_at_program();
        let string = |text: &str| CString::new(text).map_err(|_| Refusal::kernel("execve", Errno::EINVAL));
        let mut args = vec![CString::from(reaper::NAME)];
        if let Some(why) = self.foreseen.get().and_then(Option::as_deref) {
            args.extend([CString::from(reaper::WHY), string(why)?]);
        }
        args.push(string(&self.program)?);
        args.extend_from_slice(&self.args);
        let errno = proc::exec_fd(own.as_fd(), &args, &self.env);
        Err(Refusal::kernel(format!("execveat of {}", reaper::NAME.to_string_lossy()), errno))
    }

    /// Leave open only descriptors below `first` and the channel, which reports a failing execve(2) and is closed by one
    /// that succeeds. What the plan lists below `first` the caller has opened for the container.
    fn close_all_but(&mut self, first: i32) -> Outcome {
        let channel = self.inherited.channel.as_fd();
        let channel = proc::copy_from(channel, first).call(|| "dup".into())?;
        // Everything that this process still holds is closed by number below; its owners never run again.
        let inherited = &mut self.inherited;
        inherited.trees.clear();
        inherited.namespaces.clear();
        self.root = None;
        let old = std::mem::replace(&mut inherited.channel, InitEnd::new(channel));
        drop(old);
        let kept = self.inherited.channel.as_fd().as_raw_fd();
        let own = self.own.as_ref().map(|own| proc::copy_from(own.as_fd(), kept + 1));
        self.own = own.transpose().call(|| "dup".into())?;
        proc::close_between(first, kept).call(|| "close_range".into())?;
        let next = match &self.own {
            Some(own) => {
                proc::close_between(kept + 1, own.as_raw_fd()).call(|| "close_range".into())?;
                own.as_raw_fd() + 1
            }
            None => kept + 1,
        };
        proc::close_from(next).call(|| "close_range".into())
    }
}

/// What is given, and what only this process knows.
fn environment(env: &[String], computed: &[Computed]) -> Outcome<Vec<CString>> {
    let mut env: Vec<String> = env.to_vec();
    env.extend(computed.iter().map(|variable| match variable {
        Computed::Home(uid) => format!("HOME={}", home(*uid)),
        Computed::ListenPid => format!("LISTEN_PID={}", nix::unistd::getpid()),
    }));
    strings(&env)
}

fn strings(list: &[String]) -> Outcome<Vec<CString>> {
    let list = list.iter().map(|s| CString::new(s.as_str()));
    list.collect::<Result<_, _>>().map_err(|_| Refusal::kernel("execve", Errno::EINVAL))
}

/// Nobody asked for it, so a refusal (by an LSM, or a filter of the caller's) leaves the caller's.
fn all_processors() -> Outcome {
    let _ = schedule::set_affinity(&[u64::MAX; MOST_PROCESSORS / 64]);
    Ok(())
}

fn bounding(drop: u64) -> Outcome {
    for n in (0..64).filter(|n| drop & (1 << n) != 0) {
        cred::drop_bounding(n).call(|| format!("PR_CAPBSET_DROP {n}"))?;
    }
    Ok(())
}

fn ids(uid: u32, gid: u32, groups: Option<&[u32]>) -> Outcome {
    cred::keep_caps(true).call(|| "PR_SET_KEEPCAPS".into())?;
    if let Some(groups) = groups {
        match cred::set_groups(groups) {
            // Who may drop no groups keeps those that the user namespace gives no name to (user_namespaces(7)).
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

fn capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Outcome {
    cred::capset(effective, permitted, inheritable).call(|| "capset".into())?;
    cred::clear_ambient().call(|| "PR_CAP_AMBIENT".into())?;
    for n in (0..64).filter(|n| ambient & (1 << n) != 0) {
        cred::raise_ambient(n).call(|| format!("PR_CAP_AMBIENT_RAISE {n}"))?;
    }
    Ok(())
}

/// chdir(2), and refuse a directory that is not below the root (getcwd(3) then answers `(unreachable)…`).
fn working_directory(path: &str) -> Outcome {
    nix::unistd::chdir(path).call(|| format!("chdir {path}"))?;
    let cwd = fs::getcwd().call(|| "getcwd".into())?;
    if cwd.starts_with('/') {
        Ok(())
    } else {
        Err(Refusal::message(format!("{path} is outside of the container's root")))
    }
}

/// The program's path. Engines look for these texts, which are those of a shell.
fn find(program: &str, path: &[String]) -> Outcome<String> {
    if program.contains('/') {
        return check(program).map(|()| program.to_string()).map_err(|errno| match errno {
            Errno::ENOSYS | Errno::EPERM => Refusal::kernel(format!("faccessat2 {program}"), errno),
            Errno::EISDIR => Refusal::kernel(format!("exec: \"{program}\": is a directory"), Errno::EACCES),
            Errno::EACCES => Refusal::kernel(format!("exec: \"{program}\""), errno),
            _ => Refusal::kernel(format!("exec: \"{program}\": stat {program}"), errno),
        });
    }
    let mut denied = None;
    for dir in path.iter().filter(|_| !program.is_empty()) {
        let candidate = format!("{dir}/{program}");
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::EACCES) => denied = Some(candidate),
            // Not the file's fault.
            Err(errno @ (Errno::ENOSYS | Errno::EPERM)) => {
                return Err(Refusal::kernel(format!("faccessat2 {candidate}"), errno));
            }
            Err(_) => {}
        }
    }
    match denied {
        Some(candidate) => Err(Refusal::kernel(format!("exec: \"{candidate}\""), Errno::EACCES)),
        None => Err(Refusal::message(format!("exec: \"{program}\": executable file not found in $PATH"))),
    }
}

fn check(path: &str) -> Result<(), Errno> {
    let stat = nix::sys::stat::stat(path)?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err(Errno::EISDIR);
    }
    fs::executable(path)
}

/// The home of `uid` in the container's /etc/passwd, or `/`. A file that is none, or a huge one, has no home to give, nor has one
/// whose entry is no path that execve(2) would take.
fn home(uid: u32) -> String {
    let found = || -> Option<String> {
        let root = fs::open("/", fs::O_PATH | fs::O_DIRECTORY, 0).ok()?;
        let flags = fs::O_RDONLY | fs::O_NONBLOCK | fs::O_NOCTTY;
        let passwd = paths::open(root.as_fd(), "/etc/passwd", flags, Lookup::Follow).ok()?;
        home_in(passwd.as_fd(), uid)
    };
    found().unwrap_or_else(|| "/".into())
}

fn home_in(passwd: BorrowedFd<'_>, uid: u32) -> Option<String> {
    if fs::stat_fd(passwd).ok()?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let text = fs::read_all(passwd, PASSWD_LIMIT).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_path = |home: &str| !home.is_empty() && home.len() < PATH_MAX && !home.contains('\0');
        let home = fields.get(5).filter(|home| is_path(home))?;
        (fields.get(2)?.parse() == Ok(uid)).then(|| home.to_string())
    })
}
