//! A detached copy of a host mount, which the parent or init makes.

use super::text::{change_text, device_letter};
use crate::config::bind_flags::{self, Flags};
use crate::config::{IdMaps, Symlink};
use crate::sys::mount::{Change, Reach};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// A detached copy of a host mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Its number among the copies.
    pub slot: usize,
    /// The host path.
    pub source: PathBuf,
    /// What is done if the host path ends in a symlink.
    pub symlink: Symlink,
    /// One mount or all below.
    pub reach: Reach,
    /// What is changed on it, in order.
    pub changes: Vec<(Reach, Change)>,
    /// The flags of a bind mount that names any, before what is changed.
    pub flags: Option<Flags>,
    /// Whether the flags of its source are not the container's to clear.
    pub locked: bool,
    /// How the ids of its files are mapped.
    pub id_map: Option<(Reach, IdSource)>,
    /// The device that it must be: type, major and minor number.
    pub device: Option<(u32, u32, u32)>,
}

/// The user namespace whose mappings an id-mapped mount takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdSource {
    Maps(IdMaps),
    /// The one that the container joins.
    Joined,
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let reach = if self.reach == Reach::Tree { "tree" } else { "mount" };
        write!(f, "copy #{} of {reach} {}", self.slot, self.source.display())?;
        match self.symlink {
            Symlink::Followed => {}
            Symlink::Meant => write!(f, " (a symlink is meant)")?,
            Symlink::Copied => write!(f, " (a symlink is copied)")?,
        }
        if let Some(flags) = &self.flags {
            let set = bind_flags::names(flags.set);
            write!(f, ", flags {}", if set.is_empty() { "none" } else { &set })?;
            if self.locked {
                write!(f, " beside those of its source")?;
            }
        }
        for (reach, change) in &self.changes {
            write!(f, ", ")?;
            change_text(f, *reach, *change)?;
        }
        if let Some((kind, major, minor)) = self.device {
            write!(f, ", if it is {} {major}:{minor}", device_letter(kind))?;
        }
        match &self.id_map {
            Some((reach, source)) => {
                write!(
                    f,
                    ", {}",
                    if *reach == Reach::Tree { "ids of the tree mapped " } else { "ids mapped " }
                )?;
                match source {
                    IdSource::Maps(maps) => write!(f, "{maps}"),
                    IdSource::Joined => write!(f, "as the joined user namespace does"),
                }
            }
            None => Ok(()),
        }
    }
}
