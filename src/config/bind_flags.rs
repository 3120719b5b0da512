//! The flags of a bind mount, as runc has them: any that is named makes the mount have exactly
//! those that are named, whatever its source has; none leaves it as its source is. In a user
//! namespace what the source has is locked (mount_namespaces(7)): it stays, unless config.json
//! names its opposite, which is refused.

use crate::sys::mount::{Change, Reach, attr};

/// What `mounts[].options` names, as `MS_…` bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    pub set: u64,
    /// Named by their opposites.
    pub cleared: u64,
}

/// Flags that a user namespace may not clear, and the access times that it may not change.
const LOCKED: u64 = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
const TIMES: u64 = libc::MS_NOATIME | libc::MS_NODIRATIME | libc::MS_RELATIME | libc::MS_STRICTATIME;

/// Each option, what it names, and whether it is the opposite. The last ones are the file system's:
/// on a bind mount they say no more than that something was named.
const OPTIONS: &[(&str, u64, bool)] = &[
    ("ro", libc::MS_RDONLY, false),
    ("rw", libc::MS_RDONLY, true),
    ("nosuid", libc::MS_NOSUID, false),
    ("suid", libc::MS_NOSUID, true),
    ("nodev", libc::MS_NODEV, false),
    ("dev", libc::MS_NODEV, true),
    ("noexec", libc::MS_NOEXEC, false),
    ("exec", libc::MS_NOEXEC, true),
    ("nosymfollow", NOSYMFOLLOW, false),
    ("symfollow", NOSYMFOLLOW, true),
    ("noatime", libc::MS_NOATIME, false),
    ("atime", libc::MS_NOATIME, true),
    ("nodiratime", libc::MS_NODIRATIME, false),
    ("diratime", libc::MS_NODIRATIME, true),
    ("relatime", libc::MS_RELATIME, false),
    ("norelatime", libc::MS_RELATIME, true),
    ("strictatime", libc::MS_STRICTATIME, false),
    ("nostrictatime", libc::MS_STRICTATIME, true),
    ("sync", libc::MS_SYNCHRONOUS, false),
    ("async", libc::MS_SYNCHRONOUS, true),
    ("dirsync", libc::MS_DIRSYNC, false),
    ("lazytime", LAZYTIME, false),
    ("nolazytime", LAZYTIME, true),
    ("mand", libc::MS_MANDLOCK, false),
    ("nomand", libc::MS_MANDLOCK, true),
    ("iversion", libc::MS_I_VERSION, false),
    ("noiversion", libc::MS_I_VERSION, true),
    ("silent", libc::MS_SILENT, false),
    ("loud", libc::MS_SILENT, true),
];

/// Of <linux/mount.h>, where libc lacks them.
const NOSYMFOLLOW: u64 = 256;
const LAZYTIME: u64 = 1 << 25;

impl Flags {
    /// What the options name; none where they name nothing of a mount's.
    pub(super) fn named(options: &[String]) -> Option<Flags> {
        let mut flags = Flags::default();
        for option in options {
            match OPTIONS.iter().find(|(name, ..)| name == option) {
                Some((_, bits, false)) => {
                    flags.set |= bits;
                    flags.cleared &= !bits;
                }
                Some((_, bits, true)) => {
                    flags.set &= !bits;
                    flags.cleared |= bits;
                }
                None => {}
            }
        }
        (flags.set | flags.cleared != 0).then_some(flags)
    }

    /// What makes a mount have these and no others. Times stay as they are where none is named.
    pub fn exactly(&self) -> Change {
        let same = LOCKED & self.set;
        let mut change = Change { set: same, clear: LOCKED & !same, ..Change::default() };
        match self.set & NOSYMFOLLOW {
            0 => change.clear |= attr::NOSYMFOLLOW,
            _ => change.set |= attr::NOSYMFOLLOW,
        }
        if self.set & TIMES != 0 {
            change.clear |= attr::ATIME_MASK | attr::NODIRATIME;
            change.set |= times(self.set);
        }
        change
    }

    /// The same of a mount whose source has the flags `source`, which are locked; or those that
    /// would have to be cleared.
    pub fn within(&self, source: u64) -> Result<Change, String> {
        let times_change = self.set & TIMES != 0 && times(self.set) != times(source);
        if source & LOCKED & !self.set == 0 && !times_change {
            return Ok(self.exactly());
        }
        let refused = source & self.cleared & (LOCKED | TIMES);
        if refused != 0 {
            return Err(names(refused));
        }
        if self.set & TIMES != 0 && self.set & TIMES != source & TIMES {
            return Err(names(source & TIMES));
        }
        Ok(Flags { set: self.set | source & (LOCKED | TIMES), cleared: 0 }.exactly())
    }
}

/// What of the changes of a whole tree is locked, on a mount with the flags `source`.
pub fn refused_of_tree(changes: &[(Reach, Change)], source: u64) -> Option<String> {
    changes
        .iter()
        .filter(|(reach, _)| *reach == Reach::Tree)
        .find_map(|(_, change)| refused_of(change, source))
}

fn refused_of(change: &Change, source: u64) -> Option<String> {
    let cleared = source & LOCKED & change.clear & !change.set;
    let touches = change.clear & (attr::ATIME_MASK | attr::NODIRATIME) | change.set & attr::NODIRATIME;
    let after = times(source) & !change.clear | change.set & (attr::ATIME_MASK | attr::NODIRATIME);
    match (cleared, touches != 0 && after != times(source)) {
        (0, false) => None,
        (0, true) => Some(names(source & TIMES)),
        (cleared, _) => Some(names(cleared)),
    }
}

/// Access times as attributes. The kernel lets strict ones win, and takes relative ones where
/// neither is named.
fn times(flags: u64) -> u64 {
    let mode = match flags {
        _ if flags & libc::MS_STRICTATIME != 0 => attr::STRICTATIME,
        _ if flags & libc::MS_NOATIME != 0 => attr::NOATIME,
        _ => attr::RELATIME,
    };
    mode | if flags & libc::MS_NODIRATIME != 0 { attr::NODIRATIME } else { 0 }
}

/// As config.json has them.
pub fn names(flags: u64) -> String {
    let named = OPTIONS.iter().filter(|(_, bits, opposite)| !opposite && flags & bits != 0);
    named.map(|(name, ..)| *name).collect::<Vec<_>>().join(" ")
}
