//! Where a container is in its life, and which commands that allows.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a container is in its life, runtime.md: State. `paused` is this runtime's addition to the
/// specification's four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` has not finished.
    Creating,
    /// Made; the process has not been started.
    Created,
    Running,
    /// All its processes are frozen.
    Paused,
    /// The process has ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

/// A command that depends on the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `start`.
    Start,
    /// `kill`.
    Kill,
    /// `delete` without `--force`.
    Delete,
    /// `exec`.
    Exec,
    /// `pause`.
    Pause,
    /// `resume`.
    Resume,
    /// `update`.
    Update,
    /// `events`.
    Events,
    /// `checkpoint`.
    Checkpoint,
    /// `mounts add` and `mounts remove`.
    Mounts,
}

/// The error of a command that the status does not allow; none where it does.
pub fn refuse(status: Status, command: Command, id: &str) -> Option<String> {
    use Status::{Created, Creating, Paused, Running, Stopped};
    match (command, status) {
        (Command::Start, Created) => None,
        (Command::Start, Stopped) => Some("cannot start a container that has stopped".into()),
        (Command::Start, Running) => Some("cannot start an already running container".into()),
        (Command::Start, Paused | Creating) => Some(format!("cannot start a container that is {status}")),
        (Command::Kill | Command::Update | Command::Mounts, Created | Running | Paused) => None,
        (Command::Pause, Created | Running) | (Command::Resume, Paused) => None,
        (Command::Kill | Command::Update | Command::Mounts, Stopped | Creating)
        | (Command::Pause, Stopped | Creating | Paused) => Some("container not running".into()),
        (Command::Resume, _) => Some("container not paused".into()),
        (Command::Events, Created | Running | Paused) => None,
        (Command::Events, Stopped | Creating) => Some(format!("container with id {id} is not running")),
        (Command::Checkpoint, Running | Paused) => None,
        (Command::Checkpoint, Created | Stopped | Creating) => {
            Some(format!("a container that is {status} cannot be checkpointed"))
        }
        (Command::Delete, Created | Stopped) => None,
        (Command::Exec, Created | Running) => None,
        (Command::Exec, Paused) => {
            Some("cannot exec in a paused container (--ignore-paused to wait in it)".into())
        }
        (Command::Exec, Stopped) => Some("cannot exec in a stopped container".into()),
        (Command::Exec, Creating) => Some("cannot exec in a container that is creating".into()),
        (Command::Delete, Running | Paused | Creating) => {
            Some(format!("cannot delete container {id} that is not stopped: {status}"))
        }
    }
}
