//! ttrpc: frames of ten bytes and a payload, over a stream (containerd/ttrpc's PROTOCOL.md).

use super::api::{Response, Status};
use crate::protobuf::Declared;

/// The longest payload, in bytes.
pub const PAYLOAD_MAX: usize = 4 << 20;

/// Length, stream, kind and flags, the numbers in network order.
const HEADER: usize = 10;

/// What a frame is.
pub mod kind {
    pub const REQUEST: u8 = 1;
    pub const RESPONSE: u8 = 2;
}

/// Codes of google.rpc.Status that containerd tells apart.
pub mod code {
    pub const UNKNOWN: i32 = 2;
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const NOT_FOUND: i32 = 5;
    pub const ALREADY_EXISTS: i32 = 6;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const FAILED_PRECONDITION: i32 = 9;
    pub const UNIMPLEMENTED: i32 = 12;
    pub const UNAVAILABLE: i32 = 14;
}

/// A call that was not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// One of [`code`].
    pub code: i32,
    /// What is told.
    pub message: String,
}

impl Refused {
    /// With a code.
    pub fn new(code: i32, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into() }
    }
}

impl From<anyhow::Error> for Refused {
    fn from(err: anyhow::Error) -> Refused {
        Refused::new(code::UNKNOWN, crate::log::message(&err))
    }
}

/// One message of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole one.
    Whole {
        /// Which call it belongs to.
        stream: u32,
        /// One of [`kind`].
        kind: u8,
        /// The message.
        payload: Vec<u8>,
    },
    /// One whose payload is too long, and is skipped.
    Oversized {
        /// Which call it belongs to.
        stream: u32,
        /// How long it is.
        length: usize,
    },
}

/// A frame with this payload.
pub fn frame(stream: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(payload);
    out
}

/// The frame that answers a call.
pub fn response(stream: u32, answer: Result<Vec<u8>, Refused>) -> Vec<u8> {
    let response = match answer {
        Ok(payload) if payload.len() > PAYLOAD_MAX => {
            refusal(code::RESOURCE_EXHAUSTED, "the answer is too long")
        }
        Ok(payload) => Response { status: None, payload },
        Err(Refused { code, message }) => refusal(code, &message),
    };
    frame(stream, kind::RESPONSE, &response.encode())
}

fn refusal(code: i32, message: &str) -> Response {
    Response { status: Some(Status { code, message: message.into() }), payload: Vec::new() }
}

/// What has come over a connection and is not a whole frame yet.
#[derive(Debug, Default)]
pub struct Inbox {
    data: Vec<u8>,
    /// How much of a payload that is too long is still to come.
    skip: usize,
}

impl Inbox {
    /// Take over what was read.
    pub fn put(&mut self, data: &[u8]) {
        let skipped = self.skip.min(data.len());
        self.skip -= skipped;
        self.data.extend_from_slice(&data[skipped..]);
    }

    /// The next frame; none until more has come.
    pub fn take(&mut self) -> Option<Frame> {
        let (header, rest) = self.data.split_first_chunk::<HEADER>()?;
        let [a, b, c, d, e, f, g, h, kind, _flags] = *header;
        let (length, stream) = (u32::from_be_bytes([a, b, c, d]) as usize, u32::from_be_bytes([e, f, g, h]));
        if length > PAYLOAD_MAX {
            let here = rest.len().min(length);
            self.skip = length - here;
            self.data.drain(..HEADER + here);
            return Some(Frame::Oversized { stream, length });
        }
        let payload = rest.get(..length)?.to_vec();
        self.data.drain(..HEADER + length);
        if self.data.is_empty() {
            // A long message leaves no memory behind.
            self.data = Vec::new();
        }
        Some(Frame::Whole { stream, kind, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::{ProcessRequest, Request};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_call_is_as_containerds_client_sends_it() {
        let payload = ProcessRequest { id: "c1".into(), exec_id: String::new() }.encode();
        let service = "containerd.task.v2.Task".into();
        let request = Request { service, method: "State".into(), payload, timeout_ns: 2_000_000_000 };
        let golden =
            b"\x00\x00\x00\x2c\x00\x00\x00\x01\x01\x00\x0a\x17containerd.task.v2.Task\x12\x05State\x1a\x04\
                       \x0a\x02c1\x20\x80\xa8\xd6\xb9\x07";
        assert_eq!(frame(1, kind::REQUEST, &request.encode()), golden);
        let mut inbox = Inbox::default();
        for byte in golden {
            assert_eq!(inbox.take(), None);
            inbox.put(&[*byte]);
        }
        let Some(Frame::Whole { stream: 1, kind: kind::REQUEST, payload }) = inbox.take() else { panic!() };
        assert_eq!(Request::decode(&payload), Some(request));
        assert_eq!(inbox.take(), None);
    }

    #[test]
    fn an_answer_is_as_containerds_client_reads_it() {
        assert_eq!(
            response(3, Ok(b"\x08\x07".into())),
            b"\x00\x00\x00\x04\x00\x00\x00\x03\x02\x00\x12\x02\x08\x07"
        );
        assert_eq!(response(3, Ok(Vec::new())), b"\x00\x00\x00\x00\x00\x00\x00\x03\x02\x00");
        let refused = Refused::new(code::NOT_FOUND, "no");
        let golden = b"\x00\x00\x00\x08\x00\x00\x00\x05\x02\x00\x0a\x06\x08\x05\x12\x02no";
        assert_eq!(response(5, Err(refused)), golden);
    }

    #[test]
    fn what_is_too_long_is_skipped() {
        let mut inbox = Inbox::default();
        inbox.put(b"\x00\x40\x00\x01\x00\x00\x00\x07\x01\x00");
        assert_eq!(inbox.take(), Some(Frame::Oversized { stream: 7, length: PAYLOAD_MAX + 1 }));
        for _ in 0..PAYLOAD_MAX / 4096 {
            inbox.put(&[1; 4096]);
            assert_eq!(inbox.take(), None);
        }
        inbox.put(b"x\x00\x00\x00\x01\x00\x00\x00\x09\x01\x00y");
        assert_eq!(inbox.take(), Some(Frame::Whole { stream: 9, kind: 1, payload: b"y".into() }));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_ends_the_program(pieces: Vec<Vec<u8>>) {
            let mut inbox = Inbox::default();
            for piece in pieces {
                inbox.put(&piece);
                while let Some(frame) = inbox.take() {
                    if let Frame::Whole { payload, .. } = frame {
                        let _ = Request::decode(&payload);
                    }
                }
            }
        }
    }
}
