//! Which arguments of calls name a file that is opened or changed.

/// What a call does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Opens it, by the flags in this argument.
    Opens(usize),
    /// Opens it, by the flags in the `struct open_how` whose address this argument is.
    OpensHow(usize),
    /// Makes it, where it is not there yet.
    Makes,
    /// Changes or removes what is there.
    Changes,
    /// Makes it, or takes the place of what is there.
    Replaces,
}

/// The file: by a path, and by the folder that a relative one starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The argument with the folder's descriptor; none: the working directory.
    pub folder: Option<usize>,
    /// The argument with the address of the path.
    pub path: usize,
    pub touch: Touch,
}

/// By name, sorted.
const TABLE: &[(&str, &[Named])] = &[
    ("chmod", &[here(Touch::Changes, 0)]),
    ("chown", &[here(Touch::Changes, 0)]),
    ("creat", &[here(Touch::Replaces, 0)]),
    ("fchmodat", &[below(Touch::Changes, 0, 1)]),
    ("fchmodat2", &[below(Touch::Changes, 0, 1)]),
    ("fchownat", &[below(Touch::Changes, 0, 1)]),
    ("futimesat", &[below(Touch::Changes, 0, 1)]),
    ("lchown", &[here(Touch::Changes, 0)]),
    ("link", &[here(Touch::Makes, 1)]),
    ("linkat", &[below(Touch::Makes, 2, 3)]),
    ("lremovexattr", &[here(Touch::Changes, 0)]),
    ("lsetxattr", &[here(Touch::Changes, 0)]),
    ("mkdir", &[here(Touch::Makes, 0)]),
    ("mkdirat", &[below(Touch::Makes, 0, 1)]),
    ("mknod", &[here(Touch::Makes, 0)]),
    ("mknodat", &[below(Touch::Makes, 0, 1)]),
    ("open", &[Named { folder: None, path: 0, touch: Touch::Opens(1) }]),
    ("openat", &[Named { folder: Some(0), path: 1, touch: Touch::Opens(2) }]),
    ("openat2", &[Named { folder: Some(0), path: 1, touch: Touch::OpensHow(2) }]),
    ("removexattr", &[here(Touch::Changes, 0)]),
    ("rename", &[here(Touch::Changes, 0), here(Touch::Replaces, 1)]),
    ("renameat", &[below(Touch::Changes, 0, 1), below(Touch::Replaces, 2, 3)]),
    ("renameat2", &[below(Touch::Changes, 0, 1), below(Touch::Replaces, 2, 3)]),
    ("rmdir", &[here(Touch::Changes, 0)]),
    ("setxattr", &[here(Touch::Changes, 0)]),
    ("symlink", &[here(Touch::Makes, 1)]),
    ("symlinkat", &[below(Touch::Makes, 1, 2)]),
    ("truncate", &[here(Touch::Changes, 0)]),
    ("unlink", &[here(Touch::Changes, 0)]),
    ("unlinkat", &[below(Touch::Changes, 0, 1)]),
    ("utime", &[here(Touch::Changes, 0)]),
    ("utimensat", &[below(Touch::Changes, 0, 1)]),
    ("utimes", &[here(Touch::Changes, 0)]),
];

const fn here(touch: Touch, path: usize) -> Named {
    Named { folder: None, path, touch }
}

const fn below(touch: Touch, folder: usize, path: usize) -> Named {
    Named { folder: Some(folder), path, touch }
}

/// The calls that name files.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// The files that this call names.
pub fn of(name: &str) -> &'static [Named] {
    TABLE.binary_search_by_key(&name, |(name, _)| name).map_or(&[], |at| TABLE[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by_key(|(name, _)| name));
        assert_eq!(of("renameat2").len(), 2);
        assert!(of("read").is_empty());
    }
}
