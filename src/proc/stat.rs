//! /proc/PID/stat, proc_pid_stat(5).

/// Field 4: the pid of its parent.
pub const PARENT: usize = 4;
/// Field 9: the kernel's flags of the process.
pub const FLAGS: usize = 9;
/// Field 22: when it started, in clock ticks after boot.
pub const STARTTIME: usize = 22;
/// Fields 26 and 27: the addresses where the code begins and ends.
pub const CODE: (usize, usize) = (26, 27);
/// Field 28: where the stack begins.
pub const STARTSTACK: usize = 28;
/// Fields 45 and 46: the data.
pub const DATA: (usize, usize) = (45, 46);
/// Field 47: where the heap of brk(2) begins.
pub const START_BRK: usize = 47;
/// Fields 48 and 49: the arguments.
pub const ARGS: (usize, usize) = (48, 49);
/// Fields 50 and 51: the environment.
pub const ENV: (usize, usize) = (50, 51);
/// Field 52: how it ended, as waitpid(2) has it.
pub const EXIT_CODE: usize = 52;

/// A field that is a number, by its number there: 4 at least. The name before it is in parentheses
/// and may hold anything, so fields are counted from its end.
pub fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// Whether the process has ended and is only to be reaped: field 3.
pub fn has_ended(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_end_of_the_name() {
        let rest: Vec<String> = (4..53).map(|n| n.to_string()).collect();
        let stat = format!("17 (a) b (c) R {}\n", rest.join(" "));
        assert_eq!(
            (field(&stat, 4), field(&stat, STARTTIME), field(&stat, EXIT_CODE)),
            (Some(4), Some(22), Some(52))
        );
        assert_eq!((field(&stat, 53), field("17 a", 4), field(&stat, 2)), (None, None, None));
    }
}
