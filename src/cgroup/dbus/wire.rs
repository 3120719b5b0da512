//! The wire format of the D-Bus specification, version 1: messages that go out, and what comes in,
//! which is checked: lengths, padding, types.

use super::{MESSAGE_LIMIT, Target};
use crate::plan::gvariant::Value;
use anyhow::{Context, Result, bail};

/// The arguments of a call.
#[derive(Debug, Default)]
pub struct Body {
    data: Vec<u8>,
    signature: String,
}

impl Body {
    /// Add an argument.
    pub fn value(&mut self, value: &Value) {
        self.signature.push_str(&value.signature());
        encode(&mut self.data, value);
    }

    /// Add a list of names and values of any type, `a(sv)`.
    pub fn properties<'a>(&mut self, properties: impl Iterator<Item = (&'a str, &'a Value)>) {
        self.signature.push_str("a(sv)");
        array(&mut self.data, 8, |data| {
            for (name, value) in properties {
                pad(data, 8);
                encode(data, &Value::Text(name.into()));
                encode(data, &Value::Signature(value.signature()));
                encode(data, value);
            }
        });
    }

    /// Add an empty array of this type.
    pub fn none_of(&mut self, element: &str) {
        self.value(&Value::Array(element.into(), Vec::new()));
    }

    pub(super) fn message(&self, target: Target<'_>, member: &str, serial: u32) -> Vec<u8> {
        let mut data = vec![b'l', KIND_CALL, 0, 1];
        data.extend((self.data.len() as u32).to_le_bytes());
        data.extend(serial.to_le_bytes());
        let fields = [
            (1, Value::Path(target.path.into())),
            (2, Value::Text(target.interface.into())),
            (3, Value::Text(member.into())),
            (6, Value::Text(target.name.into())),
            (8, Value::Signature(self.signature.clone())),
        ];
        array(&mut data, 8, |data| {
            for (code, value) in &fields {
                pad(data, 8);
                data.push(*code);
                encode(data, &Value::Signature(value.signature()));
                encode(data, value);
            }
        });
        pad(&mut data, 8);
        data.extend(&self.data);
        data
    }
}

fn pad(data: &mut Vec<u8>, to: usize) {
    data.resize(data.len().next_multiple_of(to), 0);
}

/// An array: its length, which does not count the padding before its first element.
fn array(data: &mut Vec<u8>, align: usize, elements: impl FnOnce(&mut Vec<u8>)) {
    pad(data, 4);
    let at = data.len();
    data.extend([0; 4]);
    pad(data, align);
    let first = data.len();
    elements(data);
    let length = (data.len() - first) as u32;
    data[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a') => 4,
        Some(b'x' | b't' | b'd' | b'(') => 8,
        _ => 1,
    }
}

fn encode(data: &mut Vec<u8>, value: &Value) {
    pad(data, alignment(&value.signature()));
    match value {
        Value::Bool(value) => data.extend(u32::from(*value).to_le_bytes()),
        Value::Byte(value) => data.push(*value),
        Value::Int16(value) => data.extend(value.to_le_bytes()),
        Value::Uint16(value) => data.extend(value.to_le_bytes()),
        Value::Int32(value) => data.extend(value.to_le_bytes()),
        Value::Uint32(value) => data.extend(value.to_le_bytes()),
        Value::Int64(value) => data.extend(value.to_le_bytes()),
        Value::Uint64(value) => data.extend(value.to_le_bytes()),
        Value::Double(value) => data.extend(value.to_le_bytes()),
        Value::Text(text) | Value::Path(text) => {
            data.extend((text.len() as u32).to_le_bytes());
            data.extend(text.as_bytes());
            data.push(0);
        }
        Value::Signature(text) => {
            data.push(text.len() as u8);
            data.extend(text.as_bytes());
            data.push(0);
        }
        Value::Array(of, values) => {
            array(data, alignment(of), |data| values.iter().for_each(|value| encode(data, value)));
        }
        Value::Tuple(parts) => parts.iter().for_each(|part| encode(data, part)),
    }
}

const KIND_CALL: u8 = 1;
pub(super) const KIND_RETURN: u8 = 2;
pub(super) const KIND_ERROR: u8 = 3;
pub(super) const KIND_SIGNAL: u8 = 4;

/// A message that came in.
#[derive(Debug, Default)]
pub struct Message {
    pub(super) kind: u8,
    pub(super) reply_to: u32,
    pub(super) error: String,
    /// The name of a signal.
    pub member: String,
    data: Vec<u8>,
    body_at: usize,
    big_endian: bool,
}

impl Message {
    pub(super) fn parse(data: Vec<u8>) -> Result<Message> {
        let mut message = Message { data, ..Message::default() };
        message.big_endian = message.data.first() == Some(&b'B');
        let mut reader = Reader { data: &message.data, at: 1, big_endian: message.big_endian };
        let kind = reader.byte()?;
        reader.at = 12;
        let end = reader.u32()? as usize + 16;
        let (mut reply_to, mut error, mut member) = (0, String::new(), String::new());
        while reader.at < end {
            reader.align(8)?;
            let code = reader.byte()?;
            let kind = reader.signature()?;
            match (code, kind.as_str()) {
                (5, "u") => reply_to = reader.u32()?,
                (4, "s") => error = reader.text()?,
                (3, "s") => member = reader.text()?,
                (_, "s" | "o") => drop(reader.text()?),
                (_, "u") => drop(reader.u32()?),
                (_, "g") => drop(reader.signature()?),
                _ => bail!("header field {code} of type {kind}"),
            }
        }
        reader.align(8)?;
        let body_at = reader.at;
        Ok(Message { kind, reply_to, error, member, body_at, ..message })
    }

    /// Its arguments, from the first.
    pub fn reader(&self) -> Reader<'_> {
        Reader { data: &self.data, at: self.body_at, big_endian: self.big_endian }
    }
}

/// How long the message is that `data` begins with; none until that can be told.
pub(super) fn message_length(data: &[u8]) -> Result<Option<usize>> {
    if data.len() < 16 {
        return Ok(None);
    }
    if !matches!(data[0], b'l' | b'B') || data[3] != 1 {
        bail!("the bus speaks another protocol");
    }
    let mut reader = Reader { data, at: 4, big_endian: data[0] == b'B' };
    let body = reader.u32()? as usize;
    reader.at = 12;
    let header = reader.u32()? as usize;
    if body > MESSAGE_LIMIT || header > MESSAGE_LIMIT {
        bail!("a message of {body} bytes");
    }
    Ok(Some((16 + header).next_multiple_of(8) + body))
}

/// What is left of a message.
#[derive(Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.data.len());
        let end = end.context("a message that is too short")?;
        let part = &self.data[self.at..end];
        self.at = end;
        Ok(part)
    }

    fn align(&mut self, to: usize) -> Result<()> {
        let padding = self.at.next_multiple_of(to) - self.at;
        self.take(padding).map(drop)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// `u`
    pub fn u32(&mut self) -> Result<u32> {
        self.align(4)?;
        let big_endian = self.big_endian;
        let bytes: [u8; 4] = self.take(4)?.try_into()?;
        Ok(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// `s` or `o`
    pub fn text(&mut self) -> Result<String> {
        let length = self.u32()? as usize;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Ok(text)
    }

    /// `v` with a `t` in it
    pub fn variant_u64(&mut self) -> Result<u64> {
        let signature = self.signature()?;
        if signature != "t" {
            bail!("an answer of type {signature:?}");
        }
        self.align(8)?;
        let big_endian = self.big_endian;
        let bytes: [u8; 8] = self.take(8)?.try_into()?;
        Ok(if big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn signature(&mut self) -> Result<String> {
        let length = usize::from(self.byte()?);
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::dbus::BUS;
    use proptest::prelude::*;

    fn body() -> Body {
        let mut body = Body::default();
        body.value(&Value::Text("web.scope".into()));
        body.properties([("Delegate", &Value::Bool(true)), ("AllowedCPUs", &Value::bytes(&[3]))].into_iter());
        body.none_of("(sa(sv))");
        body
    }

    #[test]
    fn a_call_is_a_message_of_its_length() {
        let data = body().message(BUS, "Frob", 7);
        assert_eq!(message_length(&data).unwrap(), Some(data.len()));
        let message = Message::parse(data).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (KIND_CALL, "Frob"));
        assert_eq!(body().signature, "sa(sv)a(sa(sv))");
        assert_eq!(message.reader().text().unwrap(), "web.scope");
    }

    /// Bytes of the specification's rules: length, elements each at a multiple of eight.
    #[test]
    fn properties_are_laid_out_as_the_specification_says() {
        let mut body = Body::default();
        body.properties([("A", &Value::Uint64(5))].into_iter());
        let golden = [
            &[24, 0, 0, 0, 0, 0, 0, 0][..],
            &[1, 0, 0, 0, b'A', 0, 1, b't', 0, 0, 0, 0, 0, 0, 0, 0],
            &[5, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(body.data, golden.concat());
    }

    proptest! {
        #[test]
        fn what_comes_in_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..150, with: u8) {
            let _ = message_length(&noise);
            let _ = Message::parse(std::mem::take(&mut noise)).map(|message| message.reader().text());
            let mut data = body().message(BUS, "Frob", 7);
            let index = at % data.len();
            data[index] = with;
            let _ = message_length(&data);
            let _ = Message::parse(data).map(|message| message.reader().text());
        }
    }
}
