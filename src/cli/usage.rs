//! What a wrong command line is told: in one line what is wrong, below it what would be right.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// The message of `err`, without what would be right.
pub fn message(err: &Error, commands: &Command) -> String {
    let context = |kind| err.get(kind).map(first_word).unwrap_or_default();
    match err.kind() {
        ErrorKind::UnknownArgument => {
            let arg = context(ContextKind::InvalidArg);
            let what = if arg.starts_with('-') { "unknown option" } else { "unexpected argument" };
            format!("{what} {arg}{}", did_you_mean(&context(ContextKind::SuggestedArg)))
        }
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand);
            format!("unknown command {word}{}", hint(&word, commands))
        }
        _ => clap_message(err),
    }
}

/// clap's own message: its first paragraph in one line.
fn clap_message(err: &Error) -> String {
    let text = err.to_string();
    let lines = text.trim_start_matches("error: ").lines().take_while(|line| !line.is_empty());
    let message = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    // Podman asks for an option without its value, and knows it by these words.
    let no_value = err.kind() == ErrorKind::InvalidValue
        && err.get(ContextKind::InvalidValue).is_none_or(|value| first_word(value).is_empty());
    if no_value {
        message.replace("a value is required", "flag needs an argument: a value is required")
    } else {
        message
    }
}

/// What would be right: how the command is used, or where to read on.
pub fn advice(err: &Error) -> String {
    let text = err.to_string();
    let usage = text.lines().skip_while(|line| !line.starts_with("Usage:"));
    usage.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

fn first_word(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

fn did_you_mean(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(": did you mean {name}?") }
}

/// Commands of other tools, and what does their work here.
const ELSEWHERE: [(&str, &str); 16] = [
    ("attach", "`run` without --detach stays on the terminal of the process"),
    ("build", "an image tool builds images; `bundle` makes a bundle of one"),
    ("images", "knarr keeps no images; `bundle --image` reads one from files"),
    ("info", "`check` tells of this machine, `features` of this program"),
    ("inspect", "`state` prints a container's state"),
    ("logs", "what a process writes goes where `run` or `create` was told to write; nothing is kept"),
    ("ls", "`list` lists containers"),
    ("pull", "knarr pulls no images: skopeo copies one to files, and `bundle --image` reads it"),
    ("remove", "`delete` removes a container"),
    ("rm", "`delete` removes a container"),
    ("shell", "`run --host-root` runs a shell on this machine's files, `exec -t ID sh` one in a container"),
    ("stats", "`events --stats` prints what a container uses"),
    ("stop", "`kill` sends a signal to a container's process, TERM if none is named"),
    ("top", "`ps` lists the processes of a container"),
    ("unpause", "`resume` lets the processes of a paused container go on"),
    ("wait", "`run` without --detach waits for the process"),
];

/// What somebody who typed `word` may have wanted.
fn hint(word: &str, commands: &Command) -> String {
    if let Some((_, what)) = ELSEWHERE.iter().find(|(name, _)| *name == word) {
        return format!(": {what}");
    }
    let names = commands.get_subcommands().map(Command::get_name);
    did_you_mean(crate::nearest::nearest(word, names).unwrap_or_default())
}
