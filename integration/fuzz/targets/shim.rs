//! What a client of the shim sends: the same frames however they are parted, and messages that are
//! the same when they are written and read again, or none.

use knarr::protobuf::Declared;
use knarr::shim::api::{
    Any, BootstrapParams, CheckpointTaskRequest, CloseIoRequest, CreateSandboxRequest, CreateTaskRequest,
    ExecProcessRequest, KillRequest, Options, ProcessRequest, Request, ResizePtyRequest, RuntimeOptions,
    UpdateTaskRequest,
};
use knarr::shim::pod::Pod;
use knarr::shim::wire::{Frame, Inbox};
use std::fmt::Debug;
use std::path::Path;

/// The first byte says where the rest is parted.
pub fn run(input: &[u8]) {
    let Some((at, stream)) = input.split_first() else { return };
    let whole = frames(&[stream]);
    let (first, second) = stream.split_at(stream.len().min(usize::from(*at)));
    assert_eq!(frames(&[first, second]), whole);
    for frame in &whole {
        let Frame::Whole { payload, .. } = frame else { continue };
        again::<BootstrapParams>(payload);
        if let Some(any) = again::<Any>(payload) {
            let _ = Options::read(Some(&any));
        }
        if let Some(request) = again::<Request>(payload) {
            message(&request);
        }
    }
}

fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
    let mut inbox = Inbox::default();
    let mut all = Vec::new();
    for piece in pieces {
        inbox.put(piece);
        all.extend(std::iter::from_fn(|| inbox.take()));
    }
    all
}

fn message(request: &Request) {
    let payload = &request.payload;
    match request.method.as_str() {
        "Create" => {
            let options = again::<CreateTaskRequest>(payload).and_then(|request| request.options);
            if let Some(any) = options {
                again::<RuntimeOptions>(&any.value);
                let _ = Options::read(Some(&any));
            }
        }
        "CreateSandbox" => drop(again::<CreateSandboxRequest>(payload).map(|request| pod(&request))),
        "Exec" => drop(again::<ExecProcessRequest>(payload)),
        "Kill" => drop(again::<KillRequest>(payload)),
        "ResizePty" => drop(again::<ResizePtyRequest>(payload)),
        "CloseIO" => drop(again::<CloseIoRequest>(payload)),
        "Update" => drop(again::<UpdateTaskRequest>(payload)),
        "Checkpoint" => drop(again::<CheckpointTaskRequest>(payload)),
        _ => drop(again::<ProcessRequest>(payload)),
    }
}

/// Whatever a pod is to be, its config.json is loaded or refused.
fn pod(request: &CreateSandboxRequest) {
    if let Ok(pod) = Pod::read(&request.sandbox_id, request.options.as_ref(), &request.netns_path) {
        let _ = knarr::config::load(pod.config_json(None).to_string().as_bytes(), Path::new("/bundle"));
    }
}

fn again<T: Declared + PartialEq + Debug>(packet: &[u8]) -> Option<T> {
    let message = T::decode(packet)?;
    assert_eq!(T::decode(&message.encode()).as_ref(), Some(&message));
    Some(message)
}
