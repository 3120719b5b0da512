//! The `knarr` command.

fn main() -> std::process::ExitCode {
    knarr::cli::main()
}
