//! Ranges of ids from systemd-nsresourced, asked for by Varlink: one JSON object each way, which a
//! zero byte ends, over a stream.

use crate::fault::{Call, Outcome, Refusal};
use crate::host::NSRESOURCED;
use crate::sys::{Errno, fs, socket};
use crate::time;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockType;
use serde_json::{Value, json};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the service may take. It asks for each range all that knows names of users.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 1 << 16;

const METHOD: &str = "io.systemd.NamespaceResource.AllocateUserRange";

/// Have a user namespace that maps nothing yet map this many ids, from 0 on: 1 or 65536, to as many
/// that nobody else has. They are its own until it is gone.
pub fn map_ids(namespace: BorrowedFd<'_>, size: u32) -> Outcome {
    // No two live namespaces have the same number, and the service wants one name for each. It
    // puts the caller's uid before it.
    let number = fs::stat_fd(namespace).call(|| "fstat of the user namespace".into())?.st_ino;
    let parameters = json!({ "name": format!("k{number}"), "size": size, "target": 0,
        "userNamespaceFileDescriptor": 0 });
    let mut call = json!({ "method": METHOD, "parameters": parameters }).to_string().into_bytes();
    call.push(0);
    let service = socket::connect_to(Path::new(NSRESOURCED), SockType::Stream)
        .call(|| format!("connect {NSRESOURCED}"))?;
    socket::send(service.as_fd(), &call, Some(namespace)).call(|| format!("write to {NSRESOURCED}"))?;
    understand(&answer(&service)?)
}

fn answer(service: &OwnedFd) -> Outcome<Vec<u8>> {
    let deadline = Instant::now() + time::at_most(TIMEOUT);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = PollTimeout::try_from(deadline.saturating_duration_since(Instant::now()));
        match poll(&mut [PollFd::new(service.as_fd(), PollFlags::POLLIN)], left.unwrap_or(PollTimeout::MAX)) {
            Ok(0) => {
                return Err(Refusal::message(format!(
                    "systemd-nsresourced does not answer within {TIMEOUT:?}"
                )));
            }
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(Refusal::kernel("poll", errno)),
        }
        let length =
            socket::receive(service.as_fd(), &mut buffer).call(|| format!("read from {NSRESOURCED}"))?.length;
        answer.extend_from_slice(&buffer[..length]);
        if answer.last() == Some(&0) {
            answer.pop();
            return Ok(answer);
        }
        if length == 0 || answer.len() > ANSWER_LIMIT {
            return Err(Refusal::message("systemd-nsresourced ends in the middle of its answer"));
        }
    }
}

/// An answer without `error` says that the mapping is written.
fn understand(answer: &[u8]) -> Outcome {
    let answer: Value = serde_json::from_slice(answer)
        .map_err(|err| Refusal::message(format!("systemd-nsresourced answers no JSON: {err}")))?;
    let Some(error) = answer.get("error") else { return Ok(()) };
    let error = error.as_str().unwrap_or("an error without a name");
    let text = match error.rsplit('.').next().unwrap_or_default() {
        "UserNamespaceInterfaceNotSupported" => {
            "it cannot watch over what gets these ids: this takes a kernel with CONFIG_BPF_LSM, CONFIG_KPROBES \
             and `bpf` in /sys/kernel/security/lsm, and libbpf"
                .into()
        }
        "NoDynamicRange" | "DynamicRangeUnavailable" => "it has no range left to give".into(),
        _ => match answer.get("parameters").and_then(Value::as_object) {
            Some(parameters) if !parameters.is_empty() => {
                Value::Object(parameters.clone()).to_string().chars().filter(|c| !c.is_control()).collect()
            }
            _ => String::new(),
        },
    };
    let error: String = error.chars().filter(|c| !c.is_control()).take(200).collect();
    Err(Refusal::message(format!("systemd-nsresourced: {error}")).with_text(text))
}

#[cfg(test)]
mod tests {
    use super::understand;

    #[test]
    fn an_error_is_told_with_what_it_means() {
        let told = |answer: &str| understand(answer.as_bytes()).map_err(|refusal| refusal.to_string());
        assert_eq!(told(r#"{"parameters":{}}"#), Ok(()));
        assert_eq!(told("{}"), Ok(()));
        let error = |name: &str, parameters: &str| {
            let prefix = "io.systemd.NamespaceResource.";
            told(&format!(r#"{{"error":"{prefix}{name}","parameters":{parameters}}}"#)).unwrap_err()
        };
        assert!(error("UserNamespaceInterfaceNotSupported", "{}").contains("CONFIG_BPF_LSM"));
        assert!(error("NoDynamicRange", "{}").ends_with("no range left to give"));
        assert_eq!(error("NameExists", "{}"), "systemd-nsresourced: io.systemd.NamespaceResource.NameExists");
        assert!(error("X", r#"{"errno":87}"#).ends_with(r#"{"errno":87}"#));
        assert!(told("[").unwrap_err().contains("no JSON"));
    }
}
