//! The id of a container, as whoever makes it names it: part of paths, units and messages, so it is
//! checked once, here.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::str::FromStr;

/// An id: 1 to 255 letters, digits, `_`, `+`, `-` and `.`, and neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

/// Why something is no id, in runc's words, which engines look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId(String);

impl Display for InvalidId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidId {}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(id: &str) -> Result<Id, InvalidId> {
        if id.is_empty() {
            return Err(InvalidId("container id is empty".into()));
        }
        if id.len() > 255 {
            return Err(InvalidId("container id is longer than 255 bytes".into()));
        }
        let is_plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-.".contains(&b));
        if !is_plain || id == "." || id == ".." {
            let allowed = "allowed are letters, digits, _, +, - and .";
            return Err(InvalidId(format!("invalid id format: {id:?} ({allowed})")));
        }
        Ok(Id(id.into()))
    }
}

impl Id {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<Path> for Id {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names() {
        for good in ["web", "a.b", "-x", "..a", "A_+-.9"] {
            assert_eq!(good.parse::<Id>().map(|id| id.to_string()), Ok(good.into()));
        }
        for bad in ["", ".", "..", "a/b", "a b", "\u{e4}", "a\0"] {
            assert!(bad.parse::<Id>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(255).parse::<Id>().is_ok());
        assert!("a".repeat(256).parse::<Id>().is_err());
    }
}
