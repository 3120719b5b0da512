//! Reading tar archives as a stream: ustar, pax, GNU and star headers, sparse files of all forms.
//!
//! Nothing is unpacked here. Names are bytes as they stand in the archive, not yet checked for
//! where they lead.

use super::pax::{self, Extended};
use std::fmt;
use std::io::{self, Read};

const BLOCK: usize = 512;

/// The longest extended header, name or map that is read, in bytes.
const SPECIAL_LIMIT: u64 = 1 << 20;

/// What is wrong with an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

/// An archive that is so.
pub fn malformed(what: &'static str) -> Malformed {
    Malformed(what)
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid tar archive: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for io::Error {
    fn from(err: Malformed) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, err)
    }
}

/// What an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of this size, whose data are these pieces, each an offset and a length;
    /// between them is nothing.
    File {
        /// With its holes.
        size: u64,
        /// Offsets and lengths.
        pieces: Vec<(u64, u64)>,
    },
    /// Another name for an entry.
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    /// Major and minor.
    CharDevice(u32, u32),
    /// Major and minor.
    BlockDevice(u32, u32),
    Directory,
    Fifo,
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it stands in the archive.
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Permissions, with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Names and values, each name once.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An archive that is read from the start to the end.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    /// Data of the current entry that was not read yet.
    data: u64,
    /// What comes between it and the next header.
    padding: u64,
    /// What was read in all.
    position: u64,
}

impl<R: Read> Reader<R> {
    /// Of the archive that this reads.
    pub fn new(inner: R) -> Self {
        Reader { inner, data: 0, padding: 0, position: 0 }
    }

    /// What it was made of, at the place that was read to.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Where the data of the current entry begin and how many bytes they are, before any is read.
    pub fn extent(&self) -> (u64, u64) {
        (self.position, self.data)
    }

    /// The next entry, none at the end. What was not read of the last one is skipped.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let (mut extended, mut name, mut link) = (Extended::default(), None, None);
        loop {
            self.skip_rest()?;
            let Some(block) = self.header_block()? else { return Ok(None) };
            let header = Header(&block);
            header.verify()?;
            let size = number(header.field(124, 12))?;
            let size = u64::try_from(size).map_err(|_| malformed("a size is negative"))?;
            match header.kind() {
                b'x' | b'X' => extended = pax::parse(&self.special(size)?)?,
                b'L' => name = Some(name_of(self.special(size)?)),
                b'K' => link = Some(name_of(self.special(size)?)),
                b'g' => drop(self.special(size)?),
                _ => {
                    // Those with an entry of their own count, in whatever order records come.
                    extended.path = name.or(extended.path);
                    extended.link = link.or(extended.link);
                    return self.entry(&header, size, extended).map(Some);
                }
            }
        }
    }

    /// Data of the current entry; none at its end.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.data.min(buffer.len() as u64) as usize;
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(malformed("it ends in the middle of a file").into());
        }
        self.data -= n as u64;
        self.position += n as u64;
        Ok(n)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self.data + self.padding;
        if rest > 0 && io::copy(&mut (&mut self.inner).take(rest), &mut io::sink())? < rest {
            return Err(malformed("it ends in the middle of a file").into());
        }
        self.position += rest;
        (self.data, self.padding) = (0, 0);
        Ok(())
    }

    /// A header; none at the end of the archive, which is a block of zeroes or just the end.
    fn header_block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(malformed("it ends in the middle of a header").into()),
                n => filled += n,
            }
        }
        self.position += BLOCK as u64;
        Ok(Some(block).filter(|block| block.iter().any(|byte| *byte != 0)))
    }

    fn data_follows(&mut self, size: u64) {
        self.data = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    /// The data of an entry that says something about the next one.
    fn special(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > SPECIAL_LIMIT {
            return Err(malformed("an extended header is longer than 1 MiB").into());
        }
        self.data_follows(size);
        let mut data = vec![0; size as usize];
        self.fill(&mut data)?;
        Ok(data)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_data(&mut buffer[filled..])? {
                0 => return Err(malformed("it ends in the middle of a file").into()),
                n => filled += n,
            }
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header<'_>, size: u64, mut extended: Extended) -> io::Result<Entry> {
        let size = extended.size.unwrap_or(size);
        if size > i64::MAX as u64 {
            return Err(malformed("a size is too large").into());
        }
        let name = extended.sparse.name.take().or(extended.path.take()).unwrap_or_else(|| header.name());
        let link = || extended.link.clone().unwrap_or_else(|| header.text(157, 100));
        let device = || -> Result<(u32, u32), Malformed> {
            let number = |at| id(None, header.field(at, 8), "a device number is too large");
            Ok((number(329)?, number(337)?))
        };
        let kind = match header.kind() {
            // Before POSIX a name with a slash at its end was a folder.
            0 if name.ends_with(b"/") => Kind::Directory,
            b'0' | b'7' | 0 => self.file(size, &extended)?,
            b'S' => self.gnu_sparse(header, size)?,
            b'1' => Kind::HardLink(link()),
            b'2' => Kind::Symlink(link()),
            b'3' => device().map(|(major, minor)| Kind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => return Err(malformed("an entry is of an unknown type").into()),
        };
        let mtime = match extended.mtime {
            Some(time) => time,
            None => (number(header.field(136, 12))?, 0),
        };
        Ok(Entry {
            name,
            kind,
            mode: (number(header.field(100, 8))? & 0o7777) as u32,
            uid: id(extended.uid, header.field(108, 8), "an owner is no id")?,
            gid: id(extended.gid, header.field(116, 8), "a group is no id")?,
            mtime,
            xattrs: extended.xattrs,
        })
    }

    fn file(&mut self, size: u64, extended: &Extended) -> io::Result<Kind> {
        self.data_follows(size);
        let sparse = &extended.sparse;
        if !sparse.any {
            return Ok(Kind::File { size, pieces: vec![(0, size)] });
        }
        let numbers = if sparse.major == 1 { self.sparse_map()? } else { sparse.numbers.clone() };
        let real = sparse.size.ok_or(malformed("a sparse file has no size"))?;
        Ok(self.pieces(real, &numbers)?)
    }

    /// The map of form 1.0: lines of numbers before the data, filled up to a block. The first is
    /// how many pieces there are.
    fn sparse_map(&mut self) -> io::Result<Vec<u64>> {
        let (mut numbers, mut line, mut count) = (Vec::new(), Vec::new(), None);
        let mut block = [0; BLOCK];
        let mut taken = 0;
        loop {
            taken += BLOCK as u64;
            if taken > SPECIAL_LIMIT {
                return Err(malformed("the map of a sparse file is longer than 1 MiB").into());
            }
            self.fill(&mut block)?;
            for byte in block {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let number = decimal(&std::mem::take(&mut line))?;
                match count {
                    None => count = Some(number),
                    Some(_) => numbers.push(number),
                }
                if count.is_some_and(|count| numbers.len() as u64 / 2 >= count) {
                    return Ok(numbers);
                }
            }
        }
    }

    /// The map of the old GNU form: in the header, and in blocks after it.
    fn gnu_sparse(&mut self, header: &Header<'_>, size: u64) -> io::Result<Kind> {
        let real = number(header.field(483, 12))?;
        let real = u64::try_from(real).map_err(|_| malformed("a size is negative"))?;
        let (mut numbers, mut more) = (Vec::new(), header.0[482]);
        let mut take = |map: &[u8]| -> Result<(), Malformed> {
            for field in map.chunks_exact(12).take_while(|field| field[0] != 0) {
                numbers.push(u64::try_from(number(field)?).map_err(|_| malformed("an offset is negative"))?);
            }
            Ok(())
        };
        take(header.field(386, 96))?;
        let mut taken = 0;
        while more != 0 {
            taken += BLOCK as u64;
            if taken > SPECIAL_LIMIT {
                return Err(malformed("the map of a sparse file is longer than 1 MiB").into());
            }
            let block = self.header_block()?.ok_or(malformed("the map of a sparse file ends too early"))?;
            take(&block[..504])?;
            more = block[504];
        }
        self.data_follows(size);
        Ok(self.pieces(real, &numbers)?)
    }

    /// The pieces that a map names, if they are in order and are all of the data.
    fn pieces(&self, size: u64, numbers: &[u64]) -> Result<Kind, Malformed> {
        let bad = malformed("the map of a sparse file does not fit its data");
        let (mut end, mut sum, mut pieces) = (0u64, 0u64, Vec::new());
        for pair in numbers.chunks(2) {
            let [offset, length] = *pair else { return Err(bad) };
            let Some(to) = offset.checked_add(length) else { return Err(bad) };
            if offset < end || to > size {
                return Err(bad);
            }
            (end, sum) = (to, sum + length);
            pieces.push((offset, length));
        }
        if sum != self.data || size > i64::MAX as u64 { Err(bad) } else { Ok(Kind::File { size, pieces }) }
    }
}

/// The block before an entry's data.
struct Header<'a>(&'a [u8; BLOCK]);

impl Header<'_> {
    fn field(&self, at: usize, length: usize) -> &[u8] {
        &self.0[at..at + length]
    }

    fn text(&self, at: usize, length: usize) -> Vec<u8> {
        name_of(self.field(at, length).to_vec())
    }

    fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The sum of all bytes, the sum's own counted as spaces. Old writers added signed ones.
    fn verify(&self) -> Result<(), Malformed> {
        let own = 148..156;
        let bytes = self.0.iter().enumerate().map(|(at, byte)| if own.contains(&at) { b' ' } else { *byte });
        let unsigned: i64 = bytes.clone().map(i64::from).sum();
        let signed: i64 = bytes.map(|byte| i64::from(byte as i8)).sum();
        let said = number(self.field(148, 8))?;
        if said == unsigned || said == signed {
            Ok(())
        } else {
            Err(malformed("a header's checksum is wrong"))
        }
    }

    fn name(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        let prefix = match self.field(257, 6) {
            b"ustar\0" if self.field(508, 4) == b"tar\0" => self.text(345, 131),
            b"ustar\0" => self.text(345, 155),
            _ => Vec::new(),
        };
        if prefix.is_empty() { name } else { [prefix, name].join(&b'/') }
    }
}

/// A text up to its NUL.
fn name_of(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// A number of a header: octal digits, or binary where the first bit is set. An empty field is 0.
fn number(field: &[u8]) -> Result<i64, Malformed> {
    let bad = || malformed("a number in a header is malformed");
    if field[0] & 0x80 != 0 {
        // The sign is the second bit.
        let first =
            if field[0] & 0x40 != 0 { i128::from(field[0] as i8) } else { i128::from(field[0] & 0x7f) };
        let value = field[1..].iter().fold(first, |value, byte| (value << 8) | i128::from(*byte));
        return i64::try_from(value).map_err(|_| bad());
    }
    let text = std::str::from_utf8(field).map_err(|_| bad())?;
    let text = text.split('\0').next().unwrap_or_default().trim_matches(' ');
    if text.is_empty() { Ok(0) } else { i64::from_str_radix(text, 8).map_err(|_| bad()) }
}

/// An id or device number of 32 bits, from a pax record or the header.
fn id(extended: Option<u64>, field: &[u8], error: &'static str) -> Result<u32, Malformed> {
    let value = match extended {
        Some(value) => value,
        None => u64::try_from(number(field)?).map_err(|_| malformed(error))?,
    };
    u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or(malformed(error))
}

/// A number in decimal digits.
pub fn decimal(text: &[u8]) -> Result<u64, Malformed> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok()).ok_or(malformed("a number in a pax record is malformed"))
}
