//! The hooks of the runtime's namespaces.

use crate::config::{Hook, Hooks};
use crate::hook;
use crate::state::About;
use crate::sys::process::environment;
use anyhow::Result;
use std::path::Path;

/// Run one hook of the runtime's namespaces; its failure names it.
pub(super) fn run_hook(hook: &Hook, state: &str, cwd: &Path) -> Result<()> {
    hook::run(hook, state, cwd, &environment).map_err(|refusal| refusal.of(&hook.field).into())
}

/// Run those that come before the process: prestart and createRuntime.
pub(super) fn host_hooks(hooks: &Hooks, about: &About, pid: i32) -> Result<()> {
    let state = about.json("creating", Some(pid));
    hooks
        .prestart
        .iter()
        .chain(&hooks.create_runtime)
        .try_for_each(|hook| run_hook(hook, &state, &about.bundle))
}

/// Run all poststop hooks; a failing one is a warning and does not keep the others from running.
pub(super) fn run_poststop(hooks: &[Hook], about: &About) -> Vec<String> {
    let state = about.json("stopped", None);
    let run = |hook: &Hook| hook::run(hook, &state, &about.bundle, &environment).err();
    hooks.iter().filter_map(run).map(|refusal| refusal.to_string()).collect()
}
