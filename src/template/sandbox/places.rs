//! What options put at places of a sandbox: their order, and what is seen behind a path.

use serde_json::{Value, json};

pub(super) use crate::plan::below;

/// What is put at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The host's files.
    Bind {
        /// On the host, without symlinks.
        source: String,
        /// Whether what is written goes through to the host.
        access: Access,
        /// Whether it is a device node, which a mount must not close.
        node: Node,
    },
    /// Nothing, where a folder is.
    HiddenFolder,
    /// Nothing, where something else is.
    HiddenFile,
    /// An empty folder in memory.
    Tmpfs,
}

/// Whether files of the host can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// They can be read.
    Read,
    /// They can be changed.
    Write,
}

/// What kind of file is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A device.
    Device,
    /// Anything else.
    Other,
}

/// Something at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where, without symlinks.
    pub path: String,
    /// What.
    pub kind: Kind,
    /// The option that asks for it.
    pub option: &'static str,
}

/// Two options that ask for different things at one place: the option and path of the second.
pub fn conflict(placed: &[Placed]) -> Option<String> {
    placed.iter().enumerate().find_map(|(at, place)| {
        let other = placed[..at].iter().find(|other| other.path == place.path && other.kind != place.kind)?;
        Some(format!("{} {}: {} is there already", place.option, place.path, other.option))
    })
}

/// The host's path that is seen at `path`; none where nothing of the host's is.
pub fn behind(path: &str, placed: &[Placed], is_own: impl Fn(&str) -> bool) -> Option<String> {
    let around = placed.iter().filter_map(|place| Some((place, below(path, &place.path)?)));
    match around.max_by_key(|(place, _)| depth(&place.path)) {
        Some((Placed { kind: Kind::Bind { source, .. }, .. }, "")) => Some(source.clone()),
        Some((Placed { kind: Kind::Bind { source, .. }, .. }, rest)) => Some(format!("{source}/{rest}")),
        Some(_) => None,
        None => (!is_own(path)).then(|| path.to_string()),
    }
}

/// How many names a path has.
pub fn depth(path: &str) -> usize {
    path.split('/').filter(|name| !name.is_empty()).count()
}

impl Placed {
    /// The mount that does it. A hidden folder can hold what is put deeper.
    pub(super) fn mount(&self) -> Value {
        let (kind, source, options): (&str, &str, Vec<&str>) = match &self.kind {
            Kind::Bind { source, access, node } => {
                let mut options = vec!["rbind"];
                if *node == Node::Other {
                    options.extend(["rnosuid", "rnodev"]);
                }
                if *access == Access::Read {
                    options.push("rro");
                }
                ("bind", source, options)
            }
            Kind::HiddenFolder => {
                ("tmpfs", "tmpfs", vec!["ro", "nosuid", "nodev", "noexec", "mode=555", "size=4k"])
            }
            Kind::HiddenFile => ("bind", "/dev/null", vec!["bind", "ro", "nosuid", "noexec"]),
            Kind::Tmpfs => ("tmpfs", "tmpfs", vec!["nosuid", "nodev", "mode=1777"]),
        };
        json!({ "destination": self.path, "type": kind, "source": source, "options": options })
    }

    /// Whether something hidden has anything put into it.
    pub(super) fn holds_any_of(&self, placed: &[Placed]) -> bool {
        placed.iter().any(|other| below(&other.path, &self.path).is_some_and(|rest| !rest.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, path: &str) -> Placed {
        let kind = Kind::Bind { source: source.into(), access: Access::Read, node: Node::Other };
        Placed { path: path.into(), kind, option: "--ro-bind" }
    }

    #[test]
    fn the_deepest_place_is_what_is_seen() {
        let hidden = Placed { path: "/a".into(), kind: Kind::HiddenFolder, option: "--hide" };
        let placed = [bind("/src", "/a/b"), hidden, bind("/x", "/")];
        let behind = |path: &str| behind(path, &placed[..2], |path| path == "/tmp");
        assert_eq!(behind("/a/b/c").as_deref(), Some("/src/c"));
        assert_eq!(behind("/a/b").as_deref(), Some("/src"));
        assert_eq!(behind("/a/c"), None);
        assert_eq!(behind("/tmp"), None);
        assert_eq!(behind("/ab").as_deref(), Some("/ab"));
    }

    #[test]
    fn two_at_one_place_are_a_conflict() {
        assert_eq!(conflict(&[bind("/x", "/a"), bind("/x", "/a")]), None);
        assert_eq!(
            conflict(&[bind("/x", "/a"), bind("/y", "/a")]).as_deref(),
            Some("--ro-bind /a: --ro-bind is there already")
        );
    }
}
