//! The child: takes the steps of the plan in order, in the container's namespaces, and becomes the
//! container's process.
//!
//! Nothing is decided here. A step that the kernel refuses is told to the parent and ends the
//! child.

mod added;
mod copy_up;
mod enter;
mod exec;
mod hooks;
mod landlock;
mod mounts;
mod namespaces;
mod null;
mod overlay;
mod passwd;
mod paths;
mod process;
mod program;
pub mod reaper;
mod root;
mod sysctl;
mod terminal;
mod threads;
mod wait;

use crate::channel::{FromInit, InitEnd};
use crate::config::Namespace;
use crate::fault::{Outcome, Refusal};
use crate::note;
use crate::plan::{EnterStep, Planned, RootStep, Step};
use crate::state::About;
use crate::sys;
use crate::sys::process as proc;
use copy_up::Budget;
use std::cell::OnceCell;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What init inherits from its parent beside the plan.
#[derive(Debug)]
pub struct Inherited<'a> {
    /// The steps to take.
    pub steps: &'a [Planned<Step>],
    /// The number of the first descriptor that the process does not keep.
    pub first_closed_fd: i32,
    /// What hooks are told about the container.
    pub about: &'a About,
    /// The init of a container that is there, to enter its namespaces.
    pub init: Option<OwnedFd>,
    /// Its pid, as the parent sees it; 0 without one.
    pub init_pid: i32,
    /// The namespaces to join.
    pub namespaces: Vec<(Namespace, OwnedFd)>,
    /// The copies of host mounts, by number.
    pub trees: Vec<Option<OwnedFd>>,
    /// The socket that `knarr start` connects to.
    pub listener: Option<OwnedFd>,
    /// The channel to the parent.
    pub channel: InitEnd,
}

impl Inherited<'_> {
    /// Close what the parent had open for itself: no host directory, no lock, no cgroup stays open
    /// in a process that the container can see.
    fn close_others(&self) -> sys::Result<()> {
        let mut keep: Vec<i32> = vec![self.channel.as_fd().as_raw_fd()];
        keep.extend(self.namespaces.iter().map(|(_, fd)| fd.as_raw_fd()));
        keep.extend(self.trees.iter().flatten().map(AsRawFd::as_raw_fd));
        keep.extend(self.listener.iter().chain(&self.init).map(AsRawFd::as_raw_fd));
        keep.sort_unstable();
        let mut next = self.first_closed_fd;
        for fd in keep {
            proc::close_between(next, fd)?;
            next = fd + 1;
        }
        proc::close_from(next)
    }
}

/// The child's state between steps.
struct Init<'a> {
    inherited: Inherited<'a>,
    /// This program's own file, where it is to be executed as the container's init.
    own: Option<OwnedFd>,
    /// How many times it enters namespaces of init's yet.
    follows: usize,
    /// The folder of this process's own descriptors, in the host's /proc.
    descriptors: Option<OwnedFd>,
    /// The root filesystem, once it is attached.
    root: Option<OwnedFd>,
    /// The tmpfs that it was stacked on, and covers.
    bench: Option<OwnedFd>,
    /// Mounts that later steps go on from, with their names in the container, in the order in which
    /// they were made.
    held: Vec<(String, OwnedFd)>,
    /// Memory for copies of what mounts cover.
    budget: Budget,
    /// The umask that this process was born with, once it is another.
    callers_umask: Option<nix::sys::stat::Mode>,
    /// Whether the working directory is the process's.
    in_cwd: bool,
    /// The program, once it is found.
    program: String,
    /// Its beginning, once that is looked at; none where it cannot be read.
    head: OnceCell<Option<Vec<u8>>>,
    /// Why it will not be executed by the container's init, once that is looked at; none where
    /// nothing is known against it.
    foreseen: OnceCell<Option<String>>,
    /// Its arguments, once they are prepared.
    args: Vec<CString>,
    /// Its environment, once it is prepared.
    env: Vec<CString>,
}

/// Take all steps. Does not return: the last step is execve(2), and a failure ends the process.
pub fn run(inherited: Inherited<'_>) -> ! {
    let steps = inherited.steps;
    // It may wait here for long, and is to be looked into by none; still less is there to be found.
    // Hooks of the runtime's may need what is there; then it goes before the waiting.
    if !steps.iter().any(|planned| matches!(planned.step, Step::Root(RootStep::ContainerHooks(_)))) {
        proc::wipe_environment();
    }
    if inherited.close_others().is_err() {
        proc::exit_now(1);
    }
    let mut init = Init {
        inherited,
        own: None,
        follows: steps
            .iter()
            .filter(|planned| matches!(planned.step, Step::Enter(EnterStep::OfInit(_))))
            .count(),
        descriptors: None,
        root: None,
        bench: None,
        held: Vec::new(),
        budget: Budget(copy_up::LIMIT),
        callers_umask: None,
        in_cwd: false,
        program: String::new(),
        head: OnceCell::new(),
        foreseen: OnceCell::new(),
        args: Vec::new(),
        env: Vec::new(),
    };
    for planned in steps {
        if planned.step == Step::Enter(EnterStep::AwaitParent) {
            note::waits("the container: wait for the parent");
        } else {
            note::at(|| format!("the container: {planned}"));
        }
        let Planned { step, field } = planned;
        if let Err(refusal) = init.take(step) {
            // A parent that is gone needs no telling.
            let _ = init.inherited.channel.tell(&FromInit::Failed(refusal.of(field)));
            proc::exit_now(1);
        }
    }
    proc::exit_now(1)
}

impl Init<'_> {
    /// The root filesystem. Every plan attaches it before it is asked for.
    fn root(&self) -> Outcome<BorrowedFd<'_>> {
        self.root
            .as_ref()
            .map(AsFd::as_fd)
            .ok_or_else(|| Refusal::message("the root filesystem is not attached"))
    }

    fn tree(&mut self, slot: usize) -> Outcome<OwnedFd> {
        let tree = self.inherited.trees.get_mut(slot).and_then(Option::take);
        tree.ok_or_else(|| Refusal::message(format!("copy #{slot} was not made")))
    }

    fn take(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Enter(step) => self.take_enter_step(step),
            Step::Root(step) => self.take_root_step(step),
            Step::Process(step) => self.take_process_step(step),
        }
    }
}
