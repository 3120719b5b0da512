//! Mount options: one table, used to read `mounts[].options` and to say in `knarr features` what is
//! known.

use super::bind_flags::Flags;
use super::{Invalid, Propagation};
use crate::sys::mount::{Change, Reach, attr};

/// What an option does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Set a mount attribute, clearing others first.
    Set {
        set: u64,
        clear: u64,
    },
    /// As `Set`, on all mounts below too.
    SetTree {
        set: u64,
        clear: u64,
    },
    /// A flag of the superblock: a parameter of the filesystem; nothing on a bind mount.
    Superblock,
    /// Accepted; the kernel has no such thing, or it is the default.
    Nothing,
    Bind,
    BindTree,
    /// Change the mount that is there already.
    Remount,
    /// Copy the covered files into a tmpfs.
    CopyUp,
    Propagation,
    /// Map ids, of one mount or of a tree.
    IdMap(Reach),
    /// Bind a symlink, not what it leads to.
    SourceNoFollow,
    /// Mount on a symlink, not on what it leads to.
    TargetNoFollow,
    /// Where the source is a symlink, make one like it in place of a mount.
    CopySymlink,
}

use Effect::{Bind, BindTree, CopySymlink, CopyUp, IdMap, Nothing, Remount, Set, SetTree, Superblock};

const fn set(bits: u64) -> Effect {
    Set { set: bits, clear: 0 }
}

const fn clear(bits: u64) -> Effect {
    Set { set: 0, clear: bits }
}

const fn set_tree(bits: u64) -> Effect {
    SetTree { set: bits, clear: 0 }
}

const fn clear_tree(bits: u64) -> Effect {
    SetTree { set: 0, clear: bits }
}

/// The atime modes are one field of the attributes, not bits.
const fn atime(mode: u64) -> Effect {
    Set { set: mode, clear: attr::ATIME_MASK }
}

const fn atime_tree(mode: u64) -> Effect {
    SetTree { set: mode, clear: attr::ATIME_MASK }
}

/// Every option of config.md's table that is known here, in alphabetical order.
const TABLE: &[(&str, Effect)] = &[
    ("acl", Nothing),
    ("async", Superblock),
    ("atime", atime(attr::RELATIME)),
    ("bind", Bind),
    ("copy-symlink", CopySymlink),
    ("defaults", Nothing),
    ("dest-nofollow", Effect::TargetNoFollow),
    ("dev", clear(attr::NODEV)),
    ("diratime", clear(attr::NODIRATIME)),
    ("dirsync", Superblock),
    ("exec", clear(attr::NOEXEC)),
    ("idmap", IdMap(Reach::Top)),
    ("iversion", Nothing),
    ("lazytime", Superblock),
    ("loud", Nothing),
    ("mand", Nothing),
    ("noacl", Nothing),
    ("noatime", atime(attr::NOATIME)),
    ("nodev", set(attr::NODEV)),
    ("nodiratime", set(attr::NODIRATIME)),
    ("noexec", set(attr::NOEXEC)),
    ("noiversion", Nothing),
    ("nolazytime", Superblock),
    ("nomand", Nothing),
    ("norelatime", clear(0)),
    ("nostrictatime", atime(attr::RELATIME)),
    ("nosuid", set(attr::NOSUID)),
    ("nosymfollow", set(attr::NOSYMFOLLOW)),
    ("private", Effect::Propagation),
    ("ratime", atime_tree(attr::RELATIME)),
    ("rbind", BindTree),
    ("rdev", clear_tree(attr::NODEV)),
    ("rdiratime", clear_tree(attr::NODIRATIME)),
    ("relatime", atime(attr::RELATIME)),
    ("remount", Remount),
    ("rexec", clear_tree(attr::NOEXEC)),
    ("ridmap", IdMap(Reach::Tree)),
    ("rnoatime", atime_tree(attr::NOATIME)),
    ("rnodev", set_tree(attr::NODEV)),
    ("rnodiratime", set_tree(attr::NODIRATIME)),
    ("rnoexec", set_tree(attr::NOEXEC)),
    ("rnorelatime", atime_tree(attr::RELATIME)),
    ("rnostrictatime", atime_tree(attr::RELATIME)),
    ("rnosuid", set_tree(attr::NOSUID)),
    ("rnosymfollow", set_tree(attr::NOSYMFOLLOW)),
    ("ro", set(attr::RDONLY)),
    ("rprivate", Effect::Propagation),
    ("rrelatime", atime_tree(attr::RELATIME)),
    ("rro", set_tree(attr::RDONLY)),
    ("rrw", clear_tree(attr::RDONLY)),
    ("rshared", Effect::Propagation),
    ("rslave", Effect::Propagation),
    ("rstrictatime", atime_tree(attr::STRICTATIME)),
    ("rsuid", clear_tree(attr::NOSUID)),
    ("rsymfollow", clear_tree(attr::NOSYMFOLLOW)),
    ("runbindable", Effect::Propagation),
    ("rw", clear(attr::RDONLY)),
    ("shared", Effect::Propagation),
    ("silent", Nothing),
    ("slave", Effect::Propagation),
    ("src-nofollow", Effect::SourceNoFollow),
    ("strictatime", atime(attr::STRICTATIME)),
    ("suid", clear(attr::NOSUID)),
    ("symfollow", clear(attr::NOSYMFOLLOW)),
    ("sync", Superblock),
    ("tmpcopyup", CopyUp),
    ("unbindable", Effect::Propagation),
];

/// The names in the table.
pub const NAMES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = TABLE[i].0;
        i += 1;
    }
    names
};

/// What is done with a symlink at the end of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Symlink {
    #[default]
    Followed,
    /// It is what is meant.
    Meant,
    Copied,
}

/// Which kind of mount the options ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    New,
    /// A copy of what is there.
    Bind(Reach),
    /// A change of the mount at the destination.
    Remount,
}

/// `mounts[].options`, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Attributes of the mount.
    pub top: Change,
    /// Attributes of the mount and all below it.
    pub tree: Change,
    /// Propagation types, in order.
    pub propagation: Vec<(Reach, u64)>,
    /// Whether the covered files are copied.
    pub copy_up: bool,
    /// Whether ids are mapped, of one mount or of a tree.
    pub id_map: Option<Reach>,
    /// Whether a symlink as source is followed.
    pub source: Symlink,
    /// Whether a symlink as destination is followed.
    pub target: Symlink,
    /// Parameters of the filesystem.
    pub parameters: Vec<(String, Option<String>)>,
    /// The flags of a bind mount; none where the options name nothing of a mount's.
    pub flags: Option<Flags>,
}

fn apply(change: &mut Change, set: u64, clear: u64) {
    // The kernel clears first, so a bit in both ends up set; the atime field must be cleared whole.
    change.set = (change.set & !clear) | set;
    change.clear |= clear;
}

impl Options {
    /// Whether the mount can be read only.
    pub fn read_only(&self) -> bool {
        (self.top.set | self.tree.set) & attr::RDONLY != 0
    }

    /// Read the options of the mount at `field`. Later options win over earlier ones.
    pub fn parse(options: &[String], field: &str) -> Result<(Asked, Options), Invalid> {
        let (mut bind, mut remount) = (None, false);
        let mut read = Options { flags: Flags::named(options), ..Options::default() };
        // Podman writes an empty one for `--systemd`. In mount(2)'s list, with commas between, it
        // was nothing.
        for option in options.iter().filter(|option| !option.is_empty()) {
            let known = TABLE.binary_search_by_key(&option.as_str(), |(name, _)| name);
            match known.map(|at| TABLE[at].1) {
                Ok(Set { set, clear }) => apply(&mut read.top, set, clear),
                Ok(SetTree { set, clear }) => apply(&mut read.tree, set, clear),
                Ok(Superblock) => read.parameters.push((option.clone(), None)),
                Ok(Nothing) => {}
                Ok(Bind) => bind = bind.or(Some(Reach::Top)),
                Ok(BindTree) => bind = Some(Reach::Tree),
                Ok(Remount) => remount = true,
                Ok(CopyUp) => read.copy_up = true,
                Ok(Effect::SourceNoFollow) => read.source = Symlink::Meant,
                Ok(Effect::TargetNoFollow) => read.target = Symlink::Meant,
                Ok(CopySymlink) => read.source = Symlink::Copied,
                Ok(IdMap(reach)) => read.id_map = Some(reach),
                Ok(Effect::Propagation) => {
                    read.propagation.extend(Propagation::parse(option).map(reach_and_kind));
                }
                Err(_) => read.parameters.push(parameter(option, field)?),
            }
        }
        if bind.is_some() {
            read.drop_superblock_flags();
            if let Some((key, _)) = read.parameters.first() {
                let reason = format!("\"{key}\" is not an option of a bind mount");
                return Err(Invalid::new(format!("{field}.options"), reason));
            }
        }
        let asked = match bind {
            _ if remount => Asked::Remount,
            Some(reach) => Asked::Bind(reach),
            None => Asked::New,
        };
        Ok((asked, read))
    }

    /// The same of a bind mount, whose own flags are another matter.
    pub fn of_bind(&self) -> Vec<(Reach, Change)> {
        let own = Options { top: Change::default(), ..self.clone() };
        own.changes()
    }

    /// Attributes and propagation types as calls of mount_setattr(2), in order.
    pub fn changes(&self) -> Vec<(Reach, Change)> {
        let attributes = [(Reach::Top, self.top), (Reach::Tree, self.tree)];
        let propagation = self.propagation.iter();
        let propagation =
            propagation.map(|(reach, kind)| (*reach, Change { propagation: *kind, ..Change::default() }));
        attributes.into_iter().chain(propagation).filter(|(_, change)| *change != Change::default()).collect()
    }

    /// The flags of a superblock that a bind mount shares cannot be changed through it.
    fn drop_superblock_flags(&mut self) {
        self.parameters
            .retain(|(key, _)| !TABLE.iter().any(|(name, effect)| name == key && *effect == Superblock));
    }
}

fn parameter(option: &str, field: &str) -> Result<(String, Option<String>), Invalid> {
    match option.split_once('=') {
        Some(("idmap" | "ridmap", _)) => Err(Invalid::new(
            format!("{field}.options"),
            format!(
                "{option:?}: mappings stand in uidMappings and gidMappings of the mount, not in an option"
            ),
        )),
        Some((key, value)) => Ok((key.into(), Some(value.into()))),
        None => Ok((option.into(), None)),
    }
}

/// A propagation type as mount_setattr(2) takes it.
pub fn reach_and_kind(propagation: Propagation) -> (Reach, u64) {
    (if propagation.recursive { Reach::Tree } else { Reach::Top }, propagation.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<(Asked, Options), Invalid> {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        Options::parse(&options, "mounts[0]")
    }

    #[test]
    fn the_table_is_sorted_so_that_binary_search_finds_every_name() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn later_options_win() {
        let (_, read) = parse(&["ro", "nodev", "rw", "noatime", "strictatime"]).unwrap();
        assert_eq!(read.top.set, attr::NODEV | attr::STRICTATIME);
        assert_eq!(read.top.clear, attr::RDONLY | attr::ATIME_MASK);
    }

    #[test]
    fn an_empty_option_is_none() {
        assert_eq!(parse(&["", "ro"]).unwrap(), parse(&["ro"]).unwrap());
        assert!(parse(&["bind", ""]).is_ok());
    }

    #[test]
    fn an_unknown_option_belongs_to_the_filesystem_and_never_to_a_bind_mount() {
        let (_, read) = parse(&["size=64k", "frob"]).unwrap();
        assert_eq!(read.parameters, [("size".into(), Some("64k".into())), ("frob".into(), None)]);
        assert_eq!(
            parse(&["bind", "frob"]).unwrap_err().to_string(),
            "mounts[0].options: \"frob\" is not an option of a bind mount"
        );
        assert!(parse(&["rbind", "defaults", "sync"]).is_ok());
    }
}
