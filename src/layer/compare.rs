//! A file of a layer and the machine's of the same path: what differs.

use super::{About, Change, Content, Kind, What, open, shown};
use crate::sys::fs;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How much is looked at to tell text from the rest.
const SAMPLE: usize = 8192;

/// Both files.
pub(super) struct Sides<'a> {
    pub(crate) machine: BorrowedFd<'a>,
    /// The folder of the layer's file.
    pub(crate) folder: BorrowedFd<'a>,
    pub(crate) path: &'a Path,
}

impl Sides<'_> {
    fn ours(&self) -> Result<File> {
        let name = self.path.file_name().unwrap_or_default().as_bytes();
        let flags = fs::O_RDONLY | fs::O_NOFOLLOW | fs::O_NONBLOCK;
        Ok(File::from(fs::openat(self.folder, name, flags, 0).context("open")?))
    }

    fn theirs(&self) -> Result<File> {
        Ok(File::from(open(self.machine, self.path, fs::O_RDONLY | fs::O_NONBLOCK).context("open")?))
    }

    fn link(&self) -> Result<Vec<u8>> {
        let name = self.path.file_name().unwrap_or_default();
        Ok(nix::fcntl::readlinkat(self.folder, name).context("readlinkat")?.into_encoded_bytes())
    }
}

/// Whether what is in them differs, and how it can be told.
pub(super) fn content(sides: &Sides<'_>, before: Option<About>, after: About) -> Result<Content> {
    let before = before.filter(|before| before.kind == after.kind);
    match after.kind {
        Kind::File => {}
        Kind::Symlink => {
            let Some(_) = before else { return Ok(Content::Text) };
            let old: OwnedFd = open(sides.machine, sides.path, fs::O_PATH).context("open")?;
            let old = nix::fcntl::readlinkat(&old, "").context("readlinkat")?.into_encoded_bytes();
            return Ok(if sides.link()? == old { Content::Same } else { Content::Text });
        }
        _ => return Ok(Content::Same),
    }
    let mut ours = sides.ours()?;
    let Some(before) = before else { return Ok(kind_of(&[&sample(&mut ours)?])) };
    let mut theirs = sides.theirs()?;
    let samples = [sample(&mut ours)?, sample(&mut theirs)?];
    if before.size == after.size && samples[0] == samples[1] && rest_is_same(ours, theirs)? {
        return Ok(Content::Same);
    }
    Ok(kind_of(&[&samples[0], &samples[1]]))
}

fn sample(file: &mut File) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    file.take(SAMPLE as u64).read_to_end(&mut data).context("read")?;
    Ok(data)
}

fn rest_is_same(mut a: File, mut b: File) -> Result<bool> {
    loop {
        let (one, other) = (chunk(&mut a)?, chunk(&mut b)?);
        if one != other {
            return Ok(false);
        }
        if one.is_empty() {
            return Ok(true);
        }
    }
}

fn chunk(file: &mut File) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    file.take(1 << 20).read_to_end(&mut data).context("read")?;
    Ok(data)
}

/// Text has no NUL.
fn kind_of(samples: &[&[u8]]) -> Content {
    if samples.iter().any(|sample| sample.contains(&0)) { Content::Binary } else { Content::Text }
}

/// A line for people: a letter, the path, and what is another.
pub(crate) fn line(change: &Change) -> String {
    let letter = match change.what {
        What::Added => 'A',
        What::Changed => 'C',
        What::Removed => 'D',
    };
    format!("{letter} {}  {}", shown(&change.path), details(change).join(", "))
}

fn details(change: &Change) -> Vec<String> {
    match (change.before, change.after) {
        (Some(before), Some(after)) => differences(before, after, change.content),
        (None, Some(about)) | (Some(about), None) => {
            let mut words = vec![name(about.kind).to_string(), format!("mode {:04o}", about.mode)];
            words.push(format!("owner {}:{}", about.uid, about.gid));
            if about.kind == Kind::File {
                words.push(format!("{} bytes", about.size));
                words.extend(change.after.map(|_| text_or_not(change.content).to_string()));
            }
            words
        }
        (None, None) => Vec::new(),
    }
}

fn differences(before: About, after: About, content: Content) -> Vec<String> {
    let mut words = Vec::new();
    if before.kind != after.kind {
        words.push(format!("{}, was {}", name(after.kind), name(before.kind)));
    }
    if before.mode != after.mode && after.kind != Kind::Symlink {
        words.push(format!("mode {:04o}, was {:04o}", after.mode, before.mode));
    }
    if before.owner() != after.owner() && after.kind != Kind::Symlink {
        words.push(format!("owner {}:{}, was {}:{}", after.uid, after.gid, before.uid, before.gid));
    }
    if content != Content::Same && after.kind == Kind::File {
        words.push(format!("{} bytes, was {}", after.size, before.size));
    }
    if content != Content::Same {
        words.push(if after.kind == Kind::Symlink { "leads elsewhere" } else { text_or_not(content) }.into());
    }
    words
}

fn text_or_not(content: Content) -> &'static str {
    if content == Content::Binary { "binary" } else { "text" }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Folder => "folder",
        Kind::File => "file",
        Kind::Symlink => "symlink",
        Kind::Fifo => "FIFO",
        Kind::Socket => "socket",
        Kind::Device => "device",
    }
}
