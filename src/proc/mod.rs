//! The texts of the kernel's files: one home for each format, pure, so that whoever reads such a
//! file has the same rules.

pub mod cgroup;
pub mod list;
pub mod mountinfo;
pub mod passwd;
pub mod stat;
