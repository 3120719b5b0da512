//! Values of D-Bus, and the text of them that annotations have: GVariant's, as in `uint64 5`,
//! `'text'`, `['a', 'b']`.

use std::fmt::{self, Display, Formatter};

/// A value with its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    Int16(i16),
    /// `q`
    Uint16(u16),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Uint64(u64),
    /// `d`
    Double(f64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `a`, with the signature of its elements.
    Array(String, Vec<Value>),
    /// `(…)`
    Tuple(Vec<Value>),
}

impl Value {
    /// An array of strings.
    pub fn texts(texts: &[&str]) -> Value {
        Value::Array("s".into(), texts.iter().map(|text| Value::Text((*text).into())).collect())
    }

    /// An array of bytes.
    pub fn bytes(bytes: &[u8]) -> Value {
        Value::Array("y".into(), bytes.iter().map(|byte| Value::Byte(*byte)).collect())
    }

    /// Its D-Bus type.
    pub fn signature(&self) -> String {
        match self {
            Value::Bool(_) => "b".into(),
            Value::Byte(_) => "y".into(),
            Value::Int16(_) => "n".into(),
            Value::Uint16(_) => "q".into(),
            Value::Int32(_) => "i".into(),
            Value::Uint32(_) => "u".into(),
            Value::Int64(_) => "x".into(),
            Value::Uint64(_) => "t".into(),
            Value::Double(_) => "d".into(),
            Value::Text(_) => "s".into(),
            Value::Path(_) => "o".into(),
            Value::Signature(_) => "g".into(),
            Value::Array(of, _) => format!("a{of}"),
            Value::Tuple(parts) => format!("({})", parts.iter().map(Value::signature).collect::<String>()),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let list = |f: &mut Formatter<'_>, values: &[Value]| {
            values.iter().enumerate().try_for_each(|(i, value)| {
                let comma = if i > 0 { ", " } else { "" };
                write!(f, "{comma}{value}")
            })
        };
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Byte(value) => write!(f, "byte 0x{value:02x}"),
            Value::Int16(value) => write!(f, "int16 {value}"),
            Value::Uint16(value) => write!(f, "uint16 {value}"),
            Value::Int32(value) => write!(f, "{value}"),
            Value::Uint32(value) => write!(f, "uint32 {value}"),
            Value::Int64(value) => write!(f, "int64 {value}"),
            Value::Uint64(value) => write!(f, "uint64 {value}"),
            Value::Double(value) => write!(f, "{value:?}"),
            Value::Text(text) => write!(f, "'{}'", text.escape_default()),
            Value::Path(text) => write!(f, "objectpath '{text}'"),
            Value::Signature(text) => write!(f, "signature '{text}'"),
            Value::Array(of, values) if values.is_empty() => write!(f, "@a{of} []"),
            Value::Array(_, values) => {
                write!(f, "[")?;
                list(f, values)?;
                write!(f, "]")
            }
            Value::Tuple(parts) => {
                write!(f, "(")?;
                list(f, parts)?;
                write!(f, "{})", if parts.len() == 1 { "," } else { "" })
            }
        }
    }
}

/// How deep values may nest.
const DEPTH: usize = 16;

/// The value that `text` is.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { rest: text };
    let value = parser.value("", DEPTH)?;
    parser.space();
    if parser.rest.is_empty() { Ok(value) } else { Err(format!("{:?} follows the value", parser.rest)) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, token: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> String {
        self.space();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.into()
    }

    /// A value of the type `wanted`, or of the one that its text implies if that is empty.
    fn value(&mut self, wanted: &str, depth: usize) -> Result<Value, String> {
        let depth = depth.checked_sub(1).ok_or("nests too deep")?;
        if self.takes('@') {
            let end = self.rest.find(' ').ok_or("no value after a type")?;
            let (kind, rest) = self.rest.split_at(end);
            self.rest = rest;
            return self.value(kind, depth);
        }
        if self.takes('[') {
            return self.array(wanted, depth);
        }
        if self.takes('(') {
            return self.tuple(depth);
        }
        if self.rest.starts_with(['\'', '"']) {
            let text = self.text()?;
            return Ok(match wanted {
                "o" => Value::Path(text),
                "g" => Value::Signature(text),
                "" | "s" => Value::Text(text),
                other => return Err(format!("a string is not of type {other}")),
            });
        }
        let word = self.word();
        match KEYWORDS.iter().find(|(keyword, _)| *keyword == word) {
            Some((_, kind)) => self.value(kind, depth),
            None => scalar(&word, wanted),
        }
    }

    fn array(&mut self, wanted: &str, depth: usize) -> Result<Value, String> {
        let mut kind = wanted.strip_prefix('a').unwrap_or_default().to_string();
        let mut values = Vec::new();
        while !self.takes(']') {
            if !values.is_empty() && !self.takes(',') {
                return Err("a comma or ] is missing".into());
            }
            let value = self.value(&kind, depth)?;
            if kind.is_empty() {
                kind = value.signature();
            } else if kind != value.signature() {
                return Err(format!("{value} is not of type {kind}, as the others are"));
            }
            values.push(value);
        }
        if kind.is_empty() {
            Err("an empty array needs its type, as @as []".into())
        } else {
            Ok(Value::Array(kind, values))
        }
    }

    fn tuple(&mut self, depth: usize) -> Result<Value, String> {
        let mut parts = Vec::new();
        while !self.takes(')') {
            if !parts.is_empty() && !self.takes(',') {
                return Err("a comma or ) is missing".into());
            }
            if self.takes(')') {
                break;
            }
            parts.push(self.value("", depth)?);
        }
        if parts.is_empty() { Err("an empty tuple".into()) } else { Ok(Value::Tuple(parts)) }
    }

    fn text(&mut self) -> Result<String, String> {
        let mut chars = self.rest.chars();
        let quote = chars.next();
        let mut text = String::new();
        loop {
            match chars.next() {
                None => return Err("a quote is missing".into()),
                c if c == quote => break,
                Some('\\') => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c) if "\\'\"".contains(c) => text.push(c),
                    c => return Err(format!("unknown escape \\{}", c.unwrap_or(' '))),
                },
                Some('\0') => return Err("a NUL character".into()),
                Some(c) => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Ok(text)
    }
}

const KEYWORDS: [(&str, &str); 12] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("double", "d"),
    ("string", "s"),
    ("objectpath", "o"),
    ("signature", "g"),
];

fn scalar(word: &str, wanted: &str) -> Result<Value, String> {
    let wrong = || match wanted {
        "" => format!("{word:?} is not a value"),
        wanted => format!("{word:?} is not a value of type {wanted}"),
    };
    fn number<T: TryFrom<i128>>(word: &str) -> Option<T> {
        let hex = word.strip_prefix("0x").and_then(|digits| i128::from_str_radix(digits, 16).ok());
        T::try_from(hex.or_else(|| word.parse().ok())?).ok()
    }
    let implied = match word {
        "true" | "false" => "b",
        _ if number::<i32>(word).is_some() => "i",
        _ => "d",
    };
    match if wanted.is_empty() { implied } else { wanted } {
        "b" => word.parse().ok().map(Value::Bool),
        "y" => number(word).map(Value::Byte),
        "n" => number(word).map(Value::Int16),
        "q" => number(word).map(Value::Uint16),
        "i" => number(word).map(Value::Int32),
        "u" => number(word).map(Value::Uint32),
        "x" => number(word).map(Value::Int64),
        "t" => number(word).map(Value::Uint64),
        // A whole number that is too large is a mistake, not a double.
        "d" if wanted == "d" || word.contains(['.', 'e']) => word.parse().ok().map(Value::Double),
        _ => None,
    }
    .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_a_value_of_its_type() {
        let good = [
            ("true", "b", "true"),
            ("5", "i", "5"),
            ("-5", "i", "-5"),
            ("uint64 10000000", "t", "uint64 10000000"),
            (" uint32 0x10 ", "u", "uint32 16"),
            ("byte 7", "y", "byte 0x07"),
            ("1.5", "d", "1.5"),
            ("'crio.service'", "s", "'crio.service'"),
            ("\"it's\"", "s", "'it\\'s'"),
            ("['crio.service', 'b']", "as", "['crio.service', 'b']"),
            ("@as []", "as", "@as []"),
            ("[uint32 1, 2]", "au", "[uint32 1, uint32 2]"),
            ("[('a', true)]", "a(sb)", "[('a', true)]"),
            ("objectpath '/a'", "o", "objectpath '/a'"),
        ];
        for (text, signature, shown) in good {
            let value = parse(text).unwrap_or_else(|err| panic!("{text}: {err}"));
            assert_eq!(
                (value.signature().as_str(), value.to_string().as_str()),
                (signature, shown),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_value_is_an_error() {
        let deep = "[".repeat(1000);
        for text in [
            "",
            "text",
            "5 6",
            "'a",
            "[",
            "[1, 'a']",
            "[]",
            "()",
            "uint64 -1",
            "byte 256",
            "5000000000",
            "'a' b",
            "@as",
            "@s 5",
            "[1 2]",
            "('a'",
            "uint32 'a'",
            "''\0",
            "'\\x'",
            &deep,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
