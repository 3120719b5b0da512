//! What hooks and users are told about a container, runtime.md: State.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What hooks are told about a container, runtime.md: State.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The version of the specification that the bundle follows.
    pub oci_version: String,
    pub id: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// From config.json.
    pub annotations: BTreeMap<String, String>,
}

impl About {
    /// The state in JSON. Without a process there is no pid.
    pub fn json(&self, status: &str, pid: Option<i32>) -> String {
        let mut state = json!({
            "ociVersion": self.oci_version,
            "id": self.id,
            "status": status,
            "bundle": self.bundle,
            "annotations": self.annotations,
        });
        if let Some(pid) = pid {
            state["pid"] = Value::from(pid);
        }
        state.to_string()
    }
}
