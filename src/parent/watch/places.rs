//! What of config.json refuses the use of files and devices.

use super::files::{Access, Found, Use};
use crate::config::Config;
use crate::config::device_rules::{self, DeviceRule};
use crate::plan::devices;

/// The fields that do.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The destinations of mounts, in order.
    mounts: Vec<String>,
    readonly_paths: Vec<String>,
    /// None where the container has no filter of devices.
    device_rules: Option<Vec<DeviceRule>>,
}

/// Whether a container has a filter of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceFilter {
    Its,
    None,
}

/// A refusal: the kernel's answer, the field, and what would allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) errno: &'static str,
    pub(super) field: String,
    pub(super) cure: String,
}

impl Places {
    /// Of a container.
    pub fn of(config: &Config, filter: DeviceFilter) -> Places {
        let device_rules = (filter == DeviceFilter::Its).then(|| config.device_rules.clone());
        let mounts = config.mounts.iter().map(|mount| mount.destination.clone()).collect();
        Places { mounts, readonly_paths: config.readonly_paths.clone(), device_rules }
    }

    /// Why the kernel is about to refuse this, if one of these fields is the reason.
    pub(super) fn refusal(&self, asked: &Use) -> Option<Why> {
        match &asked.found {
            Found::Device(kind, major, minor) => {
                let rules = self.device_rules.as_ref()?;
                if devices::allow(rules, (*kind, *major, *minor), bits(asked.access)) {
                    return None;
                }
                let access: String = asked.access.letters().collect();
                let field = "linux.resources.devices".into();
                let cure =
                    format!("a rule of type {kind}, major {major}, minor {minor}, access {access} allows it");
                Some(Why { errno: "EPERM", field, cure })
            }
            Found::File(place) => {
                let meets = if place.is_there { asked.access.changes } else { asked.access.makes };
                if !(place.is_readonly && meets) {
                    return None;
                }
                let (field, cure) = self.of_mount(&place.mount);
                Some(Why { errno: "EROFS", field, cure })
            }
        }
    }

    /// The field that has a mount be read-only.
    fn of_mount(&self, mount: &str) -> (String, String) {
        let at = |list: &[String]| list.iter().rposition(|path| path == mount);
        if let Some(i) = at(&self.readonly_paths) {
            return (format!("linux.readonlyPaths[{i}]"), "without it there it can be written".into());
        }
        match (at(&self.mounts), mount) {
            (Some(i), _) => (format!("mounts[{i}].options"), "without ro there it can be written".into()),
            (None, "/") => ("root.readonly".into(), "false allows it, or a mount where it is".into()),
            (None, mount) => (format!("the mount at {mount:?}"), "which is read-only".into()),
        }
    }
}

fn bits(access: Access) -> device_rules::Access {
    use device_rules::Access as Bits;
    Bits(if access.reads { Bits::READ.0 } else { 0 } | if access.writes { Bits::WRITE.0 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::super::files::Place;
    use super::*;

    fn places() -> Places {
        let rule = DeviceRule {
            allow: true,
            kind: device_rules::DeviceKind::Char,
            major: Some(10),
            minor: None,
            access: device_rules::Access::READ,
        };
        let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let (mounts, readonly_paths) = (strings(&["/proc", "/data"]), strings(&["/proc/sys"]));
        Places { mounts, readonly_paths, device_rules: Some(vec![rule]) }
    }

    fn field(found: Found, access: Access) -> Option<String> {
        let asked = Use { path: "x".into(), access, found };
        places().refusal(&asked).map(|why| format!("{} {}", why.errno, why.field))
    }

    const READS: Access = Access { reads: true, writes: false, makes: false, changes: false };
    const CHANGES: Access = Access { reads: true, writes: true, makes: false, changes: true };
    const MAKES: Access = Access { reads: true, writes: true, makes: true, changes: false };

    #[test]
    fn a_device_is_refused_by_the_rules() {
        assert_eq!(field(Found::Device('c', 10, 229), READS), None);
        let refused = Some("EPERM linux.resources.devices".to_string());
        assert_eq!(field(Found::Device('c', 10, 229), CHANGES), refused);
        assert_eq!(field(Found::Device('b', 8, 0), READS), refused);
        assert_eq!(field(Found::Device('c', 1, 3), CHANGES), None, "every container has it");
    }

    #[test]
    fn a_file_is_refused_where_the_mount_is_read_only() {
        let of = |mount: &str, is_there: bool, is_readonly: bool, access: Access| {
            let place = Place { mount: mount.into(), path: "x".into(), is_readonly, is_there };
            field(Found::File(place), access)
        };
        assert_eq!(of("/", true, true, CHANGES).unwrap(), "EROFS root.readonly");
        assert_eq!(of("/data", false, true, MAKES).unwrap(), "EROFS mounts[1].options");
        assert_eq!(of("/proc/sys", true, true, CHANGES).unwrap(), "EROFS linux.readonlyPaths[0]");
        assert_eq!(of("/other", true, true, CHANGES).unwrap(), "EROFS the mount at \"/other\"");
        assert_eq!(of("/", true, false, CHANGES), None);
        assert_eq!(of("/", true, true, READS), None);
        assert_eq!(of("/", true, true, MAKES), None, "it is there already");
        assert_eq!(of("/", false, true, CHANGES), None, "it is not there");
    }
}
