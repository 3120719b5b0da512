//! `update --device-add` and `--device-remove`: the rule and the node of a device, in one act.

use super::mounts::{converse, init_of, take};
use crate::cgroup::Filters;
use crate::config::Config;
use crate::config::added::AddedDevice;
use crate::config::device_rules::DeviceRule;
use crate::fault::Fault;
use crate::host::Host;
use crate::log;
use crate::plan::{Planned, Step, added, devices};
use crate::state::Container;
use crate::sys::mount::MountId;
use anyhow::{Context, Result, bail};
use std::os::fd::{AsFd, OwnedFd};

/// One device, and what becomes of it.
#[derive(Debug, Clone)]
pub enum Act {
    Add(AddedDevice),
    Remove(AddedDevice),
}

impl Act {
    fn inverse(self) -> Act {
        match self {
            Act::Add(device) => Act::Remove(device),
            Act::Remove(device) => Act::Add(device),
        }
    }

    /// What errors begin with.
    fn option(&self) -> String {
        match self {
            Act::Add(device) => format!("--device-add {}", device.node.path),
            Act::Remove(device) => format!("--device-remove {}", device.node.path),
        }
    }
}

/// A container whose devices change, with all that is known of it.
#[derive(Debug)]
pub struct Devices<'a> {
    pub container: &'a mut Container,
    pub config: &'a Config,
    pub host: &'a Host,
}

impl Devices<'_> {
    /// Take all acts, or none.
    pub fn take(&mut self, acts: &[Act]) -> Result<()> {
        for (number, act) in acts.iter().enumerate() {
            if let Err(cause) = self.take_one(act).with_context(|| act.option()) {
                return Err(self.take_back(&acts[..number], cause));
            }
        }
        Ok(())
    }

    /// Take acts back, the last one first. What cannot be taken back is appended to the cause.
    pub fn take_back(&mut self, acts: &[Act], cause: anyhow::Error) -> anyhow::Error {
        let mut trouble = Vec::new();
        for act in acts.iter().rev() {
            // As it was recorded, with its mount.
            let known = |device: &AddedDevice| {
                self.container.state.devices.iter().find(|d| d.node.path == device.node.path)
            };
            let act = match act {
                Act::Add(device) => Act::Add(known(device).unwrap_or(device).clone()),
                Act::Remove(_) => act.clone(),
            };
            trouble.extend(self.take_one(&act.inverse()).err().map(|err| log::message(&err)));
        }
        match trouble.as_slice() {
            [] => cause,
            trouble => cause.context(format!("[then, cleaning up: {}]", trouble.join("; "))),
        }
    }

    /// The rule comes first. Where a node cannot be made, the rule is as before. Where it cannot be
    /// taken away, as the container has covered it, the rule stays gone: what is left opens
    /// nothing.
    fn take_one(&mut self, act: &Act) -> Result<()> {
        let state = &self.container.state;
        let before = (state.device_rules.clone(), state.devices.clone());
        let (mut rules, mut list) = before.clone();
        match act {
            Act::Add(device) => {
                rules.push(device.rule());
                list.push(device.clone());
            }
            Act::Remove(device) => {
                // In new rules of `update --resources` it may be no more.
                rules.iter().rposition(|rule| *rule == device.rule()).map(|at| rules.remove(at));
                list.retain(|known| known.node.path != device.node.path);
            }
        }
        self.filter(&rules)?;
        let state = &mut self.container.state;
        (state.device_rules, state.devices) = (rules, list);
        let done = self.container.dir.save(&self.container.state).and_then(|()| self.node(act));
        done.map_err(|cause| {
            let put_back = match act {
                Act::Add(_) => self.filter(&before.0).map(|()| self.container.state.device_rules = before.0),
                Act::Remove(_) => Ok(()),
            };
            let put_back = put_back.and_then(|()| {
                self.container.state.devices = before.1;
                self.container.dir.save(&self.container.state)
            });
            match put_back {
                Ok(()) => cause,
                Err(err) => cause.context(format!("[then, putting back: {}]", log::message(&err))),
            }
        })
    }

    /// An ordinary user's container has no filter.
    fn filter(&self, rules: &[DeviceRule]) -> Result<()> {
        if !self.host.is_root {
            return Ok(());
        }
        let insns = devices::compile(rules)?.unwrap_or_default();
        let filtered = self.container.cgroup()?.filter_devices(&insns, Filters::Replaced);
        Ok(filtered.map_err(|refusal| refusal.of(""))?)
    }

    fn node(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Add(device) => {
                let addition = added::add_device(self.config, self.host, device)?;
                let mut trees = Vec::new();
                for planned in &addition.taken {
                    let taken = take(&planned.step, None).map_err(|refusal| -> Fault { refusal.of("") });
                    trees.push(Some(taken?));
                }
                let made = self.converse(&addition.steps, trees);
                if made.is_err() {
                    // A file that the device was to be mounted on.
                    let steps = added::remove_device(self.config, self.host, device)?;
                    let _ = self.converse_to_clean(&steps, &made);
                }
                made
            }
            Act::Remove(device) => {
                let steps = added::remove_device(self.config, self.host, device)?;
                self.converse(&steps, Vec::new())
            }
        }
    }

    /// Only after the place was vacant there is something of this command's.
    fn converse_to_clean(&mut self, steps: &[Planned<Step>], made: &Result<()>) -> Result<()> {
        let was_there = made.as_ref().err().is_some_and(|cause| {
            let errno = cause.downcast_ref::<Fault>().and_then(|fault| fault.refusal.errno);
            errno == Some(crate::sys::Errno::EEXIST)
        });
        if was_there { Ok(()) } else { self.converse(steps, Vec::new()) }
    }

    fn converse(&mut self, steps: &[Planned<Step>], trees: Vec<Option<OwnedFd>>) -> Result<()> {
        let init = init_of(self.container)?;
        let about = self.container.state.about.clone();
        let container = &mut *self.container;
        converse(&about, &init, steps, trees, &mut |mount: OwnedFd| {
            let id = MountId::of(mount.as_fd()).context("statx")?;
            let Some(device) = container.state.devices.last_mut() else {
                bail!("the child mounts a device where it takes one away")
            };
            device.mount = Some(id);
            container.dir.save(&container.state)
        })
    }
}
