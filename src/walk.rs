//! The walk along a path below some root, where the kernel cannot be left to it: because what is
//! missing is made, or looked for in several folders at once.
//!
//! It deals with `.`, `..`, repeated slashes and symlinks as path_resolution(7) does; `..` at the
//! root stays there, and an absolute symlink begins at the root again. What a name leads to is the
//! caller's to find.

use crate::sys::{Errno, Result};

/// How many symlinks one path may lead through, as in the kernel (path_resolution(7)).
const LINK_LIMIT: usize = 40;

/// A walk. `T` is what the caller holds of each folder on the way, as a descriptor.
#[derive(Debug)]
pub struct Walk<T> {
    /// The folders below the root, the last one at the end.
    way: Vec<T>,
    /// The names that are still to come, the next one at the end.
    names: Vec<Vec<u8>>,
    links: usize,
}

impl<T> Walk<T> {
    /// A walk along `path`, which begins at the root.
    pub fn along(path: &[u8]) -> Self {
        Walk { way: Vec::new(), names: names(path).collect(), links: 0 }
    }

    /// The next name, to be looked up in the folder `here`; none at the end of the path.
    pub fn next_name(&mut self) -> Option<Vec<u8>> {
        loop {
            let name = self.names.pop()?;
            if name != b".." {
                return Some(name);
            }
            self.way.pop();
        }
    }

    /// The folder that the walk has come to; none is the root.
    pub fn here(&self) -> Option<&T> {
        self.way.last()
    }

    /// How many folders below the root that is.
    pub fn depth(&self) -> usize {
        self.way.len()
    }

    /// Whether no name is left after the one that came last.
    pub fn is_at_last(&self) -> bool {
        self.names.is_empty()
    }

    /// Go on in `folder`, which the last name led to.
    pub fn enter(&mut self, folder: T) {
        self.way.push(folder);
    }

    /// Go on along the target of a symlink, which the last name led to. ELOOP if there were too
    /// many.
    pub fn follow(&mut self, target: &[u8]) -> Result<()> {
        self.links += 1;
        if self.links > LINK_LIMIT {
            return Err(Errno::ELOOP);
        }
        if target.starts_with(b"/") {
            self.way.clear();
        }
        self.names.extend(names(target));
        Ok(())
    }

    /// What the walk has come to; none is the root.
    pub fn end(mut self) -> Option<T> {
        self.way.pop()
    }
}

/// The names of a path, the last one first.
fn names(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let names = path.split(|byte| *byte == b'/').rev();
    names.filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walk where each name is a folder but for those that `links` has targets of.
    fn walk(path: &str, links: &[(&str, &str)]) -> Result<String> {
        let mut walk = Walk::along(path.as_bytes());
        while let Some(name) = walk.next_name() {
            let name = String::from_utf8_lossy(&name).into_owned();
            let here = walk.here().map_or("", String::as_str);
            let path = format!("{here}/{name}");
            match links.iter().find(|(link, _)| *link == path) {
                Some((_, target)) => walk.follow(target.as_bytes())?,
                None => walk.enter(path),
            }
        }
        Ok(walk.end().unwrap_or_else(|| "/".into()))
    }

    #[test]
    fn dots_and_slashes_are_resolved_and_the_root_is_its_own_parent() {
        assert_eq!(walk("//a/./b/../c/", &[]), Ok("/a/c".into()));
        assert_eq!(walk("../../a", &[]), Ok("/a".into()));
        assert_eq!(walk("/a/..", &[]), Ok("/".into()));
    }

    #[test]
    fn links_go_on_from_their_folder_or_from_the_root() {
        assert_eq!(walk("/a/l/x", &[("/a/l", "b/../c")]), Ok("/a/c/x".into()));
        assert_eq!(walk("/a/l/x", &[("/a/l", "/b")]), Ok("/b/x".into()));
        // `..` after a link leaves what the link leads to.
        assert_eq!(walk("/a/l/..", &[("/a/l", "/b/c")]), Ok("/b".into()));
    }

    #[test]
    fn links_that_go_round_end() {
        assert_eq!(walk("/a", &[("/a", "a")]), Err(Errno::ELOOP));
        assert_eq!(walk("/a", &[("/a", "/b"), ("/b", "/a")]), Err(Errno::ELOOP));
    }
}
