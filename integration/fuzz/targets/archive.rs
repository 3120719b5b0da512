//! Archives and the extended headers in them: what this reader and the tar crate both read is the
//! same.

use knarr::image::pax;
use knarr::image::tarball::{Entry, Kind, Reader};
use tar::{EntryType, PaxExtensions};

const BLOCK: usize = 512;

/// The archive as it is, and with the sums that its headers should have.
pub fn archive(input: &[u8]) {
    both(input);
    let mut summed = input.to_vec();
    sum_up(&mut summed);
    if summed != input {
        both(&summed);
    }
}

/// Give each block that looks like a header the sum that it should have.
fn sum_up(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// An entry, and the data of it that are in the archive.
type Read = (Entry, Vec<u8>);

fn ours(archive: &[u8]) -> (Vec<Read>, bool) {
    let mut reader = Reader::new(archive);
    let mut entries = Vec::new();
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => {
                let mut data = Vec::new();
                let mut buffer = [0; 700];
                loop {
                    match reader.read_data(&mut buffer) {
                        Ok(0) => break,
                        Ok(n) => data.extend_from_slice(&buffer[..n]),
                        Err(_) => return (entries, false),
                    }
                }
                if let Kind::File { size, pieces } = &entry.kind {
                    let fits = pieces
                        .iter()
                        .all(|(at, length)| at.checked_add(*length).is_some_and(|end| end <= *size));
                    let sum: u64 = pieces.iter().map(|(_, length)| length).sum();
                    assert!(fits && sum == data.len() as u64, "{entry:?}: {} bytes of data", data.len());
                }
                entries.push((entry, data));
            }
            Ok(None) => return (entries, true),
            Err(_) => return (entries, false),
        }
    }
}

/// Whether both say the same of an entry; false where they do not read on at the same place, or the
/// referee does not claim to read such.
fn same(ours: &Read, theirs: &mut tar::Entry<'_, &[u8]>) -> bool {
    let (entry, data) = ours;
    let (header, size) = (theirs.header().clone(), theirs.size());
    let kind = header.entry_type();
    let block = header.as_bytes();
    // The version of ustar is not asked here; star has a longer time in place of the prefix's end.
    let is_ustar = block[257..263] == *b"ustar\0";
    let foreign = is_ustar && (block[263..265] != *b"00" || block[508..] == *b"tar\0");
    if foreign || kind == EntryType::GNUSparse || !has_plain_records(theirs) {
        return false;
    }
    let link = theirs.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
    let name = theirs.path_bytes().into_owned();
    assert_eq!(names(&entry.name), names(&name), "name");
    match &entry.kind {
        Kind::File { .. } => assert!(kind.is_file() || kind == EntryType::Continuous, "{kind:?}"),
        Kind::HardLink(target) => assert_eq!((kind, names(target)), (EntryType::Link, names(&link))),
        Kind::Symlink(target) => assert_eq!((kind, names(target)), (EntryType::Symlink, names(&link))),
        Kind::CharDevice(..) => assert_eq!(kind, EntryType::Char),
        Kind::BlockDevice(..) => assert_eq!(kind, EntryType::Block),
        Kind::Directory => assert!(kind.is_dir() || name.ends_with(b"/"), "{kind:?}"),
        Kind::Fifo => assert_eq!(kind, EntryType::Fifo),
    }
    if let Ok(mode) = header.mode() {
        assert_eq!(entry.mode, mode & 0o7777, "mode");
    }
    for (own, said) in [(entry.uid, header.uid()), (entry.gid, header.gid())] {
        assert!(said.is_err() || said.is_ok_and(|said| said == u64::from(own)), "owner");
    }
    if !matches!(entry.kind, Kind::File { .. }) {
        // What only a file can have: here, and by those who make images, it is taken to have none.
        return size == 0;
    }
    let mut content = Vec::new();
    if std::io::Read::read_to_end(theirs, &mut content).is_ok() {
        assert_eq!(*data, content, "data");
    }
    true
}

/// The names in a path, up to a NUL.
fn names(path: &[u8]) -> Vec<&[u8]> {
    let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect()
}

/// Whether the entry has no records, or such as the referee reads as POSIX says: each name once, no
/// newline in a value, nothing of sparse files.
fn has_plain_records(entry: &mut tar::Entry<'_, &[u8]>) -> bool {
    let Ok(records) = entry.pax_extensions() else { return false };
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for record in records.into_iter().flatten() {
        let Ok(record) = record else { return false };
        let key = record.key_bytes().to_vec();
        let numbers = [&b"size"[..], b"uid", b"gid"].contains(&key.as_slice());
        if seen.contains(&key)
            || key.starts_with(b"GNU.sparse.")
            || record.value_bytes().contains(&0)
            || numbers && !record.value_bytes().iter().all(u8::is_ascii_digit)
        {
            return false;
        }
        seen.push(key);
    }
    true
}

fn both(archive: &[u8]) {
    let (ours, whole) = ours(archive);
    let mut referee = tar::Archive::new(archive);
    let Ok(entries) = referee.entries() else { return };
    let mut ours = ours.iter();
    for theirs in entries {
        let Ok(mut theirs) = theirs else { return };
        match theirs.header().entry_type() {
            // These are passed over here.
            EntryType::XGlobalHeader => continue,
            // Without a magic it takes them for files, as what it does not know.
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader => return,
            _ if !b"01234567S\0".contains(&theirs.header().as_bytes()[156]) => return,
            _ => {}
        }
        match ours.next() {
            Some(ours) if same(ours, &mut theirs) => {}
            Some(_) => return,
            None => {
                assert!(!whole, "the referee reads one more: {:?}", theirs.path_bytes());
                return;
            }
        }
    }
    assert!(!whole || ours.next().is_none(), "the referee reads fewer");
}

/// The records of one header.
pub fn pax(input: &[u8]) {
    let Ok(ours) = pax::parse(input) else { return };
    // No value may hold a newline, or the referee parts there; nor NULs, at which it does not end.
    let records: Result<Vec<_>, _> = PaxExtensions::new(input).collect();
    let Ok(records) = records else { return };
    let length: usize = records.iter().map(|r| r.key_bytes().len() + r.value_bytes().len()).sum();
    if length == 0 || input.contains(&0) {
        return;
    }
    let last = |key: &str| {
        records.iter().rev().find(|r| r.key_bytes() == key.as_bytes()).map(|r| r.value_bytes().to_vec())
    };
    if ours.xattrs.iter().any(|(name, value)| name.contains(&b'\n') || value.contains(&b'\n')) {
        return;
    }
    let newline = |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|value| value.contains(&b'\n'));
    if newline(&ours.path) || newline(&ours.link) || newline(&ours.sparse.name) {
        return;
    }
    assert_eq!(ours.path, last("path"), "path");
    assert_eq!(ours.link, last("linkpath"), "link");
    let number = |key: &str| last(key).and_then(|text| String::from_utf8(text).ok()?.parse::<u64>().ok());
    assert_eq!((ours.size, ours.uid, ours.gid), (number("size"), number("uid"), number("gid")));
    for (name, value) in &ours.xattrs {
        let key = [b"SCHILY.xattr.", name.as_slice()].concat();
        let said = records.iter().rev().find(|r| r.key_bytes() == key).map(tar::PaxExtension::value_bytes);
        assert_eq!(said, Some(value.as_slice()), "attribute");
    }
}
