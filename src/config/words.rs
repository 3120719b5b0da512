//! What the JSON parser says, in the words of config.json in place of Rust's.

/// `said`, a message of serde's without its place, for somebody who writes JSON.
pub(super) fn plain(said: &str) -> String {
    let Some((what, rest)) = said.split_once(": ") else { return variant(said) };
    match (what, rest.split_once(", expected ")) {
        ("invalid type" | "invalid value", Some((found, expected))) => {
            format!("is {}, not {}", of_value(found), of_type(expected))
        }
        ("invalid length", Some((found, expected))) => {
            format!("has {found} members, not {}", of_type(expected))
        }
        _ => said.into(),
    }
}

/// "unknown variant `x`, expected one of `a`, `b`"
fn variant(said: &str) -> String {
    let Some(rest) = said.strip_prefix("unknown variant ") else { return said.into() };
    let Some((found, expected)) = rest.split_once(", expected ") else { return said.into() };
    let quoted = |text: &str| text.replace('`', "\"");
    match expected.strip_prefix("one of ").unwrap_or(expected).split_once(" or ") {
        Some((one, other)) => format!("is {}, not {} or {}", quoted(found), quoted(one), quoted(other)),
        None if expected.starts_with("one of ") => {
            format!("is {}, none of {}", quoted(found), quoted(&expected["one of ".len()..]))
        }
        None => format!("is {}, not {}", quoted(found), quoted(expected)),
    }
}

/// "string \"x\"", "integer `7`", "map", ...
fn of_value(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "string" | "character" => format!("the string {}", value.replace('`', "\"")),
        "integer" => format!("the number {}", value.trim_matches('`')),
        "floating" => format!("the number {}", value.trim_start_matches("point ").trim_matches('`')),
        "boolean" => value.trim_matches('`').into(),
        "null" | "unit" => "null".into(),
        "sequence" => "an array".into(),
        "map" => "an object".into(),
        _ => found.into(),
    }
}

/// "u32", "a sequence", "struct Linux", ...
fn of_type(expected: &str) -> String {
    let range = |low: &str, high: &str| format!("a whole number from {low} to {high}");
    match expected {
        "u8" => range("0", "255"),
        "u16" => range("0", "65535"),
        "u32" => range("0", "4294967295"),
        "u64" | "usize" => range("0", "18446744073709551615"),
        "i8" => range("-128", "127"),
        "i16" => range("-32768", "32767"),
        "i32" => range("-2147483648", "2147483647"),
        "i64" | "isize" => range("-9223372036854775808", "9223372036854775807"),
        "f32" | "f64" => "a number".into(),
        "a sequence" => "an array".into(),
        "a map" => "an object".into(),
        "a boolean" => "true or false".into(),
        "path string" => "a path".into(),
        "variant identifier" | "string only" => "a string".into(),
        _ if expected.starts_with("struct ") => "an object".into(),
        _ if expected.starts_with("enum ") => "a string".into(),
        _ => expected.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn messages_speak_of_json() {
        let table = [
            ("invalid type: integer `7`, expected a sequence", "is the number 7, not an array"),
            (
                "invalid type: string \"x\", expected u32",
                "is the string \"x\", not a whole number from 0 to 4294967295",
            ),
            (
                "invalid value: integer `-1`, expected u8",
                "is the number -1, not a whole number from 0 to 255",
            ),
            ("invalid type: sequence, expected struct Linux", "is an array, not an object"),
            ("invalid type: map, expected a boolean", "is an object, not true or false"),
            ("invalid type: null, expected a string", "is null, not a string"),
            (
                "invalid type: floating point `1.5`, expected i64",
                "is the number 1.5, not a whole number from -9223372036854775808 to 9223372036854775807",
            ),
            (
                "unknown variant `frob`, expected one of `a`, `b`, `c`",
                "is \"frob\", none of \"a\", \"b\", \"c\"",
            ),
            ("unknown variant `frob`, expected `a` or `b`", "is \"frob\", not \"a\" or \"b\""),
            ("unknown variant `frob`, expected `a`", "is \"frob\", not \"a\""),
            ("missing field `args`", "missing field `args`"),
            ("expected value", "expected value"),
        ];
        for (said, words) in table {
            assert_eq!(plain(said), words);
        }
    }
}
