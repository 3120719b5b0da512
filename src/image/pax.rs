//! Extended headers of pax archives (POSIX.1-2017, pax, "pax Extended Header"): records `LENGTH
//! KEY=VALUE\n`.
//!
//! A value is bytes of any kind, newlines too, as attributes have them.

use super::tarball::{Malformed, decimal, malformed};

/// What the records before an entry say about it. What they do not say is none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Extended {
    /// `path`
    pub path: Option<Vec<u8>>,
    /// `linkpath`
    pub link: Option<Vec<u8>>,
    /// Of the data in the archive.
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    /// Seconds and nanoseconds.
    pub mtime: Option<(i64, i64)>,
    /// Names and values, each name once.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a file with holes.
    pub sparse: Sparse,
}

/// The records `GNU.sparse.*`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sparse {
    /// Of the file; the header names another.
    pub name: Option<Vec<u8>>,
    /// The size of the file with its holes.
    pub size: Option<u64>,
    /// The form: 1 has its map before the data.
    pub major: u64,
    /// Offsets and lengths in turn, of the forms 0.0 and 0.1.
    pub numbers: Vec<u64>,
    /// Whether there was any such record.
    pub any: bool,
}

/// Parse the records of one header.
pub fn parse(mut data: &[u8]) -> Result<Extended, Malformed> {
    let mut extended = Extended::default();
    // Some writers fill up with NUL.
    while data.first().is_some_and(|byte| *byte != 0) {
        let (key, value, rest) = record(data).ok_or(malformed("a pax record is malformed"))?;
        extended.take(key, value)?;
        data = rest;
    }
    // Of several of one name the last one counts. There may be as many as the header is long.
    extended.xattrs.reverse();
    extended.xattrs.sort_by(|(a, _), (b, _)| a.cmp(b));
    extended.xattrs.dedup_by(|(later, _), (kept, _)| later == kept);
    Ok(extended)
}

fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let text = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], &data[length..]))
}

impl Extended {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        let sparse = &mut self.sparse;
        sparse.any |= key.starts_with(b"GNU.sparse.");
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"GNU.sparse.name" => sparse.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => sparse.size = Some(decimal(value)?),
            b"GNU.sparse.major" => sparse.major = decimal(value)?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => sparse.numbers.push(decimal(value)?),
            b"GNU.sparse.map" => {
                sparse.numbers = value
                    .split(|byte| *byte == b',')
                    .filter(|number| !number.is_empty())
                    .map(decimal)
                    .collect::<Result<_, _>>()?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Seconds since 1970, with a fraction, as `1700000000.5` or `-0.25`.
fn time(text: &[u8]) -> Result<(i64, i64), Malformed> {
    let bad = || malformed("a pax time is malformed");
    let text = std::str::from_utf8(text).map_err(|_| bad())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let seconds: i64 = whole.parse().map_err(|_| bad())?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i64 = digits.parse().map_err(|_| bad())?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Ok((seconds.saturating_sub(1), 1_000_000_000 - nanoseconds));
    }
    Ok((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::{parse, time};

    #[test]
    fn values_are_bytes_of_any_kind() {
        let records = b"24 SCHILY.xattr.a=\n\0\xff\n=\n11 path=\xc3\xa4\n20 mtime=1700000.25\n";
        let extended = parse(records).unwrap();
        assert_eq!(extended.xattrs, [(b"a".to_vec(), b"\n\0\xff\n=".to_vec())]);
        assert_eq!(extended.path.as_deref(), Some("ä".as_bytes()));
        assert_eq!(extended.mtime, Some((1_700_000, 250_000_000)));
    }

    #[test]
    fn of_several_attributes_of_a_name_the_last_one_counts() {
        let extended = parse(b"20 SCHILY.xattr.b=1\n20 SCHILY.xattr.a=2\n20 SCHILY.xattr.b=3\n").unwrap();
        assert_eq!(extended.xattrs, [(b"a".to_vec(), b"2".to_vec()), (b"b".to_vec(), b"3".to_vec())]);
    }

    #[test]
    fn a_header_of_many_attributes_costs_no_more_than_its_length() {
        let records: Vec<u8> =
            (0..45_000).flat_map(|n| format!("23 SCHILY.xattr.{n:05}=\n").into_bytes()).collect();
        let started = std::time::Instant::now();
        assert_eq!(parse(&records).unwrap().xattrs.len(), 45_000);
        // A comparison of each with each takes seconds.
        assert!(started.elapsed() < std::time::Duration::from_millis(700), "{:?}", started.elapsed());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for records in ["5 a=b\n", "7 a=b\n", "x a=b\n", "6 a=b ", "99999999999999999999999 a=b\n", "6 aab\n"]
        {
            assert!(parse(records.as_bytes()).is_err(), "{records}");
        }
        assert_eq!(time(b"-0.25").unwrap(), (-1, 750_000_000));
        assert!(time(b"1.x").is_err());
    }
}
