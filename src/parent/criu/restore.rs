//! `restore`: a container whose processes come from images.

use super::checkpoint::{DESCRIPTORS, NULL};
use super::field::{cgroup_root, inherit_fd, join_namespace, kind, opts as field};
use super::options::config_file;
use super::rpc::{self, Message};
use super::{
    Criu, Options, Output, Report, RestoreOptions, Surroundings, failure, find, make_folder, tell_folders,
    tell_network, with_those_below, yard,
};
use crate::acts;
use crate::cgroup::Cgroup;
use crate::channel::FromInit;
use crate::config::Namespace;
use crate::fault::{Call, Outcome};
use crate::parent::create::CreateOrder;
use crate::parent::hooks::host_hooks;
use crate::parent::host_steps::host_steps;
use crate::parent::launch::{Launched, Opened, launch};
use crate::parent::making::Making;
use crate::parent::settle::{Around, settle};
use crate::parent::terminal::hand_terminal;
use crate::plan::SessionKeyring;
use crate::plan::restore::{Kept, Restore};
use crate::state::Container;
use crate::sys::mount::{self, Change, Follow, Reach, attr};
use crate::sys::{self, Errno, describe, fs, net, process};
use anyhow::{Context, Result, anyhow, bail};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

const LOG: &str = "restore.log";

/// The longest descriptors.json that is read, in bytes.
const DESCRIPTORS_LIMIT: usize = 64 << 10;

/// What goes into restoring a container.
#[derive(Debug)]
pub struct RestoreOrder<'a> {
    /// The container, with the trial as its plan.
    pub container: CreateOrder<'a>,
    /// What is done beside that.
    pub restore: &'a Restore,
    /// The path of the program criu.
    pub program: &'a Path,
    /// What restore and checkpoint both take from the command line.
    pub options: &'a Options,
    /// What restore alone takes from it.
    pub restore_options: &'a RestoreOptions,
}

/// A container that was restored, and runs.
#[derive(Debug)]
pub struct Restored {
    /// The record that the store has of it.
    pub container: Container,
    /// A pidfd of its init.
    pub pidfd: OwnedFd,
    /// The other end of its terminal, unless a console socket took it.
    pub terminal: Option<OwnedFd>,
    /// The socket that takes its notifications, where somebody waits for them.
    pub notify: Option<OwnedFd>,
}

/// Restore the container, or leave nothing behind.
pub fn restore(order: &RestoreOrder<'_>) -> Result<Restored> {
    let program = find(order.program)?;
    let descriptors = descriptors(order.options.images())?;
    make_folder("--work-path", order.options.work(), 0o700)?;
    let mut making = Making::begin(&order.container)?;
    let mut init = None;
    match build(order, &program, &descriptors, &mut making, &mut init) {
        Ok(Built { terminal, notify }) => match init {
            Some(pidfd) => Ok(Restored { container: making.finish(), pidfd, terminal, notify }),
            None => Err(making.roll_back(None, anyhow!("CRIU has restored nothing"))),
        },
        Err(cause) => Err(making.roll_back(init, cause)),
    }
}

/// What comes of a restore beside the process and its record.
struct Built {
    terminal: Option<OwnedFd>,
    notify: Option<OwnedFd>,
}

fn build<'b>(
    order: &RestoreOrder<'b>,
    program: &Path,
    descriptors: &[String],
    making: &mut Making<'b>,
    init: &mut Option<OwnedFd>,
) -> Result<Built> {
    let own = &order.container;
    let mut opened = host_steps(making)?;
    let notify = opened.notify.take();
    let namespaces = copies(&order.restore.kept, &opened)?;
    let cgroup = making.cgroup.as_ref().map(|made| &made.cgroup);
    try_mounts(making, opened, cgroup)?;
    let cgroup = cgroup.map(Cgroup::as_fd);
    // CRIU closes each when it has used it.
    let nulls = [null()?, null()?, null()?];
    let mut message = request(order, descriptors, &nulls, &namespaces)?;
    let yard = making.dir.yard()?;
    message.text(field::CGROUP_YARD, yard.as_os_str().as_encoded_bytes());
    let criu = {
        let (cgroups, rootfs) = (&own.host.cgroup_root, &own.config.root.path);
        let prepare = || enter(&yard, cgroups, rootfs, order.restore.keyring.as_ref());
        let keep =
            namespaces.iter().map(|(.., fd)| fd.as_fd()).chain(nulls.iter().map(OwnedFd::as_fd)).collect();
        let folders = vec![order.options.images(), order.options.work()];
        let place = Surroundings { cgroup, prepare: &prepare, keep, folders, output: Output::Callers };
        Criu::start(program, &place)?
    };
    tell_folders(&criu, &mut message);
    making.settle_scope()?;
    let network = namespaces.iter().find(|(kind, ..)| *kind == Namespace::Network).map(|(.., fd)| fd.as_fd());
    let mut talk = Conversation { order, making, init, network, terminal: None };
    let answer = criu.ask(&rpc::request(kind::RESTORE, Some(&message)), &mut |report| talk.hear(report));
    let terminal = talk.terminal;
    criu.end()?;
    let answer = answer?;
    match answer.success {
        true => Ok(Built { terminal, notify }),
        false => Err(failure(&answer, &order.options.work().join(LOG))),
    }
}

/// A namespace that CRIU is given by descriptor, and what it is called in the images.
type Given = (Namespace, &'static str, OwnedFd);

fn copies(kept: &[Kept], opened: &Opened) -> Result<Vec<Given>> {
    let given = kept.iter().filter_map(|kept| Some((kept.kind, kept.key?, opened.namespace(kept.kind)?)));
    let copies = given.map(|(kind, key, fd)| fd.try_clone_to_owned().map(|fd| (kind, key, fd)));
    copies.collect::<std::io::Result<_>>().context("dup")
}

/// Make the container's mounts as ever, and drop them: CRIU mounts on what is there then, by paths
/// that lead nowhere else.
fn try_mounts(making: &Making<'_>, opened: Opened, cgroup: Option<&Cgroup>) -> Result<()> {
    let plan = making.order.plan;
    let Launched { pid, pidfd, channel } = launch(plan, making.about(), opened, cgroup, None)?;
    let attempt = || -> Result<()> {
        if !plan.settle.is_empty() {
            let around = Around::of(making.order, making.cgroup.as_ref());
            settle(&plan.settle, pid, around, None, &mut None, &Default::default())?;
            channel.done().context("sendmsg to init")?;
        }
        match channel.hear().context("recvmsg from init")? {
            Some(FromInit::Ready) => Ok(()),
            Some(FromInit::Failed(fault)) => Err(fault.into()),
            Some(message) => Err(message.unexpected()),
            None => bail!("init was killed before its mounts were ready"),
        }
    };
    let attempted = attempt();
    // It ends when nobody listens any more, if not before.
    drop(channel);
    let _ = process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
    process::wait(pidfd.as_fd()).context("waitid")?;
    attempted
}

/// A copy of the mount of the host's /dev/null through which its mode, owner and times cannot be
/// changed.
fn null_mount() -> sys::Result<OwnedFd> {
    let copy = mount::clone_tree(Path::new("/dev/null"), Reach::Top, Follow::Last)?;
    let set = attr::RDONLY | attr::NOSUID | attr::NOEXEC;
    mount::mount_setattr(copy.as_fd(), Reach::Top, Change { set, ..Change::default() })?;
    Ok(copy)
}

/// /dev/null, opened through such a copy: fchmod(2) of a restored process must not reach the
/// host's.
fn null() -> Result<OwnedFd> {
    let open = || -> sys::Result<OwnedFd> {
        let mount = null_mount()?;
        fs::open(format!("/proc/self/fd/{}", mount.as_raw_fd()), fs::O_RDWR, 0)
    };
    open().context("open /dev/null")
}

fn request(
    order: &RestoreOrder<'_>,
    descriptors: &[String],
    nulls: &[OwnedFd],
    namespaces: &[Given],
) -> Result<Message> {
    let own = &order.container;
    let mut message = Message::default();
    message
        .flag(field::EVASIVE_DEVICES, true)
        .flag(field::RESTORE_SIBLING, true)
        .text(field::ROOT, own.config.root.path.as_os_str().as_encoded_bytes());
    order.options.tell(&mut message, LOG);
    tell_network(order.restore.loopback, &mut message);
    order.restore_options.tell(&mut message);
    config_file(&own.config.annotations, &mut message);
    if let Some(path) = &order.restore.cgroup_root {
        // Else it is made where it was. The tree without controllers in its name is that of cgroup
        // v2.
        let mut root = Message::default();
        root.text(cgroup_root::CONTROLLER, "").text(cgroup_root::PATH, format!("/{path}"));
        message.message(field::CGROUP_ROOT, &root);
    }
    for external in with_those_below(&order.restore.externals)? {
        message.text(field::EXTERNAL, format!("mnt[{}]:{}", external.key, external.source.display()));
    }
    let mut inherit = |key: &str, fd: i32| {
        let mut inherited = Message::default();
        inherited.text(inherit_fd::KEY, key).number(inherit_fd::FD, fd as u64);
        message.message(field::INHERIT_FD, &inherited);
    };
    for (_, key, fd) in namespaces {
        inherit(key, fd.as_raw_fd());
    }
    for ((number, name), null) in (0..).zip(descriptors).zip(nulls) {
        match name.strip_suffix(NULL) {
            Some(name) => inherit(name, null.as_raw_fd()),
            None if name.starts_with("pipe:") || name.starts_with("file[") => inherit(name, number),
            None => {}
        }
    }
    for kept in &order.restore.kept {
        if matches!(kept.kind, Namespace::Ipc | Namespace::Uts | Namespace::Time) {
            let mut joined = Message::default();
            let path = kept.path.as_os_str().as_encoded_bytes();
            joined.text(join_namespace::KIND, kept.kind.file()).text(join_namespace::FILE, path);
            message.message(field::JOIN_NAMESPACE, &joined);
        }
    }
    Ok(message)
}

/// What standard input, output and error were.
fn descriptors(images: &Path) -> Result<Vec<String>> {
    let path = images.join(DESCRIPTORS);
    let place = || format!("--image-path: {}", path.display());
    let text = fs::open(&path, fs::O_RDONLY, 0).and_then(|fd| fs::read_all(fd.as_fd(), DESCRIPTORS_LIMIT));
    serde_json::from_slice(&text.with_context(place)?).with_context(place)
}

/// In the process that becomes CRIU: a mount namespace, in which the root filesystem is a mount, as
/// CRIU needs it. What is done there is not seen outside, and gone with it. The session keyring is
/// what it leaves to those that it restores.
fn enter(yard: &Path, cgroups: &Path, rootfs: &Path, keyring: Option<&SessionKeyring>) -> Outcome {
    yard::enter()?;
    yard::lay_out(yard, cgroups)?;
    let onto = fs::open(rootfs, fs::O_PATH | fs::O_DIRECTORY, 0).call(|| "open root.path".into())?;
    let copy = mount::clone_tree(rootfs, Reach::Tree, Follow::Last).call(|| "open_tree root.path".into())?;
    mount::move_mount(copy.as_fd(), onto.as_fd()).call(|| "move_mount root.path".into())?;
    // Masks are copies of this one, which CRIU gives the attributes that they had but for all after
    // the first.
    let covered = || -> sys::Result<()> {
        let onto = fs::open("/dev/null", fs::O_PATH, 0)?;
        mount::move_mount(null_mount()?.as_fd(), onto.as_fd())
    };
    covered().call(|| "read-only /dev/null".into())?;
    keyring.map_or(Ok(()), acts::process::keyring)
}

/// The parent's side of the conversation with CRIU.
struct Conversation<'a, 'b> {
    order: &'a RestoreOrder<'b>,
    making: &'a mut Making<'b>,
    /// The restored process, once there is one.
    init: &'a mut Option<OwnedFd>,
    /// The network namespace that is joined.
    network: Option<BorrowedFd<'a>>,
    terminal: Option<OwnedFd>,
}

impl Conversation<'_, '_> {
    fn hear(&mut self, report: Report) -> Result<()> {
        match report.script.as_str() {
            "setup-namespaces" => self.namespaces(report.pid),
            "post-setup-namespaces" => self.cgroups(),
            "orphan-pts-master" => {
                let master = report.fd.context("CRIU has sent no terminal")?;
                self.terminal = hand_terminal(master, self.order.container.console.as_ref())?;
                Ok(())
            }
            "post-restore" => self.restored(report.pid),
            _ => Ok(()),
        }
    }

    /// The process is in its namespaces, and nothing else of it is there yet.
    fn namespaces(&mut self, pid: i32) -> Result<()> {
        let RestoreOrder { container: own, restore, .. } = self.order;
        if restore.loopback {
            loopback(pid).map_err(|errno| anyhow!("bring up lo: {}", describe(errno)))?;
        }
        let network = self.network.map(|fd| fd.try_clone_to_owned()).transpose().context("dup")?;
        let around = Around::of(own, self.making.cgroup.as_ref());
        settle(&restore.settle, pid, around, network, &mut self.making.moved, &self.making.resctrl)?;
        self.making.began_hooks = true;
        host_hooks(&own.config.hooks, self.making.about(), pid)
    }

    /// CRIU has put the process into its cgroups, on its way through the container's own. CRIU is
    /// there itself, and has to leave: a cgroup with processes hands no controllers down.
    fn cgroups(&mut self) -> Result<()> {
        let RestoreOrder { container: own, restore, .. } = self.order;
        let Some(asked) = &restore.below else { return Ok(()) };
        let home = &self.making.cgroup()?.cgroup;
        let hand_over = || -> Outcome {
            let below = home.make_below(&asked.path)?;
            home.empty_into(&below)?;
            below.hand_over(&own.host.cgroup_root, asked.owner)
        };
        Ok(hand_over().map_err(|refusal| refusal.of(&asked.field))?)
    }

    /// The process is restored and does not run yet.
    fn restored(&mut self, pid: i32) -> Result<()> {
        // It is this process's child, and cannot be another: nobody has reaped it.
        *self.init = Some(process::pidfd_open(pid).context("pidfd_open")?);
        self.making.record(pid)
    }
}

/// Bring up `lo` in the network namespace of process `pid`.
fn loopback(pid: i32) -> Result<(), Errno> {
    let home = fs::open("/proc/self/ns/net", fs::O_RDONLY, 0)?;
    let there = fs::open(format!("/proc/{pid}/ns/net"), fs::O_RDONLY, 0)?;
    process::setns(there.as_fd(), libc::CLONE_NEWNET)?;
    let up = net::up("lo");
    process::setns(home.as_fd(), libc::CLONE_NEWNET)?;
    up
}
