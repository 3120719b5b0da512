//! The text of a /proc/PID/mountinfo, proc_pid_mountinfo(5).

/// Where everything is mounted, in order.
pub fn targets(mountinfo: &str) -> impl Iterator<Item = String> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped)
}

/// A path of mountinfo, in which a space is `\040`.
pub(super) fn unescaped(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut text: Vec<u8> = parts.next().unwrap_or_default().into();
    for part in parts {
        let (code, rest) = part.split_at_checked(3).unwrap_or((part, ""));
        text.extend(u8::from_str_radix(code, 8));
        text.extend(rest.bytes());
    }
    String::from_utf8_lossy(&text).into_owned()
}
