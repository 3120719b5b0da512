//! The namespaces: joining them, and what they carry.

use super::{Init, namespaces, process, sysctl, threads};
use crate::acts::process as acts;
use crate::channel::FromInit;
use crate::config::Namespace;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::EnterStep;
use crate::sys::schedule::CoreScope;
use crate::sys::{Errno, cred, fs, process as proc, schedule};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;

impl Init<'_> {
    pub(super) fn take_enter_step(&mut self, step: &EnterStep) -> Outcome {
        match step {
            EnterStep::AwaitParent => {
                self.inherited.channel.await_done().call(|| "recvmsg".into())?;
                // An ordinary user's parent had to write files of this process that are otherwise
                // root's.
                cred::set_dumpable(false).call(|| "prctl".into())
            }
            EnterStep::OpenSelf => {
                self.own =
                    Some(fs::open("/proc/self/exe", fs::O_PATH, 0).call(|| "open /proc/self/exe".into())?);
                Ok(())
            }
            EnterStep::OpenDescriptors => {
                let flags = fs::O_PATH | fs::O_DIRECTORY;
                let own = fs::open("/proc/self/fd", flags, 0).call(|| "open /proc/self/fd".into())?;
                self.descriptors = Some(own);
                Ok(())
            }
            EnterStep::Join(kind) => self.join(*kind),
            EnterStep::New(kind) => {
                proc::unshare(kind.clone_flag()).call(|| format!("unshare {}", kind.name()))
            }
            EnterStep::Time(offsets) => namespaces::time(offsets),
            EnterStep::NamespaceRoot { groups } => namespaces::become_root(*groups),
            EnterStep::OwnCore => {
                schedule::own_core(CoreScope::Process).map_err(|errno| acts::core_refusal("CREATE", errno))
            }
            EnterStep::CoreOfInit => self.core_of_init(),
            EnterStep::OfInit(kinds) => self.follow(kinds),
            EnterStep::Fork => self.fork(),
            EnterStep::Session => nix::unistd::setsid().map(drop).call(|| "setsid".into()),
            EnterStep::Keyring(keyring) => acts::keyring(keyring),
            EnterStep::Loopback => process::loopback(),
            EnterStep::Listen(port) => self.listen(*port),
            EnterStep::Hostname(name) => nix::unistd::sethostname(name).call(|| "sethostname".into()),
            EnterStep::Domainname(name) => proc::set_domainname(name).call(|| "setdomainname".into()),
            EnterStep::Sysctl { path, value } => sysctl::set(path, value),
            EnterStep::OomScoreAdj(score) => {
                process::write_own_file("/proc/self/oom_score_adj", &score.to_string())
            }
        }
    }

    fn listen(&self, port: u16) -> Outcome {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port));
        let errno = |err: std::io::Error| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let listener = listener.map_err(errno).call(|| format!("listen on 127.0.0.1:{port}"))?;
        self.inherited.channel.tell(&FromInit::Proxy(listener.into())).call(|| "sendmsg".into())
    }

    fn join(&mut self, kind: Namespace) -> Outcome {
        let namespaces = &mut self.inherited.namespaces;
        let at = namespaces.iter().position(|(k, _)| *k == kind);
        let Some(at) = at else { return Err(Refusal::message("the namespace was not opened")) };
        let (_, fd) = namespaces.swap_remove(at);
        proc::setns(fd.as_fd(), kind.clone_flag()).call(|| "setns".into())
    }

    /// The pid may be another's by now, but not if init is there afterwards.
    fn core_of_init(&self) -> Outcome {
        let Some(init) = &self.inherited.init else {
            return Err(Refusal::message("there is no init to follow"));
        };
        schedule::share_core_of(self.inherited.init_pid)
            .map_err(|errno| acts::core_refusal("SHARE_FROM", errno))?;
        proc::pidfd_send_signal(init.as_fd(), 0).call(|| "init".into())
    }

    /// Enter all at once: a user namespace comes first and gives the rights for the others. Root
    /// and working directory are then those of the mount namespace. After the last time init's
    /// descriptor is closed: what is in the pid namespace can be looked into.
    fn follow(&mut self, kinds: &[Namespace]) -> Outcome {
        let Some(init) = self.inherited.init.take() else {
            return Err(Refusal::message("there is no init to follow"));
        };
        let flags = kinds.iter().fold(0, |flags, kind| flags | kind.clone_flag());
        threads::enter(init.as_fd(), flags).call(|| "setns".into())?;
        self.follows -= 1;
        self.inherited.init = (self.follows > 0).then_some(init);
        Ok(())
    }

    /// Only a child is born in a pid namespace that was entered. It takes this process's place
    /// under the parent and says so itself: whichever of the two is killed meanwhile, the parent
    /// hears a birth or a closed channel.
    fn fork(&self) -> Outcome {
        proc::continue_as_sibling().call(|| "clone3".into())?;
        // Until the parent has made it known it does not outlive it.
        cred::set_parent_death_signal(Signal::SIGKILL).call(|| "prctl".into())?;
        self.inherited.channel.tell(&FromInit::Born(nix::unistd::getpid().as_raw())).call(|| "sendmsg".into())
    }
}
