//! `knarr ps`.

mod table;

use super::Global;
use super::print;
use crate::state::{Container, Status};
use anyhow::{Context, Result, bail};
use std::process::Stdio;

#[derive(Debug, clap::Args)]
#[group(id = "ps")]
pub struct Args {
    /// Form of the list
    #[arg(short, long, value_enum, default_value = "table")]
    pub format: Format,
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Options of ps(1), for a table by that program; one of its columns must be PID
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PS-OPTION")]
    pub options: Vec<String>,
}

/// The form of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The columns of ps -ef, or what ps(1) prints with options of one's own
    Table,
    /// A JSON array of pids.
    Json,
}

/// Print the processes of the container, with their pids as the caller sees them.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let text = || -> Result<String> {
        let pids = processes(&global.store().open(&args.id.parse()?)?)?;
        match args.format {
            Format::Json => Ok(format!("{}\n", serde_json::to_string(&pids)?)),
            Format::Table if args.options.is_empty() => table::table(&pids),
            Format::Table => rows(&ps(&args.options)?, &pids),
        }
    };
    print(&text().with_context(|| format!("ps {}", args.id.escape_debug()))?)
}

fn processes(container: &Container) -> Result<Vec<i32>> {
    if container.status()? == Status::Stopped && container.state.private_pids {
        return Ok(Vec::new());
    }
    let mut pids = match &container.state.cgroup {
        Some(record) => record.open()?.map_or(Ok(Vec::new()), |cgroup| cgroup.processes())?,
        None => bail!("the container has no cgroup, so its processes are not known"),
    };
    // Those of a pid namespace that this process does not see into are listed as 0.
    pids.retain(|pid| *pid != 0);
    pids.sort_unstable();
    Ok(pids)
}

#[allow(
    clippy::disallowed_methods,
    reason = "ps(1) is no hook: it runs for the caller, with the caller's environment"
)]
fn ps(options: &[String]) -> Result<String> {
    let mut command = std::process::Command::new("ps");
    command.args(options);
    let output = command.stdin(Stdio::null()).output().context("ps(1)")?;
    if !output.status.success() {
        // Its usage follows on more lines.
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ps {}: {}", options.join(" "), said.trim().lines().next().unwrap_or("no word of why"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The heading of what ps(1) printed, and the lines about `pids`.
fn rows(table: &str, pids: &[i32]) -> Result<String> {
    let heading = table.lines().next().unwrap_or_default();
    let Some(column) = heading.split_whitespace().position(|title| title == "PID") else {
        bail!("ps printed no column PID: {heading:?}");
    };
    let pid = |line: &str| line.split_whitespace().nth(column).and_then(|pid| pid.parse::<i32>().ok());
    let listed = table.lines().skip(1).filter(|line| pid(line).is_some_and(|pid| pids.contains(&pid)));
    Ok(std::iter::once(heading).chain(listed).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn rows_are_chosen_by_the_column_pid() {
        let table = "USER   PID  COMMAND\nroot     1  init 12\nroot    12  sh\nroot   112  sh\n";
        assert_eq!(rows(table, &[12]).unwrap(), "USER   PID  COMMAND\nroot    12  sh\n");
        assert!(rows("COMMAND\nsh\n", &[12]).is_err());
    }
}
