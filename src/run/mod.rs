//! The parent: acts on the plan in the host's namespaces, makes init, and undoes everything if anything fails.

mod birth;
pub mod create;
pub mod criu;
mod death;
pub mod delete;
pub mod exec;
pub mod foreground;
mod launch;
mod net_devices;
pub mod notify;
mod overlay;
pub mod rdt;
mod relay;
pub mod salvage;
mod scope;
pub mod seal;
mod settle;
pub mod start;
mod undo;
pub mod update;
