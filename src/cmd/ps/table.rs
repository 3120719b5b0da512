//! A table of processes with the columns of `ps -ef`, read from /proc: nodes without procps have no
//! ps(1).

use crate::proc::passwd::accounts;
use crate::sys::time;
use anyhow::{Context, Result};
use procfs::process::Process;
use procfs::{ProcError, ProcResult};
use std::time::{SystemTime, UNIX_EPOCH};

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    user: String,
    pid: i32,
    ppid: i32,
    /// Of the time since it was started, the percentage that it has had a processor.
    share: u64,
    /// When it was started.
    started: String,
    terminal: String,
    /// The time that it has had a processor.
    used: String,
    command: String,
}

/// What all rows are made with.
struct Clock {
    /// When the machine was booted, and now, in seconds since 1970.
    boot: u64,
    now: u64,
    ticks_per_second: u64,
    passwd: Vec<u8>,
}

/// The table of those of `pids` that are there.
pub(super) fn table(pids: &[i32]) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let clock = Clock {
        boot: procfs::boot_time_secs().context("/proc/stat: the time of boot")?,
        now,
        ticks_per_second: procfs::ticks_per_second(),
        passwd: std::fs::read("/etc/passwd").unwrap_or_default(),
    };
    let mut text = line(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    for pid in pids {
        match row(*pid, &clock) {
            Ok(row) => text.push_str(&row.line()),
            // It has ended meanwhile.
            Err(ProcError::NotFound(_)) => {}
            Err(err) => return Err(err).with_context(|| format!("/proc/{pid}")),
        }
    }
    Ok(text)
}

fn row(pid: i32, clock: &Clock) -> ProcResult<Row> {
    let process = Process::new(pid)?;
    let (stat, status) = (process.stat()?, process.status()?);
    let command = match process.cmdline() {
        Ok(words) if !words.is_empty() => words.join(" "),
        _ => format!("[{}]", stat.comm),
    };
    let used = (stat.utime + stat.stime) / clock.ticks_per_second;
    let started = clock.boot + stat.starttime / clock.ticks_per_second;
    let lived = clock.now.saturating_sub(started);
    Ok(Row {
        user: user(&clock.passwd, status.euid),
        pid,
        ppid: stat.ppid,
        share: (used * 100).checked_div(lived).unwrap_or(0).min(99),
        started: start(time::local(started), time::local(clock.now)),
        terminal: terminal(stat.tty_nr()),
        used: format!("{:02}:{:02}:{:02}", used / 3600, used / 60 % 60, used % 60),
        command,
    })
}

impl Row {
    fn line(&self) -> String {
        let Row { user, pid, ppid, share, started, terminal, used, command } = self;
        let (pid, ppid, share) = (pid.to_string(), ppid.to_string(), share.to_string());
        line([user, &pid, &ppid, &share, started, terminal, used, command])
    }
}

fn line([user, pid, ppid, share, started, terminal, used, command]: [&str; 8]) -> String {
    // What a program calls itself may hold anything.
    let plain: String = command.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("{user:<8} {pid:>7} {ppid:>7} {share:>2} {started:>5} {terminal:<8} {used:>8} {plain}\n")
}

/// The user's name; its first seven letters and a `+` where it is longer than eight, its number
/// where it has none.
fn user(passwd: &[u8], uid: u32) -> String {
    let Some(account) = accounts(passwd).find(|account| account.uid == uid) else { return uid.to_string() };
    let name = String::from_utf8_lossy(account.name);
    if name.chars().count() > 8 {
        format!("{}+", name.chars().take(7).collect::<String>())
    } else {
        name.into_owned()
    }
}

/// The hour of today, the day of this year, or the year.
fn start(at: time::Local, now: time::Local) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if (at.year, at.month, at.day) == (now.year, now.month, now.day) {
        format!("{:02}:{:02}", at.hour, at.minute)
    } else if at.year == now.year {
        format!("{}{:02}", MONTHS[at.month % 12], at.day)
    } else {
        at.year.to_string()
    }
}

/// The name of a terminal by its device (<linux/major.h>).
fn terminal((major, minor): (i32, i32)) -> String {
    match (major, minor) {
        (0, _) => "?".into(),
        (136..=143, minor) => format!("pts/{}", (major - 136) * 256 + minor),
        (4, minor @ 0..=63) => format!("tty{minor}"),
        (4, minor) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".into(),
        (major, minor) => format!("{major}:{minor}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_line() {
        let row = Row {
            user: "root".into(),
            pid: 12,
            ppid: 1,
            share: 3,
            started: "09:05".into(),
            terminal: "pts/0".into(),
            used: "00:00:01".into(),
            command: "sh -c a\nb".into(),
        };
        assert_eq!(row.line(), "root          12       1  3 09:05 pts/0    00:00:01 sh -c a?b\n");
    }

    #[test]
    fn users_have_names_or_numbers() {
        let passwd = b"root:x:0:0::/:\nsystemd-network:x:998:998::/:\n";
        assert_eq!(user(passwd, 0), "root");
        assert_eq!(user(passwd, 998), "systemd+");
        assert_eq!(user(passwd, 7), "7");
    }

    #[test]
    fn times_are_of_today_this_year_or_another() {
        let at = |year, month, day| time::Local { year, month, day, hour: 9, minute: 5 };
        let now = at(2026, 10, 28);
        assert_eq!(start(at(2026, 10, 28), now), "09:05");
        assert_eq!(start(at(2026, 0, 3), now), "Jan03");
        assert_eq!(start(at(2025, 10, 28), now), "2025");
    }

    #[test]
    fn terminals_have_names() {
        assert_eq!(terminal((0, 0)), "?");
        assert_eq!(terminal((136, 5)), "pts/5");
        assert_eq!(terminal((137, 1)), "pts/257");
        assert_eq!(
            (terminal((4, 1)), terminal((4, 64)), terminal((5, 1))),
            ("tty1".into(), "ttyS0".into(), "console".into())
        );
    }

    #[test]
    fn this_process_is_in_the_table() {
        let own = std::process::id() as i32;
        let text = table(&[own]).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("UID          PID    PPID  C STIME TTY          TIME CMD"));
        let fields: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(fields[1], own.to_string());
        assert_eq!(fields[2], std::os::unix::process::parent_id().to_string());
    }
}
