//! What init says, and what it is answered: a message, or an error; a fault is the same when it is
//! told again.

use knarr::channel::{FromInit, InitEnd, ParentEnd, pair};
use knarr::fault::Refusal;
use knarr::sys::{Errno, socket};
use std::fs::File;
use std::os::fd::AsFd;

/// What can come in one message.
const ROOM: usize = 2048;

/// The first byte says whether a descriptor comes along, the others are the message.
pub fn run(input: &[u8]) {
    let Some((first, message)) = input.split_first().filter(|(_, message)| message.len() <= 2 * ROOM) else {
        return;
    };
    let null = File::open("/dev/null").expect("/dev/null");
    let (ours, theirs) = socket::seqpacket_pair().expect("socketpair");
    let pass = (first & 1 == 1).then(|| null.as_fd());
    socket::send(theirs.as_fd(), message, pass).expect("sendmsg");
    match ParentEnd::new(ours).hear() {
        Ok(Some(FromInit::Terminal(_))) => assert!(message[0] == b'T' && pass.is_some()),
        Ok(Some(FromInit::ListenerItself(_))) => assert!(message[0] == b'D' && pass.is_some()),
        Ok(Some(FromInit::Failed(fault))) => {
            let Refusal { call, errno, text } = &fault.refusal;
            let length = 5 + fault.field.len() + call.len() + text.len() + 2;
            // A number that is no errno cannot be told.
            let is_told = *errno != Some(Errno::UnknownErrno);
            let (parent, init) = pair().expect("socketpair");
            init.tell(&FromInit::Failed(fault.clone())).expect("write");
            match parent.hear() {
                Ok(Some(FromInit::Failed(again))) => assert!(again == fault || length > ROOM || !is_told),
                other => panic!("{other:?} in place of {fault:?}"),
            }
        }
        Ok(None) => assert!(message.is_empty()),
        _ => {}
    }
    for read in [InitEnd::await_done, InitEnd::read_done] {
        let (ours, theirs) = socket::seqpacket_pair().expect("socketpair");
        socket::send(theirs.as_fd(), message, pass).expect("sendmsg");
        // What is longer than any answer is cut, and no answer.
        assert_eq!(read(&InitEnd::new(ours)).is_ok(), message == b"done");
    }
}
