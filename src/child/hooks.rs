//! The hooks that init runs, or has run.

use super::Init;
use super::exec::environment;
use crate::channel::FromInit;
use crate::config::Hook;
use crate::fault::{Call, Outcome};
use crate::hook;
use crate::plan::Computed;
use crate::sys::process as proc;
use std::ffi::CString;
use std::path::Path;

impl Init<'_> {
    pub(super) fn ask_for_hooks(&self) -> Outcome {
        let channel = &self.inherited.channel;
        channel.tell(&FromInit::HostHooks).call(|| "sendmsg".into())?;
        channel.await_done().call(|| "recvmsg".into())
    }

    /// They are programs of the host's, so what they know of is the runtime's.
    pub(super) fn container_hooks(&self, hooks: &[Hook]) -> Outcome {
        nix::unistd::fchdir(self.root()?).call(|| "fchdir".into())?;
        let own = self.callers_umask.map(nix::sys::stat::umask);
        let run = self.run_hooks(hooks, "creating", Path::new("."), &proc::environment);
        own.map(nix::sys::stat::umask);
        run
    }

    pub(super) fn start_hooks(&self, hooks: &[Hook], env: &[String], computed: &[Computed]) -> Outcome {
        let env = environment(env, computed)?;
        self.run_hooks(hooks, "created", Path::new("/"), &|| env.clone())
    }

    fn run_hooks(&self, hooks: &[Hook], status: &str, cwd: &Path, env: &dyn Fn() -> Vec<CString>) -> Outcome {
        let state = self.inherited.about.json(status, Some(nix::unistd::getpid().as_raw()));
        for hook in hooks {
            hook::run(hook, &state, cwd, env)?;
        }
        Ok(())
    }
}
