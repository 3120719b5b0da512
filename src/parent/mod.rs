//! The parent: acts on the plan in the host's namespaces, makes init, and undoes everything if
//! anything fails.

pub mod added_devices;
mod birth;
pub mod bound;
pub mod create;
pub mod criu;
mod death;
pub mod delete;
pub mod exec;
pub mod foreground;
mod hooks;
mod host_steps;
mod launch;
mod making;
pub mod mounts;
mod net_devices;
pub mod notify;
mod overlay;
pub mod proxy;
pub mod rdt;
mod record;
mod relay;
pub mod salvage;
mod scope;
pub mod seal;
pub mod settle;
pub mod start;
pub mod terminal;
pub mod timer;
pub mod update;
pub mod watch;
