//! CRIU's protocol: requests and responses in Protocol Buffers, one a packet (CRIU's
//! images/rpc.proto).

use super::field::{kind, notify, req, resp, restore_resp, version};

/// A message that is written: fields in the order of their numbers or not, as the format allows.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A number, also of an enumeration. Negative ones are not sent.
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
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A request of this kind, with options where it has any.
pub fn request(kind: u64, options: Option<&Message>) -> Message {
    let mut request = Message::default();
    request.number(req::TYPE, kind);
    if let Some(options) = options {
        request.message(req::OPTS, options);
    }
    request
}

/// The answer to a notification.
pub fn notified(success: bool) -> Message {
    let mut request = request(kind::NOTIFY, None);
    request.number(req::NOTIFY_SUCCESS, success.into());
    request
}

/// What CRIU says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// What was asked for, or `NOTIFY`.
    pub kind: u64,
    /// Whether it was done.
    pub success: bool,
    /// Of a notification.
    pub script: String,
    /// Of a notification, or of the restored process.
    pub pid: i32,
    /// An errno, 0 where there is none to tell.
    pub errno: i32,
    /// What went wrong first.
    pub error: String,
    /// Major and minor.
    pub version: (u64, u64),
}

impl Response {
    /// Read a packet; none if it is not well formed. What is not known is skipped.
    pub fn read(packet: &[u8]) -> Option<Response> {
        let mut response = Response::default();
        for (field, value) in fields(packet)? {
            match (field, value) {
                (resp::TYPE, Value::Number(kind)) => response.kind = kind,
                (resp::SUCCESS, Value::Number(success)) => response.success = success != 0,
                (resp::RESTORE, Value::Bytes(restored)) => {
                    response.pid = number_in(restored, restore_resp::PID)? as i32;
                }
                (resp::NOTIFY, Value::Bytes(told)) => {
                    for (field, value) in fields(told)? {
                        match (field, value) {
                            (notify::SCRIPT, Value::Bytes(script)) => response.script = text(script),
                            (notify::PID, Value::Number(pid)) => response.pid = pid as i32,
                            _ => {}
                        }
                    }
                }
                (resp::ERRNO, Value::Number(errno)) => response.errno = errno as i32,
                (resp::ERROR_MESSAGE, Value::Bytes(error)) => response.error = text(error),
                (resp::VERSION, Value::Bytes(said)) => {
                    response.version = (number_in(said, version::MAJOR)?, number_in(said, version::MINOR)?);
                }
                _ => {}
            }
        }
        Some(response)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').into()
}

/// The number in this field of a message, 0 if it is left out.
fn number_in(message: &[u8], wanted: u32) -> Option<u64> {
    let number = |(field, value)| match value {
        Value::Number(number) if field == wanted => Some(number),
        _ => None,
    };
    Some(fields(message)?.into_iter().find_map(number).unwrap_or_default())
}

/// The value of a field; texts and messages look alike.
#[derive(Debug, PartialEq, Eq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut data: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_as_the_format_says() {
        // From the description of the format: field 1, 150 is 08 96 01; field 2, "testing" is 12 07
        // and the text.
        let mut message = Message::default();
        message.number(1, 150).text(2, "testing").flag(3, false).flag(4, true).optional(5, None);
        assert_eq!(message.bytes(), b"\x08\x96\x01\x12\x07testing\x20\x01");
        assert_eq!(request(kind::VERSION, None).bytes(), b"\x08\x0a");
        assert_eq!(request(kind::DUMP, Some(&message)).bytes()[..4], [8, 1, 0x12, 14]);
        assert_eq!(notified(true).bytes(), [8, 6, 0x18, 1]);
        assert_eq!(notified(false).bytes(), [8, 6, 0x18, 0]);
    }

    #[test]
    fn responses_are_read() {
        let version = b"\x08\x0a\x10\x01\x52\x06\x08\x04\x10\x01\x1a\x00";
        let read = Response::read(version).unwrap();
        assert_eq!((read.kind, read.success, read.version), (kind::VERSION, true, (4, 1)));
        let mut notify = Message::default();
        notify.text(1, "post-restore\0").number(2, 4711);
        let mut whole = Message::default();
        whole.number(1, kind::NOTIFY).number(2, 1).message(5, &notify).text(77, "later");
        let read = Response::read(whole.bytes()).unwrap();
        assert_eq!((read.script.as_str(), read.pid, read.success), ("post-restore", 4711, true));
        // A negative number is ten bytes.
        let read = Response::read(b"\x08\x01\x10\x00\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x4a\x02no");
        let read = read.unwrap();
        assert_eq!((read.success, read.errno, read.error.as_str()), (false, -1, "no"));
        for bad in
            [&b"\x08"[..], b"\x12\x05abc", b"\x0f", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
        {
            assert_eq!(Response::read(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_ends_the_program(packet: Vec<u8>) {
            let _ = Response::read(&packet);
        }

        #[test]
        fn numbers_and_texts_come_back(number: u64, text: Vec<u8>) {
            let mut message = Message::default();
            message.number(1, number).text(2, &text);
            let read = fields(message.bytes()).unwrap();
            prop_assert_eq!(read, vec![(1, Value::Number(number)), (2, Value::Bytes(&text))]);
        }
    }
}
