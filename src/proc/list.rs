//! Lists of numbers, as cpuset(7) has them: `0-3,7`.

/// A range of a list: from the first number to the last.
fn range(part: &str) -> Option<(usize, usize)> {
    let number = |text: &str| {
        let text = text.trim();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<usize>().ok().filter(|_| digits)
    };
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    Some((number(first)?, number(last)?))
}

/// The ranges of a list, in order, each from its first number to its last. What is wrong is an
/// error in the words of config.json's reader: a part that is no range, a number that is `limit` or
/// more, a range that goes down. An empty list has none.
pub fn ranges(list: &str, limit: usize) -> Result<Vec<(usize, usize)>, String> {
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
    let read = |part: &str| match range(part).filter(|(first, last)| first.max(last) < &limit) {
        None => Err(format!("\"{list}\" is not a list like 0-3,7")),
        Some((first, last)) if first > last => Err(format!("\"{list}\": {first} is more than {last}")),
        Some(range) => Ok(range),
    };
    parts.map(read).collect()
}

/// Whether a list is one that cpuset takes: also with steps, `0-15:1/4`.
pub fn is_cpuset(list: &str) -> bool {
    list.split(',').all(|part| {
        let (numbers, step) =
            part.split_once(':').map_or((part, None), |(numbers, step)| (numbers, Some(step)));
        let is_step = |step: &str| {
            let (used, group) = step.split_once('/').unwrap_or_default();
            matches!((range(used), range(group)), (Some((1.., _)), Some((1.., _)))) && !step.contains('-')
        };
        step.is_none_or(is_step)
            && !numbers.contains(char::is_whitespace)
            && range(numbers).is_some_and(|(first, last)| first <= last && last <= u32::MAX as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(ranges("0-3, 7,", 64), Ok(vec![(0, 3), (7, 7)]));
        assert_eq!(ranges("", 64), Ok(Vec::new()));
        assert_eq!(ranges("64", 64), Err("\"64\" is not a list like 0-3,7".into()));
        assert_eq!(ranges("3-1", 64), Err("\"3-1\": 3 is more than 1".into()));
        assert!(ranges("+1", 64).is_err() && ranges("a", 64).is_err() && ranges("1-", 64).is_err());
    }

    #[test]
    fn cpusets_may_have_steps() {
        for good in ["0", "0-3,7", "0-15:1/4"] {
            assert!(is_cpuset(good), "{good}");
        }
        for bad in ["", "a", "3-1", "0-15:0/4", "0-15:1", "0-15:1/", "1,,2", "+1", "0- 3", "0-15:1-2/4"] {
            assert!(!is_cpuset(bad), "{bad}");
        }
    }
}
