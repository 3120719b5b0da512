//! Checkpoint and restore of containers, by CRIU: one process of it (`criu swrk`) a request, which
//! is asked over a socket and reports on the way what it has come to.

mod checkpoint;
mod field;
mod options;
mod restore;
pub mod rpc;
mod yard;

pub use checkpoint::{Checkpoint, checkpoint};
pub use options::{CgroupsMode, DumpOptions, NetworkLock, Options, RestoreOptions};
pub use restore::{RestoreOrder, Restored, restore};

use crate::fault::{Call, Outcome, Refusal};
use crate::host;

use crate::plan::restore::External;
use crate::proc::mountinfo;
use crate::sys::process::{self, Cloned, Exit};
use crate::sys::{Errno, fs, signal, socket};
use anyhow::{Context, Result, anyhow, bail};
use field::{kind, opts, resp};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::Shutdown;
use rpc::{Message, Response};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The oldest version that knows every option that it may be told: it skips what it does not know.
const OLDEST: (u64, u64) = (3, 17);

/// The longest response, in bytes.
const MESSAGE_MAX: usize = 40 << 10;

/// Which of the host's namespaces and files a process of CRIU works with.
struct Surroundings<'a> {
    /// The cgroup that it is born in; none: the caller's.
    cgroup: Option<BorrowedFd<'a>>,
    /// What it does first.
    prepare: &'a dyn Fn() -> Outcome,
    /// Descriptors that it gets beside standard ones.
    keep: Vec<BorrowedFd<'a>>,
    /// Folders that it opens in its mount namespace: it mounts in them.
    folders: Vec<&'a Path>,
    /// Whose standard output and error it has.
    output: Output,
}

/// Where what CRIU prints goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// To where the caller's does: these are what the restored process gets.
    Callers,
    /// Into the error, if there is no other.
    Kept,
}

impl Surroundings<'_> {
    /// The caller's, for a request that mounts nothing.
    fn callers() -> Self {
        Surroundings {
            cgroup: None,
            prepare: &|| Ok(()),
            keep: Vec::new(),
            folders: Vec::new(),
            output: Output::Kept,
        }
    }
}

/// A process of CRIU.
struct Criu {
    channel: OwnedFd,
    pidfd: OwnedFd,
    /// Those of the place, open in its mount namespace. It looks for them among this process's
    /// descriptors.
    folders: Vec<OwnedFd>,
    printed: OwnedFd,
}

/// Something that CRIU reports, and waits to be answered.
struct Report {
    script: String,
    pid: i32,
    fd: Option<OwnedFd>,
}

impl Criu {
    fn start(program: &Path, place: &Surroundings<'_>) -> Result<Criu> {
        let (channel, theirs) = socket::seqpacket_pair().context("socketpair")?;
        let printed = memfd_create(c"criu", MFdFlags::MFD_CLOEXEC).context("memfd_create")?;
        let string =
            |text: OsString| CString::new(text.into_vec()).context("NUL in a variable or an argument");
        let number = theirs.as_raw_fd().to_string();
        let words = [program.as_os_str().to_owned(), "swrk".into(), number.into()];
        let args = words.into_iter().map(string).collect::<Result<Vec<_>>>()?;
        let env = process::environment();
        match process::clone3(0, place.cgroup).context("clone3")? {
            Cloned::Child => {
                let said = become_criu(program, &args, &env, place, &theirs, &printed);
                // In CRIU's own words, as nobody else answers here.
                let mut failed = Message::default();
                failed.number(resp::TYPE, 0).number(resp::SUCCESS, 0).text(resp::ERROR_MESSAGE, said);
                let _ = socket::send(theirs.as_fd(), failed.bytes(), None);
                process::exit_now(127)
            }
            Cloned::Parent { pidfd, .. } => {
                drop(theirs);
                let mut criu = Criu { channel, pidfd, folders: Vec::new(), printed };
                match criu.take_folders(place.folders.len()) {
                    Ok(()) => Ok(criu),
                    Err(cause) => criu.end().and(Err(cause)),
                }
            }
        }
    }

    fn take_folders(&mut self, count: usize) -> Result<()> {
        while self.folders.len() < count {
            let (packet, fd) = self.hear()?;
            match fd {
                Some(folder) => self.folders.push(folder),
                None => bail!("{}", Response::read(&packet).unwrap_or_default().error),
            }
        }
        Ok(())
    }

    /// The next packet, and what came along.
    fn hear(&self) -> Result<(Vec<u8>, Option<OwnedFd>)> {
        let mut packet = vec![0; MESSAGE_MAX];
        let mut receive = || socket::receive(self.channel.as_fd(), &mut packet);
        let received = match receive() {
            // It has ended with a request unread; what it has said before is still there.
            Err(Errno::ECONNRESET) => receive(),
            received => received,
        };
        let received = received.context("recvmsg from CRIU")?;
        packet.truncate(received.length);
        Ok((packet, received.fd))
    }

    fn tell(&self, message: &Message) -> Result<()> {
        match socket::send(self.channel.as_fd(), message.bytes(), None) {
            // What it has said before it ended is still to be read.
            Err(Errno::EPIPE) => Ok(()),
            sent => sent.context("sendmsg to CRIU"),
        }
    }

    /// Have a request done, and answer what is reported meanwhile. What `report` finds wrong makes
    /// CRIU take everything back.
    fn ask(&self, request: &Message, report: &mut dyn FnMut(Report) -> Result<()>) -> Result<Response> {
        self.tell(request)?;
        let mut wrong = None;
        loop {
            let (packet, fd) = self.hear()?;
            if packet.is_empty() {
                return Err(
                    wrong.unwrap_or_else(|| anyhow!("CRIU has ended without an answer{}", self.printed()))
                );
            }
            let response = Response::read(&packet).context("CRIU's answer is not one")?;
            if response.kind != kind::NOTIFY || !response.success {
                return wrong.map_or(Ok(response), Err);
            }
            let told = report(Report { script: response.script, pid: response.pid, fd });
            let answer = rpc::notified(told.is_ok());
            wrong = wrong.or(told.err());
            self.tell(&answer)?;
        }
    }

    /// What it has printed, as the end of a message.
    fn printed(&self) -> String {
        let _ = nix::unistd::lseek(&self.printed, 0, nix::unistd::Whence::SeekSet);
        let text = fs::read_all(self.printed.as_fd(), MESSAGE_MAX).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim().replace('\n', "; ");
        if text.is_empty() { text } else { format!(": {text}") }
    }

    /// No more requests. Returns when it has ended.
    fn end(self) -> Result<Exit> {
        let _ = nix::sys::socket::shutdown(self.channel.as_raw_fd(), Shutdown::Write);
        drop(self.channel);
        process::wait(self.pidfd.as_fd()).context("waitid for CRIU")
    }
}

/// In the child. Returns what went wrong.
fn become_criu(
    program: &Path,
    args: &[CString],
    env: &[CString],
    place: &Surroundings<'_>,
    channel: &OwnedFd,
    printed: &OwnedFd,
) -> String {
    if let Err(refusal) = (place.prepare)() {
        return refusal.to_string();
    }
    for folder in &place.folders {
        let sent = fs::open(folder, fs::O_RDONLY | fs::O_DIRECTORY, 0)
            .and_then(|fd| socket::send(channel.as_fd(), b"folder", Some(fd.as_fd())));
        if let Err(errno) = sent {
            return format!("{}: {}", folder.display(), crate::sys::describe(errno));
        }
    }
    let become_it = || -> Outcome {
        if place.output == Output::Kept {
            process::replace_stdio(printed.as_fd(), 1).call(|| "dup2".into())?;
            process::replace_stdio(printed.as_fd(), 2).call(|| "dup2".into())?;
        }
        process::cloexec_from(3).call(|| "close_range".into())?;
        for fd in place.keep.iter().chain([&channel.as_fd()]) {
            process::keep_over_exec(fd.as_raw_fd()).call(|| "fcntl".into())?;
        }
        signal::reset_signals().call(|| "sigprocmask".into())?;
        Err(Refusal::kernel("execve", process::execve(&program.to_string_lossy(), args, env)))
    };
    match become_it() {
        Ok(()) => String::new(),
        Err(Refusal { call, errno, text }) => {
            Refusal { call: format!("{call} {}", program.display()), errno, text }.to_string()
        }
    }
}

/// Find the program, and ask whether it is one that knows what it will be told.
fn find(program: &Path) -> Result<PathBuf> {
    let found = if program.components().count() > 1 {
        Some(program.to_path_buf())
    } else {
        host::program(&program.to_string_lossy())
    };
    let Some(found) = found else {
        bail!("{}: executable file not found in $PATH (package criu, or --criu FILE)", program.display());
    };
    let criu = Criu::start(&found, &Surroundings::callers())?;
    let answer = criu.ask(&rpc::request(kind::VERSION, None), &mut |_| Ok(()));
    criu.end()?;
    let answer = answer.with_context(|| found.display().to_string())?;
    if !answer.success {
        bail!("{}: {}", found.display(), answer.error);
    }
    let ((major, minor), (at_least, and)) = (answer.version, OLDEST);
    if answer.version < OLDEST {
        bail!("{}: version {major}.{minor} is older than {at_least}.{and}", found.display());
    }
    Ok(found)
}

/// Make a folder for images or a log unless it is there.
fn make_folder(flag: &str, path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("{flag} {}", path.display()))
}

/// What a request says of the folders that CRIU works with, images first.
fn tell_folders(criu: &Criu, message: &mut Message) {
    let fields = [opts::IMAGES_DIR_FD, opts::WORK_DIR_FD];
    for (field, folder) in fields.into_iter().zip(&criu.folders) {
        message.number(field, folder.as_raw_fd() as u64);
    }
}

/// A new network namespace is restored without its devices, which hooks make. One that is joined is
/// left as it is.
fn tell_network(is_new: bool, message: &mut Message) {
    if is_new {
        message.number(opts::EMPTY_NAMESPACES, libc::CLONE_NEWNET as u64);
    }
}

/// What CRIU's log says of a failure.
fn failure(response: &Response, log: &Path) -> anyhow::Error {
    let text = host::read(log).unwrap_or_default();
    let mut said = errors(&text);
    if said.is_empty() {
        said = response.error.clone();
    }
    if said.is_empty() && response.errno != 0 {
        said = crate::sys::describe(Errno::from_raw(response.errno));
    }
    anyhow!("CRIU: {said} (its log: {})", log.display())
}

/// The first errors of a log: those that follow tell what they led to.
fn errors(log: &str) -> String {
    const FIRST: usize = 3;
    let errors = log.lines().filter_map(|line| {
        let (_, error) = line.split_once("Error (")?;
        let (place, text) = error.split_once("): ")?;
        // Where RLIMIT_NOFILE may not be raised it goes on.
        (!text.starts_with("rlimit: Can't setup RLIMIT_NOFILE")).then(|| format!("{text} ({place})"))
    });
    errors.take(FIRST).collect::<Vec<_>>().join("; ")
}

/// The mounts of the host's below those that come along with them, as the host has them now.
fn with_those_below(externals: &[External]) -> Result<Vec<External>> {
    let mounts = host::read("/proc/self/mountinfo")?;
    let mut all = externals.to_vec();
    for mount in mountinfo::mounts(&mounts) {
        all.extend(externals.iter().filter_map(|external| external.below(Path::new(&mount.target))));
    }
    Ok(all)
}

/// The number of the file that `path` leads to.
fn inode(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(path.metadata().with_context(|| path.display().to_string())?.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_errors_are_told() {
        let log = "(00.1) Warn  (criu/a.c:1): careful\n\
                   (00.2) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted\n\
                   (00.3) Error (criu/files-reg.c:1790): Can't lookup mount=27 for fd=1 path=/out\n\
                   (00.4) Error (criu/cr-dump.c:1681): Dump files (pid: 8330) failed with -1\n";
        let said = "Can't lookup mount=27 for fd=1 path=/out (criu/files-reg.c:1790); \
                    Dump files (pid: 8330) failed with -1 (criu/cr-dump.c:1681)";
        assert_eq!(errors(log), said);
        assert_eq!(errors("Error (\nError (x\n"), "");
    }
}
