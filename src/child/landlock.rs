//! landlock(7): the second wall around a sandbox, and the rules of a config.json.

use crate::config::landlock::Rules;
use crate::fault::{Call, Outcome, Refusal};
use crate::plan::AbstractNames;
use crate::sys::landlock::{self, access, scope};
use crate::sys::{Errno, fs, process};
use std::os::fd::{AsFd, OwnedFd};

/// Allow nothing to be written but what lies below the root, and the files that are standard
/// descriptors: programs open those again by name. Nothing is done where the kernel has no
/// Landlock.
pub(super) fn restrict(names: AbstractNames) -> Outcome {
    let Some(version) = landlock::version() else { return Ok(()) };
    let since = |least: u32, access: u64| if version >= least { access } else { 0 };
    let of_files = access::WRITE_FILE | since(3, access::TRUNCATE);
    let handled = of_files | access::ENTRIES | since(2, access::REFER);
    let scoped = match names {
        AbstractNames::Closed => since(6, scope::ABSTRACT_UNIX_SOCKET),
        AbstractNames::Open => 0,
    };
    let rules = landlock::ruleset(handled, 0, scoped).call(|| "landlock_create_ruleset".into())?;
    let root = fs::open("/", fs::O_PATH | fs::O_DIRECTORY, 0).call(|| "open /".into())?;
    landlock::allow(rules.as_fd(), root.as_fd(), handled).call(|| "landlock_add_rule /".into())?;
    for number in 0..3 {
        match landlock::allow(rules.as_fd(), process::standard(number), of_files) {
            // Pipes and sockets are open to all who hold them, and one may be missing.
            Ok(()) | Err(Errno::EBADFD | Errno::EBADF) => {}
            refused => refused.call(|| format!("landlock_add_rule of descriptor {number}"))?,
        }
    }
    landlock::restrict_self(rules.as_fd()).call(|| "landlock_restrict_self".into())
}

/// What the rules say, or an error: a kernel that knows less keeps from less. `own` is this
/// program, where it is to be executed as the container's init.
pub(super) fn enforce(rules: &Rules, own: Option<&OwnedFd>) -> Outcome {
    let version = landlock::version().unwrap_or(0);
    if version < rules.version {
        let has = if version == 0 { "has none".into() } else { format!("has Landlock {version}") };
        return Err(Refusal::message(format!("needs Landlock {}, and the kernel {has}", rules.version)));
    }
    let Rules { denied, paths, ports_denied, ports, scoped, .. } = rules;
    if denied | ports_denied | scoped == 0 {
        return Ok(());
    }
    let ruleset =
        landlock::ruleset(*denied, *ports_denied, *scoped).call(|| "landlock_create_ruleset".into())?;
    for (path, allowed) in paths {
        let place = fs::open(path, fs::O_PATH, 0).call(|| format!("open {path}"))?;
        let is_folder =
            fs::stat_fd(place.as_fd()).call(|| "fstat".into())?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let allowed = if is_folder { *allowed } else { allowed & access::OF_FILES };
        add(&ruleset, &place, allowed).call(|| format!("landlock_add_rule {path}"))?;
    }
    if let Some(own) = own {
        let allowed = denied & (access::EXECUTE | access::READ_FILE);
        match add(&ruleset, own, allowed) {
            // What lies on no mount that there are paths to is not kept from.
            Ok(()) | Err(Errno::EBADFD) => {}
            refused => refused.call(|| "landlock_add_rule of this program".into())?,
        }
    }
    for (port, allowed) in ports {
        landlock::allow_port(ruleset.as_fd(), *port, *allowed)
            .call(|| format!("landlock_add_rule of port {port}"))?;
    }
    landlock::restrict_self(ruleset.as_fd()).call(|| "landlock_restrict_self".into())
}

/// A rule that allows nothing is none to the kernel.
fn add(ruleset: &OwnedFd, place: &OwnedFd, allowed: u64) -> Result<(), Errno> {
    if allowed == 0 { Ok(()) } else { landlock::allow(ruleset.as_fd(), place.as_fd(), allowed) }
}
