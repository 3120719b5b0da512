//! The files of an image as they lie: in a folder, or in a tar archive, which is read where they
//! are and never unpacked.

use super::tarball::{Kind, Reader};
use crate::sys::{self, fs};
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

/// The largest file of JSON that is read, in bytes.
pub(crate) const JSON_LIMIT: u64 = 16 << 20;

/// A part of a file, read from its start to its end without moving anybody's position.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    file: Rc<File>,
    at: u64,
    end: u64,
}

impl Section {
    pub(crate) fn size(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.size().min(buffer.len() as u64) as usize;
        let n = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Where the files of an image are.
#[derive(Debug)]
pub(crate) enum Files {
    Folder(OwnedFd),
    Archive { file: Rc<File>, members: HashMap<String, Member> },
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Member {
    /// Where it begins and how long it is.
    Data(u64, u64),
    /// The name of the file that it stands for.
    Link(String),
}

impl Files {
    pub(crate) fn open(path: &Path) -> Result<Files> {
        let fd = fs::open(path, fs::O_RDONLY | fs::O_NONBLOCK | fs::O_NOCTTY, 0)?;
        let stat = fs::stat_fd(fd.as_fd())?;
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => Ok(Files::Folder(fd)),
            libc::S_IFREG => {
                let file = Rc::new(File::from(fd));
                let members = members(&Section { file: Rc::clone(&file), at: 0, end: stat.st_size as u64 })?;
                Ok(Files::Archive { file, members })
            }
            _ => bail!("neither a folder nor a file"),
        }
    }

    /// The file `name`; none if it is not there.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Section>> {
        match self {
            Files::Folder(root) => {
                let inside = fs::RESOLVE_IN_ROOT | fs::RESOLVE_NO_MAGICLINKS;
                let flags = fs::O_RDONLY | fs::O_NONBLOCK | fs::O_NOCTTY;
                let fd = match fs::openat2(root.as_fd(), name, flags, 0, inside) {
                    Err(sys::Errno::ENOENT) => return Ok(None),
                    fd => fd.with_context(|| name.to_string())?,
                };
                let stat = fs::stat_fd(fd.as_fd())?;
                if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
                    bail!("{name}: not a regular file");
                }
                Ok(Some(Section { file: Rc::new(File::from(fd)), at: 0, end: stat.st_size as u64 }))
            }
            Files::Archive { file, members } => {
                let mut name = name;
                // Layers that images share are links in archives of old tools.
                for _ in 0..16 {
                    match members.get(name) {
                        None => return Ok(None),
                        Some(Member::Link(target)) => name = target,
                        Some(Member::Data(at, size)) => {
                            return Ok(Some(Section { file: Rc::clone(file), at: *at, end: at + size }));
                        }
                    }
                }
                bail!("{name}: too many links")
            }
        }
    }

    /// The file `name`, which must be there.
    pub(crate) fn get(&self, name: &str) -> Result<Section> {
        self.find(name)?.with_context(|| format!("{name} is missing"))
    }

    /// All of the JSON file `name`; none if it is not there.
    pub(crate) fn json(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(mut section) = self.find(name)? else { return Ok(None) };
        if section.size() > JSON_LIMIT {
            bail!("{name}: more than {} MiB", JSON_LIMIT >> 20);
        }
        let mut data = Vec::new();
        section.read_to_end(&mut data).with_context(|| name.to_string())?;
        Ok(Some(data))
    }
}

/// What is in an archive. Of files of the same name the last counts.
fn members(archive: &Section) -> Result<HashMap<String, Member>> {
    let mut start = [0; 6];
    let mut first = archive.clone();
    let n = first.read(&mut start)?;
    if start[..n].starts_with(&[0x1f, 0x8b]) || start[..n].starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        bail!("the archive is compressed; decompress it first, for files in it are read where they are");
    }
    let mut members = HashMap::new();
    let mut at = archive.at;
    while at < archive.end {
        let mut reader = Reader::new(Section { at, ..archive.clone() });
        let Some(entry) = reader.next_entry()? else { break };
        let (offset, size) = reader.extent();
        let data = at + offset;
        at = size.checked_next_multiple_of(512).and_then(|size| data.checked_add(size)).unwrap_or(u64::MAX);
        let name = plain(&entry.name);
        let member = match &entry.kind {
            Kind::File { pieces, .. } if pieces.len() == 1 && data + size <= archive.end => {
                Member::Data(data, size)
            }
            Kind::File { .. } => bail!("{name}: sparse, or longer than the archive"),
            Kind::Symlink(target) if target.starts_with(b"/") => Member::Link(plain(target)),
            Kind::Symlink(target) => {
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                Member::Link(plain(&[folder.as_bytes(), target].join(&b'/')))
            }
            Kind::HardLink(target) => Member::Link(plain(target)),
            _ => continue,
        };
        members.insert(name, member);
    }
    Ok(members)
}

/// A path in an archive without `.`, `..` and needless slashes.
fn plain(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}
