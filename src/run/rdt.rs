//! Groups of resctrl, for `linux.intelRdt`.

use crate::config::Rdt;
use crate::sys::{Errno, fs, mount};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/resctrl";
const RDTGROUP_SUPER_MAGIC: i64 = 0x0765_5821;

type Attempt<T = ()> = std::result::Result<T, (String, Option<Errno>)>;

/// The groups that a container is in, and which of them go with it.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// To enter.
    enter: Vec<PathBuf>,
    /// Made here, in order.
    pub(super) made: Vec<PathBuf>,
}

impl Groups {
    /// Take or make the groups and write their schemata.
    pub(super) fn make(&mut self, rdt: &Rdt, id: &str) -> Attempt {
        let root = open(Path::new(ROOT), fs::O_PATH | fs::O_DIRECTORY);
        if root.and_then(mount::fs_magic) != Ok(RDTGROUP_SUPER_MAGIC) {
            let text = "resctrl is not mounted on /sys/fs/resctrl: this machine has no resource director technology, \
                        or it waits for mount -t resctrl resctrl /sys/fs/resctrl";
            return Err((text.into(), None));
        }
        let group = Path::new(ROOT).join(rdt.group.as_deref().unwrap_or(id));
        let schemata = group.join("schemata");
        let asks = !rdt.compared.is_empty() || !rdt.written.is_empty();
        if rdt.group.is_some() && group.is_dir() {
            compare(&schemata, &rdt.compared)?;
        } else if rdt.group.is_some() && !asks {
            return Err((
                format!("group {} is not there and no schemata are given to make it", group.display()),
                None,
            ));
        } else {
            make_dir(&group)?;
            // One that the configuration names outlives the container.
            if rdt.group.is_none() {
                self.made.push(group.clone());
            }
            write_lines(&schemata, &rdt.compared)?;
        }
        write_lines(&schemata, &rdt.written)?;
        self.enter.push(group.clone());
        if rdt.monitoring {
            let monitor = group.join("mon_groups").join(id);
            make_dir(&monitor)?;
            self.made.push(monitor.clone());
            self.enter.push(monitor);
        }
        Ok(())
    }

    /// Put process `pid` into them.
    pub(super) fn enter(&self, pid: i32) -> Attempt {
        self.enter.iter().try_for_each(|group| write(&group.join("tasks"), &pid.to_string()))
    }
}

/// Remove groups that were made for a container, and tell what could not be removed.
pub(super) fn remove(made: &[PathBuf]) -> Vec<String> {
    let failed = |group: &PathBuf| match std::fs::remove_dir(group) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Some(format!("rmdir {}: {err}", group.display()))
        }
        _ => None,
    };
    made.iter().rev().filter_map(failed).collect()
}

fn open(path: &Path, flags: i32) -> crate::sys::Result<OwnedFd> {
    fs::open(path, flags, 0)
}

fn make_dir(path: &Path) -> Attempt {
    let failed =
        |err: std::io::Error| (format!("mkdir {}", path.display()), err.raw_os_error().map(Errno::from_raw));
    std::fs::create_dir(path).map_err(failed)
}

fn compare(schemata: &Path, wanted: &[String]) -> Attempt {
    let text = std::fs::read_to_string(schemata)
        .map_err(|err| (format!("read {}: {err}", schemata.display()), None))?;
    let has = |line: &String| text.lines().any(|there| there.trim() == line);
    match wanted.iter().find(|line| !has(line)) {
        Some(line) => Err((format!("{} has no line \"{line}\"", schemata.display()), None)),
        None => Ok(()),
    }
}

fn write_lines(schemata: &Path, lines: &[String]) -> Attempt {
    lines.iter().try_for_each(|line| write(schemata, &format!("{line}\n")))
}

fn write(path: &Path, text: &str) -> Attempt {
    let written = open(path, fs::O_WRONLY).and_then(|fd| fs::write_once(fd.as_fd(), text.as_bytes()));
    written.map_err(|errno| {
        // The kernel says more here.
        let status = std::fs::read_to_string(format!("{ROOT}/info/last_cmd_status")).unwrap_or_default();
        (format!("write {text:?} to {}: {}", path.display(), status.trim()), Some(errno))
    })
}
