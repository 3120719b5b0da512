//! /etc/passwd and /etc/group, passwd(5). As bytes: what is in an image need not be UTF-8.

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account<'a> {
    pub name: &'a [u8],
    pub uid: u32,
    /// Its group id; none where that is no number.
    pub gid: Option<u32>,
    /// Its home; none where the line ends before it.
    pub home: Option<&'a [u8]>,
}

/// All accounts, in order. A line without a user id is left out.
pub fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    passwd.split(|byte| *byte == b'\n').filter_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let uid = id(fields.get(2)?)?;
        let gid = fields.get(3).and_then(|gid| id(gid));
        Some(Account { name: fields[0], uid, gid, home: fields.get(5).copied() })
    })
}

/// Names, ids and members of the groups of /etc/group, group(5), in order.
pub fn groups(group: &[u8]) -> impl Iterator<Item = (&[u8], u32, Vec<&[u8]>)> {
    group.split(|byte| *byte == b'\n').filter_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let members = fields.get(3).map(|members| members.split(|byte| *byte == b',').collect());
        Some((fields[0], id(fields.get(2)?)?, members.unwrap_or_default()))
    })
}

/// An id: digits alone, and not the one that means none.
pub fn id(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read() {
        let text = b"root:x:0:0:root:/root:/bin/sh\nshort:x:7\nbad\n:x:x:0::/\n\xff:x:9:9::/\xff:\nplus:x:+1:0::/:\n";
        let found: Vec<Account<'_>> = accounts(text).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], Account { name: b"root", uid: 0, gid: Some(0), home: Some(b"/root") });
        assert_eq!(found[1], Account { name: b"short", uid: 7, gid: None, home: None });
        assert_eq!((found[2].name, found[2].home), (&b"\xff"[..], Some(&b"/\xff"[..])));
    }
}
