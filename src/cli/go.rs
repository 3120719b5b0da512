//! The command line as Go's flag package reads it, which runc's users have: one dash before a long
//! name, `--flag=true`, and an empty path for none. Only what cannot be read otherwise comes here.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// `args`, the program's name first, spelt as `command` takes them.
pub fn respelt(args: &[OsString], mut command: Command) -> Vec<OsString> {
    command.build();
    let mut scope = &command;
    let mut rest = args.iter();
    let mut spelt: Vec<OsString> = rest.next().cloned().into_iter().collect();
    while let Some(arg) = rest.next() {
        if let Some((option, value)) = option(scope, arg) {
            let value =
                value.or_else(|| takes_next(option).then(|| rest.next()).flatten().map(OsString::as_os_str));
            spelt.extend(spell(option, value));
            continue;
        }
        spelt.push(arg.clone());
        let subcommand = scope.find_subcommand(arg);
        // After `--`, and after the id of `exec` and `ps`, nothing is an option of ours.
        let ours =
            arg != "--" && (is_dashed(arg) || !scope.get_positionals().any(Arg::is_trailing_var_arg_set));
        if subcommand.is_none() && !ours {
            break;
        }
        scope = subcommand.unwrap_or(scope);
    }
    spelt.extend(rest.cloned());
    spelt
}

fn is_dashed(arg: &OsStr) -> bool {
    arg.as_bytes().starts_with(b"-")
}

fn takes_next(option: &Arg) -> bool {
    option.get_action().takes_values() && !option.is_require_equals_set()
}

/// The option of `scope` that `arg` names, and its value if that follows after `=`.
fn option<'a>(scope: &'a Command, arg: &'a OsStr) -> Option<(&'a Arg, Option<&'a OsStr>)> {
    let bytes = arg.as_bytes();
    let text = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
    let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
    let name = std::str::from_utf8(&text[..end]).ok()?;
    let mut letters = name.chars();
    let letter = letters.next().filter(|_| letters.next().is_none());
    let is_named =
        |option: &&Arg| option.get_long() == Some(name) || (letter.is_some() && option.get_short() == letter);
    let value = text.get(end + 1..).map(OsStr::from_bytes);
    scope.get_arguments().find(is_named).map(|option| (option, value))
}

/// `option` with `value`; nothing for a flag that is off and for a path that is empty.
fn spell(option: &Arg, value: Option<&OsStr>) -> Option<OsString> {
    let mut spelt = OsString::from(format!("--{}", option.get_long()?));
    let Some(value) = value else { return Some(spelt) };
    let is_flag = matches!(option.get_action(), ArgAction::SetTrue);
    match value.to_str() {
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") if is_flag => return Some(spelt),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") if is_flag => return None,
        Some("") if may_be_empty(option) => return None,
        _ => {}
    }
    spelt.push("=");
    spelt.push(value);
    Some(spelt)
}

/// Whether an empty value is as none: that of a path, but for `--root`, whose default is another
/// place, and for `--overlay`.
fn may_be_empty(option: &Arg) -> bool {
    let is_path = option.get_value_parser().type_id() == ValueParser::path_buf().type_id();
    is_path && takes_next(option) && option.get_long() != Some("root")
}
