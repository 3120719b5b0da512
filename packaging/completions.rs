//! Completions for bash, zsh and fish: `cargo run --example completions -- FOLDER` writes them.
//!
//! Options and commands are those of the command line itself. Ids of containers are asked for when
//! they are completed, of `knarr list --quiet`.

use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;
use std::{env, fs, io};

/// Commands whose first word is the id of a container that is there.
const OF_A_CONTAINER: [&str; 11] =
    ["start", "state", "kill", "delete", "exec", "pause", "resume", "ps", "events", "checkpoint", "update"];

const BASH: &str = r#"
_knarr_or_ids() {
    _knarr "$@"
    case " COMMANDS " in
        *" ${COMP_WORDS[1]} "*)
            if [[ $COMP_CWORD = 2 && ${COMP_WORDS[2]} != -* ]]; then
                COMPREPLY=($(compgen -W "$(knarr list --quiet 2>/dev/null)" -- "${COMP_WORDS[2]}"))
            fi ;;
    esac
}
complete -F _knarr_or_ids -o nosort -o bashdefault -o default knarr
"#;

const FISH: &str = r#"
complete -c knarr -n "__fish_seen_subcommand_from COMMANDS" -f -a "(knarr list --quiet 2>/dev/null)"
"#;

const ZSH: &str = r#"
_knarr_ids() {
    local -a ids
    ids=(${(f)"$(knarr list --quiet 2>/dev/null)"})
    compadd -a ids
}
"#;

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut knarr::cli::Cli::command(), "knarr", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let commands = OF_A_CONTAINER.join(" ");
    match shell {
        Shell::Bash => script + &BASH.replace("COMMANDS", &commands),
        Shell::Fish => script + &FISH.replace("COMMANDS", &commands),
        _ => {
            let ids = script.replace("container'\\''s id:_default", "container'\\''s id:_knarr_ids");
            let (heading, rest) = ids.split_once('\n').unwrap_or((&ids, ""));
            format!("{heading}\n{ZSH}{rest}")
        }
    }
}

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).ok_or_else(|| io::Error::other("completions FOLDER"))?;
    fs::create_dir_all(&folder)?;
    for (shell, name) in [(Shell::Bash, "knarr.bash"), (Shell::Zsh, "_knarr"), (Shell::Fish, "knarr.fish")] {
        fs::write(Path::new(&folder).join(name), script(shell))?;
    }
    Ok(())
}
