//! The program: looking it up, what is prepared for execve(2), the filter, and execve(2).

use super::passwd::home;
use super::{Init, program, reaper};
use crate::channel::{FromInit, InitEnd};
use crate::config;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::Computed;
use crate::plan::seccomp::{Filter, Sendmsg};
use crate::sys::{Errno, bpf, fs, process as proc, signal};
use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

impl Init<'_> {
    pub(super) fn prepare(&mut self, args: &[String], env: &[String], computed: &[Computed]) -> Outcome {
        (self.args, self.env) = (strings(args)?, environment(env, computed)?);
        self.close_all_but(self.inherited.first_closed_fd)?;
        if self.own.is_none() {
            return signal::reset_signals().call(|| "sigprocmask".into());
        }
        // The init takes signals from its first moment on: the kernel would drop what comes to a
        // PID 1 before.
        signal::block_all().call(|| "sigprocmask".into())?;
        signal::default_actions();
        Ok(())
    }

    pub(super) fn seccomp(&mut self, filter: &Filter) -> Outcome {
        // A filter may end whoever opens a file. What there is to say of a failing execve(2) is
        // found out before.
        self.look_at_program();
        let insns =
            filter.insns.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k });
        let insns: Vec<_> = insns.collect();
        let listener = bpf::set_seccomp_filter(&insns, filter.flags).call(|| "seccomp".into())?;
        match listener {
            Some(listener) => self.hand_over(listener, filter),
            None => Ok(()),
        }
    }

    /// The agent must hold the descriptor before the first call that it is to answer. An ordinary
    /// user may not take a copy by number, as the memory of init is closed to its caller.
    fn hand_over(&self, listener: OwnedFd, filter: &Filter) -> Outcome {
        let channel = &self.inherited.channel;
        let number = listener.as_raw_fd();
        // Closed by execve(2) alone: close(2) may be a call that the agent answers.
        let listener = ManuallyDrop::new(listener);
        match filter.sendmsg {
            Sendmsg::PassesMarked => {
                let itself = ManuallyDrop::new(FromInit::ListenerOfAll(ManuallyDrop::into_inner(listener)));
                return channel.tell(&itself).call(|| "sendmsg".into());
            }
            Sendmsg::Passes => {
                let itself = ManuallyDrop::new(FromInit::ListenerItself(ManuallyDrop::into_inner(listener)));
                channel.tell(&itself).call(|| "sendmsg".into())?;
            }
            Sendmsg::Refused => channel.tell(&FromInit::Listener(number)).call(|| "write".into())?,
        }
        channel.read_done().call(|| "read".into())
    }

    /// Have what explains an execve(2) that fails, once.
    fn look_at_program(&self) {
        let head = self.head.get_or_init(|| program::head(&self.program));
        if self.own.is_some() {
            self.foreseen.get_or_init(|| head.as_deref().and_then(program::foreseen));
        }
    }

    pub(super) fn exec(&self) -> Outcome {
        let errno = proc::execve(&self.program, &self.args, &self.env);
        self.look_at_program();
        let why = self.head.get().and_then(Option::as_deref).and_then(|head| program::why(head, errno));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        Err(Refusal::kernel(format!("exec: \"{}\"{why}", self.program), errno))
    }

    /// Execute this program anew, as the init that has the process for a child, or none.
    pub(super) fn exec_init(&self, init: config::Init) -> Outcome {
        if init == config::Init::Alone {
            return self.exec_reaper(Vec::new());
        }
        self.look_at_program();
        let string = |text: &str| CString::new(text).map_err(|_| Refusal::kernel("execve", Errno::EINVAL));
        let mut args = Vec::new();
        if let Some(why) = self.foreseen.get().and_then(Option::as_deref) {
            args.extend([CString::from(reaper::WHY), string(why)?]);
        }
        args.push(string(&self.program)?);
        args.extend_from_slice(&self.args);
        self.exec_reaper(args)
    }

    fn exec_reaper(&self, words: Vec<CString>) -> Outcome {
        let Some(own) = &self.own else { return Err(Refusal::message("this program was not opened")) };
        let args: Vec<CString> = std::iter::once(reaper::NAME.into()).chain(words).collect();
        let errno = proc::exec_fd(own.as_fd(), &args, &self.env);
        Err(Refusal::kernel(format!("execveat of {}", reaper::NAME.to_string_lossy()), errno))
    }

    /// Leave open only descriptors below `first` and the channel, which reports a failing execve(2)
    /// and is closed by one that succeeds. What the plan lists below `first` the caller has opened
    /// for the container.
    fn close_all_but(&mut self, first: i32) -> Outcome {
        let channel = self.inherited.channel.as_fd();
        let channel = proc::copy_from(channel, first).call(|| "dup".into())?;
        // Everything that this process still holds is closed by number below; its owners never run
        // again.
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
pub(super) fn environment(env: &[String], computed: &[Computed]) -> Outcome<Vec<CString>> {
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

/// The program's path. Engines look for these texts, which are those of a shell.
pub(super) fn find(program: &str, path: &[String]) -> Outcome<String> {
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
