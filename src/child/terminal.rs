//! The container's terminal: opened from its own devpts, bound on /dev/console, its other end given
//! to the parent.

use super::Init;
use super::paths::{self, Make};
use crate::channel::FromInit;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::{Console, Lookup};
use crate::sys::mount::{self, Reach};
use crate::sys::{fs, process as proc, tty};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

impl Init<'_> {
    pub(super) fn terminal(&self, (rows, columns): (u16, u16), uid: u32, console: Console) -> Outcome {
        let master = self.open_ptmx()?;
        let slave = tty::peer(master.as_fd()).call(|| "TIOCGPTPEER".into())?;
        if (rows, columns) != (0, 0) {
            tty::set_size(slave.as_fd(), tty::Size { rows, columns }).call(|| "TIOCSWINSZ".into())?;
        }
        if console == Console::Bound {
            self.bind_console(slave.as_fd())?;
        }
        fs::chown_fd(slave.as_fd(), uid, u32::MAX).call(|| "chown of the terminal".into())?;
        tty::set_controlling(slave.as_fd()).call(|| "TIOCSCTTY".into())?;
        for number in 0..3 {
            proc::replace_stdio(slave.as_fd(), number).call(|| "dup2".into())?;
        }
        self.inherited.channel.tell(&FromInit::Terminal(master)).call(|| "sendmsg".into())
    }

    fn bind_console(&self, slave: BorrowedFd<'_>) -> Outcome {
        let console = paths::open_or_make(self.root()?, "/dev/console", Make::File, Lookup::NoSymlinks)
            .call(|| "open /dev/console".into())?;
        let bind = mount::clone_tree_fd(slave, Reach::Top).call(|| "open_tree of the terminal".into())?;
        mount::move_mount(bind.as_fd(), console.as_fd()).call(|| "move_mount /dev/console".into())
    }

    /// /dev/pts/ptmx of the container, which must be a real one: a file that the image put there is
    /// not.
    fn open_ptmx(&self) -> Outcome<OwnedFd> {
        let flags = fs::O_RDWR | fs::O_NOCTTY;
        let ptmx = paths::open(self.root()?, "/dev/pts/ptmx", flags, Lookup::NoSymlinks)
            .call(|| "open /dev/pts/ptmx".into())?;
        let node = fs::stat_fd(ptmx.as_fd()).call(|| "fstat /dev/pts/ptmx".into())?;
        let devpts =
            mount::fs_magic(&ptmx).call(|| "fstatfs /dev/pts/ptmx".into())? == mount::DEVPTS_SUPER_MAGIC;
        if !devpts || node.st_rdev != fs::makedev(5, 2) {
            return Err(Refusal::message("/dev/pts/ptmx is not that of a devpts"));
        }
        Ok(ptmx)
    }
}
