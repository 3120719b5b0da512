//! knarr: an OCI container runtime that compiles config.json to a plan and then runs the plan.
#![deny(unsafe_code)]

pub mod config;
pub mod plan;
pub mod sys;
