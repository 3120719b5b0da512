//! What CRIU says: a response that is the same when it is written and read again, or none.

use knarr::parent::criu::rpc::{Message, Response};

/// One packet.
pub fn run(packet: &[u8]) {
    let Some(response) = Response::read(packet) else { return };
    let mut notification = Message::default();
    notification.text(1, &response.script).number(2, i64::from(response.pid) as u64);
    let mut version = Message::default();
    version.number(1, response.version.0).number(2, response.version.1);
    let mut again = Message::default();
    again
        .number(1, response.kind)
        .flag(2, response.success)
        .message(5, &notification)
        .number(7, i64::from(response.errno) as u64)
        .text(9, &response.error)
        .message(10, &version);
    assert_eq!(Response::read(again.bytes()).as_ref(), Some(&response));
}
