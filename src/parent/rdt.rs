//! Groups of resctrl, for `linux.intelRdt`.

use crate::config::Rdt;
use crate::fault::{Call, Outcome, Refusal};
use crate::host;
use crate::sys::{fs, mount};
use anyhow::Result;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/resctrl";
/// The groups that a container is in, and which of them go with it.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// To enter.
    enter: Vec<PathBuf>,
    /// Made here, in order, to go with the container.
    pub(super) made: Vec<PathBuf>,
    /// Made here under a name that the configuration gives, to outlive the container.
    named: Option<PathBuf>,
}

impl Groups {
    /// Take or make the groups and write their schemata.
    pub(super) fn make(&mut self, rdt: &Rdt, id: &str) -> Outcome {
        let root = fs::open(ROOT, fs::O_PATH | fs::O_DIRECTORY, 0);
        if root.and_then(mount::fs_magic) != Ok(mount::RDTGROUP_SUPER_MAGIC) {
            let text = "resctrl is not mounted on /sys/fs/resctrl: mount -t resctrl resctrl /sys/fs/resctrl (needs \
                        a CPU with RDT)";
            return Err(Refusal::message(text));
        }
        let group = Path::new(ROOT).join(rdt.group.as_deref().unwrap_or(id));
        let schemata = group.join("schemata");
        let asks = !rdt.compared.is_empty() || !rdt.written.is_empty();
        if rdt.group.is_some() && group.is_dir() {
            compare(&schemata, &rdt.compared)?;
        } else if rdt.group.is_some() && !asks {
            let text = format!("group {} is not there and no schemata are given to make it", group.display());
            return Err(Refusal::message(text));
        } else {
            make_dir(&group)?;
            match rdt.group {
                None => self.made.push(group.clone()),
                Some(_) => self.named = Some(group.clone()),
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

    /// Take everything back that was made, for a container that is not made after all, and tell
    /// what could not be.
    pub(super) fn take_back(&self) -> Vec<String> {
        let mut failed = remove(&self.made);
        failed.extend(remove(self.named.as_slice()));
        failed
    }

    /// Put process `pid` into them.
    pub(super) fn enter(&self, pid: i32) -> Outcome {
        self.enter.iter().try_for_each(|group| write(&group.join("tasks"), &pid.to_string()))
    }
}

/// Lines of a group's schemata as they were before they were changed.
#[derive(Debug)]
pub struct Schemata {
    file: PathBuf,
    lines: Vec<String>,
}

impl Schemata {
    /// Write `lines` to the schemata of a group. If one is refused, those before it are put back.
    pub fn change(group: &str, lines: &[String]) -> Result<Schemata> {
        let file = Path::new(ROOT).join(group).join("schemata");
        let now = host::read(&file)?;
        let resource = |line: &str| line.split(':').next().unwrap_or_default().trim().to_string();
        let changed: Vec<String> = lines.iter().map(|line| resource(line)).collect();
        let lines_now = now.lines().filter(|line| changed.contains(&resource(line)));
        let previous = Schemata { lines: lines_now.map(|line| line.trim().to_string()).collect(), file };
        match write_lines(&previous.file, lines) {
            Ok(()) => Ok(previous),
            Err(refusal) => Err(previous.put_back(refusal.of("").into())),
        }
    }

    /// Write them again, after a failure.
    pub fn put_back(&self, cause: anyhow::Error) -> anyhow::Error {
        match write_lines(&self.file, &self.lines) {
            Ok(()) => cause,
            Err(refusal) => cause.context(format!("[then, putting back: {}]", refusal.call)),
        }
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

fn make_dir(path: &Path) -> Outcome {
    nix::unistd::mkdir(path, nix::sys::stat::Mode::from_bits_truncate(0o777))
        .call(|| format!("mkdir {}", path.display()))
}

fn compare(schemata: &Path, wanted: &[String]) -> Outcome {
    let text = host::read(schemata).map_err(|err| Refusal::message(crate::log::message(&err)))?;
    let has = |line: &String| text.lines().any(|there| there.trim() == line);
    match wanted.iter().find(|line| !has(line)) {
        Some(line) => Err(Refusal::message(format!("{} has no line \"{line}\"", schemata.display()))),
        None => Ok(()),
    }
}

fn write_lines(schemata: &Path, lines: &[String]) -> Outcome {
    lines.iter().try_for_each(|line| write(schemata, &format!("{line}\n")))
}

fn write(path: &Path, text: &str) -> Outcome {
    let written = fs::open(path, fs::O_WRONLY, 0).and_then(|fd| fs::write_once(fd.as_fd(), text.as_bytes()));
    written.map_err(|errno| {
        // The kernel says more here.
        let status = host::read(format!("{ROOT}/info/last_cmd_status")).unwrap_or_default();
        Refusal::kernel(format!("write {text:?} to {}: {}", path.display(), status.trim()), errno)
    })
}
