//! From a byte offset in a JSON text to the path of the value there, so that a parse error can name
//! its field.

/// The path of the value that contains byte `offset` of `text`, as `mounts[2].options`; empty at
/// the top.
///
/// Only for texts that a JSON parser has read up to `offset`.
pub(super) fn path_at(text: &[u8], offset: usize) -> String {
    enum Frame {
        Object(String),
        Array(usize),
    }
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = 0;
    let mut key_next = false;
    while at < offset.min(text.len()) {
        match text[at] {
            b'{' => {
                frames.push(Frame::Object(String::new()));
                key_next = true;
            }
            b'[' => frames.push(Frame::Array(0)),
            b'}' | b']' => {
                frames.pop();
                key_next = false;
            }
            b',' => match frames.last_mut() {
                Some(Frame::Array(index)) => *index += 1,
                _ => key_next = true,
            },
            b'"' => {
                let end = string_end(text, at);
                if key_next && let Some(Frame::Object(key)) = frames.last_mut() {
                    *key = String::from_utf8_lossy(&text[at + 1..end]).into_owned();
                    key_next = false;
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    let mut path = String::new();
    for frame in frames {
        match frame {
            Frame::Array(index) => path.push_str(&format!("[{index}]")),
            Frame::Object(key) if path.is_empty() => path = key,
            Frame::Object(key) if key.is_empty() => {}
            Frame::Object(key) => path.push_str(&format!(".{key}")),
        }
    }
    path
}

/// The offset of the quote that ends the string that starts at `at`.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < text.len() && text[end] != b'"' {
        end += if text[end] == b'\\' { 2 } else { 1 };
    }
    end.min(text.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::path_at;

    #[test]
    fn names_the_value_at_an_offset() {
        let text = br#"{"a": {"b": [1, {"c\"d": "x"}]}, "e": 2}"#;
        let at = |needle: &str| {
            let offset = text.windows(needle.len()).position(|w| w == needle.as_bytes()).unwrap();
            path_at(text, offset + 1)
        };
        assert_eq!(at("1,"), "a.b[0]");
        assert_eq!(at("\"x\""), "a.b[1].c\\\"d");
        assert_eq!(at("2}"), "e");
        assert_eq!(path_at(text, 0), "");
    }
}
