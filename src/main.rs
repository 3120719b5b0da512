//! The `knarr` command.

use knarr::sys::memory;

#[global_allocator]
static MEMORY: memory::Front = memory::Front;

/// The memory that every command uses, in bytes.
const AT_ONCE: usize = 64 << 10;

fn main() -> std::process::ExitCode {
    knarr::child::reaper::main();
    knarr::sys::rlimit::widen_stack();
    memory::populate(AT_ONCE);
    knarr::cli::main()
}
