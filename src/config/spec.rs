//! The config.json that `knarr spec` writes.

/// A config.json that runs `sh` on a terminal in new namespaces, as engines and people expect from `runc spec`.
pub const DEFAULT: &str = include_str!("spec.json");
