//! The second wall around a sandbox.

use crate::fault::{Call, Outcome};
use crate::plan::AbstractNames;
use crate::sys::landlock::{self, access, scope};
use crate::sys::{Errno, fs, process};
use std::os::fd::AsFd;

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
    let rules = landlock::ruleset(handled, scoped).call(|| "landlock_create_ruleset".into())?;
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
