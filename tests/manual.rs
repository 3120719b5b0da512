//! The manual page has every command and every option that `--help` has.

use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory};

/// The words after the macros `Fl` and `Cm`, as mdoc(7) has them: `--all` is `Fl -all`, and stands
/// for both names in `Fl a , -all`.
fn marked(page: &str) -> BTreeSet<&str> {
    let mut words = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with('.')) {
        let tokens: Vec<&str> = line.trim_start_matches('.').split_whitespace().collect();
        let follows = |at: usize| at > 0 && ["Fl", "Cm", "|", ","].contains(&tokens[at - 1]);
        words.extend((0..tokens.len()).filter(|at| follows(*at)).map(|at| tokens[at]));
    }
    words
}

fn names(arg: &Arg) -> impl Iterator<Item = String> {
    let long = arg.get_long().map(|long| format!("-{long}"));
    long.into_iter().chain(arg.get_short().map(String::from))
}

fn missing(page: &str, command: &Command) -> Vec<String> {
    let marked = marked(page);
    let absent = |command: &Command| -> Vec<String> {
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help");
        let words = shown.flat_map(names).chain([command.get_name().to_string()]);
        let absent = words.filter(|word| !marked.contains(word.as_str()));
        absent.map(|word| format!("{}: {word}", command.get_name())).collect()
    };
    command
        .get_subcommands()
        .chain([command])
        .flat_map(absent)
        .filter(|word| word != "knarr: knarr")
        .collect()
}

#[test]
fn every_option_is_in_the_manual() {
    let mut command = knarr::cli::Cli::command();
    command.build();
    let page = include_str!("../docs/man/knarr.8");
    assert_eq!(missing(page, &command), [""; 0]);
    assert!(missing(&page.replace("Fl -overlay", "Fl -lower"), &command).len() > 1);
}
