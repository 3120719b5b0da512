//! Capabilities, capabilities(7): their names, which are those of the crate `caps`, and sets of
//! them.
//!
//! A kernel may know more than `caps` does. What has no name here is still in a set by its number,
//! so that it does not stay in a bounding set unseen.

use caps::Capability;
use std::fmt::{self, Display, Formatter};
use std::ops::{BitAnd, BitOr, Not};

/// How many capabilities a set can hold: the kernel's sets have 64 bits.
pub const MOST: u32 = 64;

/// A set of capabilities: bit n for number n, as the kernel has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// With these bits.
    pub const fn from_bits(bits: u64) -> Set {
        Set(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The same with the capability that has this number. One that no set can hold is left out.
    pub fn with(self, number: u32) -> Set {
        Set(self.0 | 1u64.checked_shl(number).unwrap_or(0))
    }

    /// The numbers of what is in it, in order.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..MOST).filter(move |number| self.0 & (1 << number) != 0)
    }
}

impl From<Capability> for Set {
    fn from(capability: Capability) -> Set {
        Set(capability.bitmask())
    }
}

impl BitAnd for Set {
    type Output = Set;

    fn bitand(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }
}

impl BitOr for Set {
    type Output = Set;

    fn bitor(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
}

impl Not for Set {
    type Output = Set;

    fn not(self) -> Set {
        Set(!self.0)
    }
}

/// The names in the order of their numbers, without `CAP_` and in lower case; a number where there
/// is no name.
impl Display for Set {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let short = |number: u32| match name(number) {
            Some(name) => name["CAP_".len()..].to_ascii_lowercase(),
            None => number.to_string(),
        };
        let names: Vec<String> = self.numbers().map(short).collect();
        if names.is_empty() { f.write_str("none") } else { f.write_str(&names.join(",")) }
    }
}

/// The number of the capability called `name`, as `CAP_CHOWN`.
pub fn number(name: &str) -> Option<u32> {
    name.parse::<Capability>().ok().map(|capability| capability.index().into())
}

/// The name of the capability with this number.
pub fn name(number: u32) -> Option<String> {
    let known = caps::all().into_iter().find(|capability| u32::from(capability.index()) == number)?;
    Some(known.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_belong_together() {
        let known: Vec<String> = (0..MOST).filter_map(name).collect();
        assert_eq!(
            (known.len(), known[0].as_str(), known[40].as_str()),
            (41, "CAP_CHOWN", "CAP_CHECKPOINT_RESTORE")
        );
        for (n, name) in (0..).zip(&known) {
            assert_eq!(number(name), Some(n), "{name}");
        }
        assert_eq!((number("CAP_FROB"), number("chown"), name(41)), (None, None, None));
    }

    #[test]
    fn what_has_no_name_is_in_a_set_all_the_same() {
        let set = Set::default().with(0).with(63).with(64);
        assert_eq!(set.bits(), 1 | 1 << 63);
        assert_eq!(set.to_string(), "chown,63");
        assert_eq!((!set).numbers().count(), 62);
        assert_eq!(Set::default().to_string(), "none");
    }
}
