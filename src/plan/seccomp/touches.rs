//! Which arguments of calls name a file that is opened or changed.

/// What a call does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Opens it, by the flags in this argument.
    Opens(usize),
    /// Opens it, by the flags in the `struct open_how` whose address this argument is.
    OpensHow(usize),
    /// Changes it, makes it or removes it.
    Changes,
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
    ("chmod", &[here(0)]),
    ("chown", &[here(0)]),
    ("creat", &[here(0)]),
    ("fchmodat", &[below(0, 1)]),
    ("fchmodat2", &[below(0, 1)]),
    ("fchownat", &[below(0, 1)]),
    ("futimesat", &[below(0, 1)]),
    ("lchown", &[here(0)]),
    ("link", &[here(1)]),
    ("linkat", &[below(2, 3)]),
    ("lremovexattr", &[here(0)]),
    ("lsetxattr", &[here(0)]),
    ("mkdir", &[here(0)]),
    ("mkdirat", &[below(0, 1)]),
    ("mknod", &[here(0)]),
    ("mknodat", &[below(0, 1)]),
    ("open", &[Named { folder: None, path: 0, touch: Touch::Opens(1) }]),
    ("openat", &[Named { folder: Some(0), path: 1, touch: Touch::Opens(2) }]),
    ("openat2", &[Named { folder: Some(0), path: 1, touch: Touch::OpensHow(2) }]),
    ("removexattr", &[here(0)]),
    ("rename", &[here(0), here(1)]),
    ("renameat", &[below(0, 1), below(2, 3)]),
    ("renameat2", &[below(0, 1), below(2, 3)]),
    ("rmdir", &[here(0)]),
    ("setxattr", &[here(0)]),
    ("symlink", &[here(1)]),
    ("symlinkat", &[below(1, 2)]),
    ("truncate", &[here(0)]),
    ("unlink", &[here(0)]),
    ("unlinkat", &[below(0, 1)]),
    ("utime", &[here(0)]),
    ("utimensat", &[below(0, 1)]),
    ("utimes", &[here(0)]),
];

const fn here(path: usize) -> Named {
    Named { folder: None, path, touch: Touch::Changes }
}

const fn below(folder: usize, path: usize) -> Named {
    Named { folder: Some(folder), path, touch: Touch::Changes }
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
