//! The `knarr` command.

fn main() -> std::process::ExitCode {
    knarr::child::reaper::main();
    knarr::sys::rlimit::widen_stack();
    knarr::cli::main()
}
