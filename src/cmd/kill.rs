//! `knarr kill`.

use super::Global;
use crate::state::{Command, Container, Status, refuse};
use crate::sys::signal::{RTMAX, RTMIN};
use crate::sys::{Errno, process};
use anyhow::{Context, Result, anyhow, bail};
use std::os::fd::AsFd;

const DEFAULT: &str = "TERM";

#[derive(Debug, clap::Args)]
#[group(id = "kill")]
pub struct Args {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// A signal: TERM, SIGTERM, 15; 0 only asks whether the process is there
    #[arg(default_value = DEFAULT, value_name = "SIGNAL", allow_negative_numbers = true)]
    pub signal: String,
    /// Send it to all processes of the container
    #[arg(short, long)]
    pub all: bool,
}

/// Send the signal.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let kill = || -> Result<()> {
        let signal = if args.signal.is_empty() { DEFAULT } else { &args.signal };
        let signal = parse_signal(signal)?;
        let container = global.store().open(&args.id.parse()?)?;
        send(&container, signal, if args.all { Whom::All } else { Whom::First })
    };
    kill().with_context(|| format!("kill {}", args.id.escape_debug()))?;
    Ok(0)
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    First,
    /// All of its processes.
    All,
}

/// Send `signal`.
pub(crate) fn send(container: &Container, signal: i32, whom: Whom) -> Result<()> {
    let status = container.status()?;
    let all = whom == Whom::All;
    // Processes that outlive init can only be reached through the cgroup.
    let through_cgroup = all || (signal == libc::SIGKILL && !container.state.private_pids);
    if through_cgroup && status != Status::Creating && container.state.cgroup.is_some() {
        return match container.state.open_cgroup()? {
            Some(cgroup) => cgroup.signal(signal),
            None if all => Ok(()),
            None => Err(anyhow!("container not running")),
        };
    }
    if all && status == Status::Stopped {
        return Ok(());
    }
    if let Some(reason) = refuse(status, Command::Kill, &container.state.about.id) {
        bail!(reason);
    }
    let pidfd = container.pidfd()?.ok_or_else(|| anyhow!("container not running"))?;
    match process::pidfd_send_signal(pidfd.as_fd(), signal) {
        Ok(()) => Ok(()),
        Err(Errno::ESRCH) => bail!("container not running"),
        Err(errno) => Err(errno).with_context(|| format!("pidfd_send_signal {signal}")),
    }
}

/// The number of a signal by its number or its name, with or without SIG, in any case.
fn parse_signal(text: &str) -> Result<i32> {
    let unknown = || anyhow!("unknown signal \"{text}\"");
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=RTMAX).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = |base: i32, rest: &str| -> Option<i32> {
        let offset = if rest.is_empty() { 0 } else { rest.parse::<i32>().ok()? };
        Some(base + offset).filter(|n| (RTMIN..=RTMAX).contains(n))
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(RTMIN, rest).ok_or_else(unknown);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(RTMAX, rest).ok_or_else(unknown);
    }
    match name {
        "IOT" => Ok(libc::SIGABRT),
        "POLL" => Ok(libc::SIGIO),
        "CLD" => Ok(libc::SIGCHLD),
        _ => {
            format!("SIG{name}").parse::<nix::sys::signal::Signal>().map(|s| s as i32).map_err(|_| unknown())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_signal;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("TERM", 15), ("SIGTERM", 15), ("sigkill", 9), ("9", 9), ("0", 0), ("IOT", 6)]
        {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
        assert_eq!(parse_signal("SIGRTMIN+3").unwrap(), 37);
        for text in ["", "SIG", "NOPE", "65", "-1", "RTMIN+99"] {
            assert!(parse_signal(text).is_err(), "{text}");
        }
    }
}
