//! Protocol Buffers: the encoding (protobuf.dev/programming-guides/encoding), and messages that are
//! declared as the fields that they have.

use std::collections::BTreeMap;

/// A message that is written: fields in the order of their numbers or not, as the format allows.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A number, also of an enumeration. A negative one is sent as its two's complement.
    pub fn number(&mut self, field: u32, value: u64) -> &mut Message {
        varint(&mut self.0, u64::from(field) << 3);
        varint(&mut self.0, value);
        self
    }

    /// A flag that is set; one that is not is left out.
    pub fn flag(&mut self, field: u32, value: bool) -> &mut Message {
        if value { self.number(field, 1) } else { self }
    }

    /// A text.
    pub fn text(&mut self, field: u32, value: impl AsRef<[u8]>) -> &mut Message {
        let value = value.as_ref();
        varint(&mut self.0, u64::from(field) << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A text, if there is one.
    pub fn optional(&mut self, field: u32, value: Option<&str>) -> &mut Message {
        match value {
            Some(value) => self.text(field, value),
            None => self,
        }
    }

    /// A message in the message.
    pub fn message(&mut self, field: u32, value: &Message) -> &mut Message {
        self.text(field, &value.0)
    }

    /// The packet.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The packet, for who keeps it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The value of a field; texts and messages look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, a flag or one of an enumeration.
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in the order in which they were written; none if it is not well formed.
pub fn fields(mut data: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let key = take_varint(&mut data)?;
        let value = match key & 7 {
            0 => Value::Number(take_varint(&mut data)?),
            1 => Value::Bytes(take(&mut data, 8)?),
            2 => {
                let length = take_varint(&mut data)?;
                Value::Bytes(take(&mut data, length)?)
            }
            5 => Value::Bytes(take(&mut data, 4)?),
            _ => return None,
        };
        found.push((u32::try_from(key >> 3).ok()?, value));
    }
    Some(found)
}

fn take<'a>(data: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = data.split_at_checked(usize::try_from(length).ok()?)?;
    *data = rest;
    Some(taken)
}

fn take_varint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(data, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A message with fields of its own, as `declare!` makes one.
pub trait Declared: Default {
    /// Put the fields into `out`; what has its default is left out.
    fn put(&self, out: &mut Message);
    /// Take one field over; one that is not known is skipped. None if it is not well formed.
    fn take(&mut self, field: u32, value: Value<'_>) -> Option<()>;

    /// The packet.
    fn encode(&self) -> Vec<u8> {
        let mut out = Message::default();
        self.put(&mut out);
        out.into_bytes()
    }

    /// Read a packet; none if it is not well formed.
    fn decode(packet: &[u8]) -> Option<Self> {
        let mut message = Self::default();
        fields(packet)?.into_iter().try_for_each(|(field, value)| message.take(field, value))?;
        Some(message)
    }
}

/// What a field of a declared message may be.
pub trait Field {
    /// Put it into a message.
    fn put(&self, field: u32, out: &mut Message);
    /// Take a value over; the last of several counts, and a list has all. None if it is of another
    /// kind.
    fn take(&mut self, value: Value<'_>) -> Option<()>;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn put(&self, field: u32, out: &mut Message) {
                if *self != 0 {
                    out.number(field, *self as u64);
                }
            }

            fn take(&mut self, value: Value<'_>) -> Option<()> {
                let Value::Number(number) = value else { return None };
                *self = number as $type;
                Some(())
            }
        }
    )*};
}

number!(u32, i32, u64, i64);

impl Field for bool {
    fn put(&self, field: u32, out: &mut Message) {
        out.flag(field, *self);
    }

    fn take(&mut self, value: Value<'_>) -> Option<()> {
        let Value::Number(number) = value else { return None };
        *self = number != 0;
        Some(())
    }
}

/// The bytes of a value that has some.
fn bytes<'a>(value: &Value<'a>) -> Option<&'a [u8]> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Number(_) => None,
    }
}

impl Field for String {
    fn put(&self, field: u32, out: &mut Message) {
        if !self.is_empty() {
            out.text(field, self);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Option<()> {
        *self = String::from_utf8(bytes(&value)?.into()).ok()?;
        Some(())
    }
}

impl Field for Vec<u8> {
    fn put(&self, field: u32, out: &mut Message) {
        if !self.is_empty() {
            out.text(field, self);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Option<()> {
        *self = bytes(&value)?.into();
        Some(())
    }
}

impl Field for Vec<String> {
    fn put(&self, field: u32, out: &mut Message) {
        for text in self {
            out.text(field, text);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Option<()> {
        let mut text = String::new();
        text.take(value)?;
        self.push(text);
        Some(())
    }
}

impl<T: Declared> Field for Option<T> {
    fn put(&self, field: u32, out: &mut Message) {
        if let Some(message) = self {
            out.text(field, message.encode());
        }
    }

    fn take(&mut self, value: Value<'_>) -> Option<()> {
        *self = Some(T::decode(bytes(&value)?)?);
        Some(())
    }
}

impl<T: Declared> Field for Vec<T> {
    fn put(&self, field: u32, out: &mut Message) {
        for message in self {
            out.text(field, message.encode());
        }
    }

    fn take(&mut self, value: Value<'_>) -> Option<()> {
        self.push(T::decode(bytes(&value)?)?);
        Some(())
    }
}

/// A map is a list of messages with a key and a value.
impl Field for BTreeMap<String, String> {
    fn put(&self, field: u32, out: &mut Message) {
        for (key, value) in self {
            let mut pair = Message::default();
            pair.text(1, key).text(2, value);
            out.message(field, &pair);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Option<()> {
        let (mut key, mut text) = (String::new(), String::new());
        for (field, value) in fields(bytes(&value)?)? {
            match field {
                1 => key.take(value)?,
                2 => text.take(value)?,
                _ => {}
            }
        }
        self.insert(key, text);
        Some(())
    }
}

/// Messages by the fields that they have: `struct Name { field: type = number, … }`.
#[allow(unused_macros, reason = "only the shim has such messages")]
macro_rules! declare {
    ($($(#[$meta:meta])* struct $name:ident { $($field:ident: $type:ty = $number:literal),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        impl $crate::protobuf::Declared for $name {
            fn put(&self, _out: &mut $crate::protobuf::Message) {
                $($crate::protobuf::Field::put(&self.$field, $number, _out);)*
            }

            fn take(&mut self, field: u32, _value: $crate::protobuf::Value<'_>) -> Option<()> {
                match field {
                    $($number => $crate::protobuf::Field::take(&mut self.$field, _value),)*
                    _ => Some(()),
                }
            }
        }
    )*};
}
#[allow(unused_imports, reason = "only the shim has such messages")]
pub(crate) use declare;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    declare! {
        /// Inner.
        struct Inner { text: String = 1 }
        /// All kinds.
        struct Outer {
            number: u64 = 1,
            signed: i32 = 2,
            flag: bool = 3,
            text: String = 4,
            bytes: Vec<u8> = 5,
            list: Vec<String> = 6,
            inner: Option<Inner> = 7,
            inners: Vec<Inner> = 8,
            map: BTreeMap<String, String> = 100,
        }
    }

    #[test]
    fn messages_are_as_the_format_says() {
        // From the description of the format: field 1, 150 is 08 96 01; field 2, "testing" is 12 07
        // and the text.
        let mut message = Message::default();
        message.number(1, 150).text(2, "testing").flag(3, false).flag(4, true).optional(5, None);
        assert_eq!(message.bytes(), b"\x08\x96\x01\x12\x07testing\x20\x01");
        let outer = Outer {
            number: 150,
            signed: -2,
            flag: true,
            text: "testing".into(),
            bytes: vec![0],
            list: vec!["a".into(), String::new()],
            inner: Some(Inner::default()),
            inners: vec![Inner { text: "b".into() }],
            map: BTreeMap::from([("k".into(), "v".into())]),
        };
        let golden =
            b"\x08\x96\x01\x10\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x18\x01\x22\x07testing\x2a\x01\x00\
                       \x32\x01a\x32\x00\x3a\x00\x42\x03\x0a\x01b\xa2\x06\x06\x0a\x01k\x12\x01v";
        assert_eq!(outer.encode(), golden);
        assert_eq!(Outer::decode(golden), Some(outer));
        assert_eq!(Outer::default().encode(), b"");
    }

    #[test]
    fn what_is_not_well_formed_is_no_message() {
        for bad in
            [&b"\x08"[..], b"\x22\x05abc", b"\x0f", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
        {
            assert_eq!(Outer::decode(bad), None, "{bad:?}");
        }
        // Of another kind than the field, not UTF-8, and a message in the message that ends early.
        for bad in [&b"\x0a\x00"[..], b"\x20\x01", b"\x22\x01\xff", b"\x3a\x02\x0a\x05"] {
            assert_eq!(Outer::decode(bad), None, "{bad:?}");
        }
        assert_eq!(Outer::decode(b"\xfa\x01\x01x\xf9\x01abcdefgh\xfd\x01abcd"), Some(Outer::default()));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_ends_the_program(packet: Vec<u8>) {
            let _ = Outer::decode(&packet);
        }

        #[test]
        fn messages_come_back(number: u64, signed: i32, text: String, bytes: Vec<u8>, list: Vec<String>) {
            let outer = Outer { number, signed, text, bytes, list, ..Outer::default() };
            prop_assert_eq!(Outer::decode(&outer.encode()), Some(outer));
        }
    }
}
