//! The words of `events`: times, and triggers of pressure.

use super::duration;
use crate::cgroup::{Pressing, Resource, Share};
use crate::time;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `--since`: a time, or how long ago that is.
pub(super) fn since(text: &str) -> Result<SystemTime, String> {
    let now = SystemTime::now();
    if matches!(text, "0" | "0s") {
        return Ok(if text == "0" { UNIX_EPOCH } else { now });
    }
    if let Some(at) = seconds(text).or_else(|| time::parse(text)) {
        return Ok(at);
    }
    match duration(text) {
        Ok(ago) => Ok(now.checked_sub(ago).unwrap_or(UNIX_EPOCH)),
        Err(_) => Err("not a time like 2026-03-01T12:00:00Z or 1772366400, nor a duration like 10m".into()),
    }
}

/// Seconds since 1970, with a fraction or without.
fn seconds(text: &str) -> Option<SystemTime> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse().ok().filter(|_| is_number)?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

/// What the kernel takes as a window, psi.rst.
const WINDOW_US: std::ops::RangeInclusive<u64> = 500_000..=10_000_000;

/// `--pressure`: `memory:some:150ms/1s`.
pub(super) fn pressure(text: &str) -> Result<Pressing, String> {
    let form = "not of the form RESOURCE:some|full:STALL/WINDOW, like memory:some:150ms/1s";
    let words: Vec<&str> = text.split(':').collect();
    let [resource, share, times] = words[..] else { return Err(form.into()) };
    let (stall, window) = times.split_once('/').ok_or(form)?;
    let resource = match resource {
        "cpu" => Resource::Cpu,
        "io" => Resource::Io,
        "memory" => Resource::Memory,
        other => return Err(format!("{other:?} is no resource: cpu, io or memory")),
    };
    let share = match share {
        "some" => Share::Some,
        "full" => Share::Full,
        other => return Err(format!("{other:?}: some, or full where all wait")),
    };
    let us = |name: &str, text: &str| match duration(text) {
        Ok(time) => Ok(time.as_micros() as u64),
        Err(why) => Err(format!("the {name} {text:?}: {why}")),
    };
    let (stall_us, window_us) = (us("stall", stall)?, us("window", window)?);
    if !WINDOW_US.contains(&window_us) {
        return Err(format!("the window {window:?}: the kernel takes 500ms to 10s"));
    }
    if stall_us == 0 || stall_us > window_us {
        return Err(format!("the stall {stall:?}: more than 0 and at most the window"));
    }
    Ok(Pressing { resource, share, stall_us, window_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_ago() {
        let at = |s| Ok(UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(since("0"), at(0));
        assert_eq!(since("1772366400"), at(1_772_366_400));
        assert_eq!(since("2026-03-01T12:00:00Z"), at(1_772_366_400));
        let ago = since("1h").unwrap().elapsed().unwrap().as_secs();
        assert!((3600..3610).contains(&ago), "{ago}");
        assert!(since("0s").unwrap().elapsed().unwrap().as_secs() < 10);
        for text in ["", "yesterday", "-1h", "1", "1x", "2026-03-01", "1e400", "."] {
            assert_eq!(since(text).is_err(), text != "1", "{text}");
        }
    }

    #[test]
    fn pressure_has_a_resource_a_share_and_times() {
        let asked = pressure("memory:some:150ms/1s").unwrap();
        assert_eq!((asked.resource, asked.share), (Resource::Memory, Share::Some));
        assert_eq!((asked.stall_us, asked.window_us), (150_000, 1_000_000));
        assert_eq!(pressure("cpu:full:1s/10s").unwrap().share, Share::Full);
        for (text, says) in [
            ("", "not of the form"),
            ("memory", "not of the form"),
            ("memory:some:150ms", "not of the form"),
            ("memory:some:150ms/1s:x", "not of the form"),
            ("disk:some:150ms/1s", "\"disk\" is no resource"),
            ("io:most:150ms/1s", "\"most\": some, or full"),
            ("io:some:150/1s", "the stall \"150\": not a time"),
            ("io:some:0s/1s", "the stall \"0s\": the time must be"),
            ("io:some:2s/1s", "the stall \"2s\": more than 0"),
            ("io:some:1ms/100ms", "the window \"100ms\": the kernel takes"),
            ("io:some:1ms/11s", "the window \"11s\": the kernel takes"),
        ] {
            let said = pressure(text).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
