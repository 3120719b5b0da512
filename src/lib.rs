//! knarr: an OCI container runtime that compiles config.json to a plan and then runs the plan.
#![deny(unsafe_code)]

pub mod acts;
pub mod capability;
pub mod cgroup;
pub mod channel;
pub mod check;
pub mod child;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod fault;
pub mod hook;
pub mod host;
pub mod id;
#[cfg(feature = "image")]
pub mod image;
pub mod layer;
pub mod log;
pub mod nearest;
pub mod note;
pub mod nsresourced;
pub mod parent;
pub mod placeholder;
pub mod plan;
pub mod proc;
pub mod protobuf;
#[cfg(feature = "shim")]
pub mod shim;
pub mod state;
pub mod sys;
pub mod template;
pub mod time;
pub mod walk;
