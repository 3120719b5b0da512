//! `start`, and the second half of `run`.

use super::StepFault;
use super::create::run_hook;
use super::delete;
use crate::channel::{FromInit, ParentEnd};
use crate::state::{Command, Container};
use anyhow::{Context, Result, bail};

/// Let a created container's process run. A failing startContainer hook or execve(2) is this command's error.
pub fn start(container: Container) -> Result<()> {
    container.allow(Command::Start)?;
    let Some(connection) = container.dir.connect()? else { bail!("cannot start an already running container") };
    let channel = ParentEnd::new(connection);
    channel.done().context("the container's init is gone")?;
    finish(container, &channel).map(drop)
}

/// Wait until init has become the process, and run the poststart hooks. One that fails destroys the container.
pub fn finish(container: Container, channel: &ParentEnd) -> Result<Container> {
    match channel.hear().context("recvmsg from init")? {
        // execve(2) has closed init's end.
        None => {}
        Some(FromInit::Failed(fault)) => return Err(StepFault::from(fault).into()),
        Some(_) => bail!("init speaks out of turn"),
    }
    let about = &container.state.about;
    let state = about.json("running", Some(container.state.pid));
    for hook in &container.state.poststart {
        if let Err(cause) = run_hook(hook, &state, &about.bundle) {
            let gone = delete::destroy(container);
            return Err(match gone {
                Ok(warnings) if warnings.is_empty() => cause,
                Ok(warnings) => cause.context(format!("[then, cleaning up: {}]", warnings.join("; "))),
                Err(err) => cause.context(format!("[then, cleaning up: {}]", crate::log::message(&err))),
            });
        }
    }
    Ok(container)
}
