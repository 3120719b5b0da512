//! The config.json that `knarr spec` writes.

use anyhow::Result;
use serde_json::{Value, json};

/// A config.json that runs `sh` on a terminal in new namespaces, as engines and people expect from
/// `runc spec`.
pub const DEFAULT: &str = include_str!("spec.json");

/// The same for an ordinary user: root inside is that user, the network is the host's, and nothing
/// is limited.
pub fn rootless(uid: u32, gid: u32) -> Result<String> {
    let mut spec: Value = serde_json::from_str(DEFAULT)?;
    let linux = &mut spec["linux"];
    let of_type = |value: &Value, name: &str| value["type"] == name;
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| !of_type(namespace, "network"));
        namespaces.push(json!({ "type": "user" }));
    }
    linux["uidMappings"] = json!([{ "containerID": 0, "hostID": uid, "size": 1 }]);
    linux["gidMappings"] = json!([{ "containerID": 0, "hostID": gid, "size": 1 }]);
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    for mount in spec["mounts"].as_array_mut().into_iter().flatten() {
        if of_type(mount, "sysfs") {
            // What is mounted below it is the user's to write to in part: the cgroups of their
            // session.
            let options = ["rbind", "nosuid", "noexec", "nodev", "rro"];
            *mount = json!({ "destination": "/sys", "type": "none", "source": "/sys", "options": options });
        } else if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
            // Only one group is mapped.
            options.retain(|option| option != "gid=5");
        }
    }
    Ok(format!("{spec:#}\n"))
}

/// What a caller wants otherwise than the default has it.
pub struct Changes<'a> {
    /// `process.terminal` is false.
    pub no_terminal: bool,
    /// `root.readonly` is false.
    pub writable: bool,
    /// `process.args`, unless it is empty.
    pub command: &'a [String],
}

/// The config.json `text` with these changes. Without any it stays as it is, to the letter.
pub fn changed(text: String, changes: &Changes<'_>) -> Result<String> {
    if !changes.no_terminal && !changes.writable && changes.command.is_empty() {
        return Ok(text);
    }
    let mut spec: Value = serde_json::from_str(&text)?;
    if changes.no_terminal {
        spec["process"]["terminal"] = false.into();
    }
    if changes.writable {
        spec["root"]["readonly"] = false.into();
    }
    if !changes.command.is_empty() {
        spec["process"]["args"] = changes.command.into();
    }
    Ok(format!("{spec:#}\n"))
}
