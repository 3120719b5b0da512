//! What parent and init do alike: each calls it for the plan's step that is its own, by descriptors
//! and pids.

pub mod filesystem;
pub mod labels;
pub mod process;
pub mod trees;
