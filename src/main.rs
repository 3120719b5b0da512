//! The `knarr` command.

fn main() -> std::process::ExitCode {
    knarr::init::reaper::main();
    knarr::cli::main()
}
