//! CRIU's protocol: requests and responses in Protocol Buffers, one a packet (CRIU's
//! images/rpc.proto).

use super::field::{kind, notify, req, resp, restore_resp, version};
use crate::protobuf::{Value, fields};

pub use crate::protobuf::Message;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_as_the_format_says() {
        let mut message = Message::default();
        message.number(1, 150).text(2, "testing").flag(3, false).flag(4, true).optional(5, None);
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
    }
}
