//! /proc/PID/mountinfo, proc_pid_mountinfo(5).

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount<'a> {
    pub id: u64,
    pub target: String,
    /// The options of the mount itself, with commas between.
    pub flags: &'a str,
    /// The type of its filesystem.
    pub fstype: &'a str,
    /// What it is of, as the filesystem says it.
    pub source: &'a str,
    /// The options of its superblock, with commas between.
    pub options: &'a str,
}

/// All mounts, in order. A line of another form is left out.
pub fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.lines().filter_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let id = fields.next()?.parse().ok()?;
        let target = unescaped(fields.nth(3)?);
        let flags = fields.next()?;
        let mut words = filesystem.split(' ');
        let (fstype, source) = (words.next()?, words.next()?);
        Some(Mount { id, target, flags, fstype, source, options: words.next().unwrap_or_default() })
    })
}

/// Where the hierarchy of cgroup v1 with this controller is mounted.
pub fn v1_controller(mountinfo: &str, controller: &str) -> Option<String> {
    let has = |mount: &Mount<'_>| {
        mount.fstype == "cgroup" && mount.options.split(',').any(|option| option == controller)
    };
    mounts(mountinfo).find(has).map(|mount| mount.target)
}

/// A path in which a space is `\040`.
fn unescaped(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut text: Vec<u8> = parts.next().unwrap_or_default().into();
    for part in parts {
        let (code, rest) = part.split_at_checked(3).unwrap_or((part, ""));
        text.extend(u8::from_str_radix(code, 8));
        text.extend(rest.bytes());
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
25 24 8:3 / /home/a\\040b rw,relatime - ext4 /dev/sda3 rw
no line of it
";

    #[test]
    fn mounts_are_read() {
        let found: Vec<Mount<'_>> = mounts(TEXT).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[1],
            Mount {
                id: 25,
                target: "/home/a b".into(),
                flags: "rw,relatime",
                fstype: "ext4",
                source: "/dev/sda3",
                options: "rw"
            }
        );
    }

    #[test]
    fn a_hierarchy_is_found_by_a_controller() {
        assert_eq!(v1_controller(TEXT, "cpuacct").as_deref(), Some("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(v1_controller(TEXT, "rw2"), None);
    }
}
