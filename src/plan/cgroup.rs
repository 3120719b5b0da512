//! Where the container's cgroup lies.

use super::systemd::Instance;
use super::{CgroupDriver, Home, HostStep, Planned, Request, Settle, Unit, planned, resources};
use crate::config::{Config, Invalid, Mount, Namespace, Place, annotation};
use crate::host::Host;
use std::path::Path;

const FIELD: &str = "linux.cgroupsPath";

/// The container's cgroup; none if none is wanted. Never the root cgroup, which is nobody's.
pub(super) fn home(config: &Config, request: &Request, host: &Host) -> Result<Option<Home>, Invalid> {
    let path = match (&config.cgroups_path, request.cgroup_driver) {
        (_, CgroupDriver::Disabled) => return Ok(None),
        (path, CgroupDriver::Systemd) => {
            let own = format!(":knarr:{}", request.id);
            return scope(path.as_ref().unwrap_or(&own), host).map(Some);
        }
        (Some(path), CgroupDriver::Cgroupfs) if path.starts_with('/') => path.clone(),
        // The runtime's own cgroup holds processes, so by the rule of no internal processes
        // (cgroups(7)) a sibling of it.
        (Some(path), CgroupDriver::Cgroupfs) => format!("{}/{path}", parent(&host.own_cgroup)),
        // An ordinary user who may make none goes without, unless one is asked for.
        (None, CgroupDriver::Cgroupfs)
            if host.uid != 0 && !host.delegated && resources::writes(&config.resources).is_empty() =>
        {
            return Ok(None);
        }
        (None, CgroupDriver::Cgroupfs) => format!("{}/{}", parent(&host.own_cgroup), request.id),
    };
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.is_empty() || names.contains(&"..") {
        return Err(Invalid::new(FIELD, format!("\"{path}\" does not name a cgroup below the root")));
    }
    Ok(Some(Home { path: names.join("/"), unit: None }))
}

/// A cgroup below the container's, for the process. Limits stay with the container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below {
    /// The annotation that asks for it.
    pub field: String,
    /// From the container's cgroup on.
    pub path: String,
    /// The root of the container's user namespace, who gets that cgroup.
    pub owner: Option<(u32, u32)>,
    /// Whether a new cgroup namespace begins there, and not at the container's.
    pub begins_namespace: bool,
}

impl Below {
    /// Its making, and the move there.
    pub(super) fn step(self) -> Planned<Settle> {
        let Below { field, path, owner, .. } = self;
        planned(field, Settle::CgroupBelow { path, owner })
    }
}

/// The cgroup below the container's that the process is to be in, if any: that of
/// `run.oci.delegate-cgroup` or, in a scope, that of `run.oci.systemd.subgroup`.
pub(super) fn below(config: &Config, driver: CgroupDriver) -> Result<Option<Below>, Invalid> {
    let delegated = named(config, annotation::DELEGATE_CGROUP)?;
    let subgroup = match driver {
        CgroupDriver::Systemd => named(config, annotation::SYSTEMD_SUBGROUP)?,
        CgroupDriver::Cgroupfs | CgroupDriver::Disabled => None,
    };
    let is_new = *config.namespaces.of(Namespace::Cgroup) == Place::New;
    let root = owner(config);
    let (field, path, owner, begins_namespace) = match (subgroup, delegated) {
        (None, None) => return Ok(None),
        (Some((subgroup, _)), Some((field, _))) => {
            return Err(Invalid::new(field, format!("{subgroup} names another one for the process")));
        }
        (None, Some((field, path))) => (field, path, root, false),
        (Some((field, path)), None) => (field, path, root.filter(|_| delegation(config).is_some()), is_new),
    };
    Ok(Some(Below { field, path, owner, begins_namespace }))
}

/// The root of the container's user namespace. What root of the host owns is the host root's
/// anyway.
fn owner(config: &Config) -> Option<(u32, u32)> {
    config.id_maps.root().filter(|root| *root != (0, 0))
}

/// config-linux.md: Cgroup ownership. A container that sees its cgroup as the root of a namespace
/// of its own, and can write there, gets it.
pub(super) fn delegation(config: &Config) -> Option<Planned<HostStep>> {
    let (uid, gid) = owner(config)?;
    if *config.namespaces.of(Namespace::Cgroup) != Place::New {
        return None;
    }
    let is_writable = |mount: &Mount| {
        matches!(mount.new_fstype(), Some("cgroup" | "cgroup2")) && !mount.options.read_only()
    };
    let at = config.mounts.iter().position(is_writable);
    at.map(|i| planned(format!("mounts[{i}]"), HostStep::Delegate { uid, gid }))
}

/// The field and the path of an annotation that names a cgroup below the container's. Empty is
/// none.
fn named(config: &Config, annotation: &str) -> Result<Option<(String, String)>, Invalid> {
    let Some(text) = config.annotations.get(annotation).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let field = format!("annotations.{annotation}");
    let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.is_empty() || names.contains(&"..") || text.contains(['\0', '\n']) {
        return Err(Invalid::new(field, format!("{text:?} does not name a cgroup below the container's")));
    }
    Ok(Some((field, names.join("/"))))
}

fn parent(cgroup: &str) -> &str {
    Path::new(cgroup).parent().and_then(Path::to_str).unwrap_or("/")
}

/// The scope that `slice:prefix:name` names, and where systemd puts it (systemd.slice(5): dashes
/// nest).
fn scope(path: &str, host: &Host) -> Result<Home, Invalid> {
    let parts: Vec<&str> = path.split(':').collect();
    let [slice, prefix, name] = parts[..] else {
        return Err(Invalid::new(
            FIELD,
            format!("\"{path}\" is not of the form slice:prefix:name that systemd needs"),
        ));
    };
    if name.ends_with(".slice") {
        return Err(Invalid::new(FIELD, format!("\"{name}\" is a slice, and a container needs a scope")));
    }
    let unit = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    // unit_name_is_valid() of systemd; it becomes the name of a directory.
    let is_name = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if name.is_empty() || unit.len() > 255 || !unit.chars().all(is_name) {
        return Err(Invalid::new(FIELD, format!("\"{unit}\" is not the name of a unit of systemd")));
    }
    let (instance, top, default) = match host.uid {
        0 => (Instance::System, String::new(), "system.slice"),
        uid => (Instance::User, users(uid), "user.slice"),
    };
    let slice = if slice.is_empty() { default } else { slice };
    let path = format!("{top}{}{unit}", expand(slice)?);
    Ok(Home { path, unit: Some(Unit { instance, name: unit, slice: slice.into() }) })
}

/// The cgroup of a user's systemd.
fn users(uid: u32) -> String {
    format!("user.slice/user-{uid}.slice/user@{uid}.service/")
}

/// The service or scope that the cgroup `path` is in, and the path below its own, as systemd names
/// cgroups.
pub(crate) fn unit_of(path: &str, uid: u32) -> Option<(Unit, String)> {
    let (instance, path) = match path.strip_prefix(&users(uid)) {
        Some(path) => (Instance::User, path),
        None => (Instance::System, path),
    };
    let mut names = path.split('/');
    let name = names.find(|name| name.ends_with(".service") || name.ends_with(".scope"))?;
    let below = names.collect::<Vec<_>>().join("/");
    Some((Unit { instance, name: name.into(), slice: String::new() }, below))
}

fn expand(slice: &str) -> Result<String, Invalid> {
    let wrong = || Invalid::new(FIELD, format!("\"{slice}\" is not the name of a slice"));
    let stem = slice.strip_suffix(".slice").ok_or_else(wrong)?;
    if stem == "-" {
        return Ok(String::new());
    }
    if stem.contains('/') || stem.split('-').any(str::is_empty) {
        return Err(wrong());
    }
    let mut path = String::new();
    let mut nested = String::new();
    for part in stem.split('-') {
        if !nested.is_empty() {
            nested.push('-');
        }
        nested.push_str(part);
        path.push_str(&format!("{nested}.slice/"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_told_by_the_path() {
        let of = |path: &str, uid| {
            unit_of(path, uid).map(|(unit, below)| format!("{:?} {} /{below}", unit.instance, unit.name))
        };
        let app = "user.slice/user-1000.slice/user@1000.service/app.slice";
        assert_eq!(of(&format!("{app}/d.service/a/b"), 1000).unwrap(), "User d.service /a/b");
        assert_eq!(of(&format!("{app}/d.service"), 1000).unwrap(), "User d.service /");
        assert_eq!(
            of(&format!("{app}/d.service/a"), 1001).unwrap(),
            "System user@1000.service /app.slice/d.service/a"
        );
        assert_eq!(of("system.slice/d.scope/a", 1000).unwrap(), "System d.scope /a");
        assert_eq!(of(&format!("{app}/a"), 1000), None);
    }

    #[test]
    fn a_scope_lies_in_the_nest_of_its_slice() {
        let host = |uid| Host {
            cgroup_root: "/sys/fs/cgroup".into(),
            own_cgroup: String::new(),
            delegated: false,
            uid,
            is_root: uid == 0,
            known_capabilities: Default::default(),
            bounding: Default::default(),
            apparmor: false,
            selinux: false,
            empty_mounts: false,
            id_ranges: Default::default(),
        };
        let path = |path: &str| scope(path, &host(0)).unwrap().path;
        assert_eq!(path("a-b.slice:pfx:web"), "a.slice/a-b.slice/pfx-web.scope");
        assert_eq!(path(":docker:web"), "system.slice/docker-web.scope");
        assert_eq!(path("-.slice::web"), "web.scope");
        let user = scope(":docker:web", &host(1000)).unwrap();
        assert_eq!(user.path, "user.slice/user-1000.slice/user@1000.service/user.slice/docker-web.scope");
        assert_eq!(user.unit.unwrap().instance, Instance::User);
        for wrong in [
            "/docker/web",
            "a--b.slice:p:n",
            "a:p:n",
            ":p:a/b",
            ":p:",
            ":p:x.slice",
            ":p:a+b",
            "../a.slice:p:n",
        ] {
            assert!(scope(wrong, &host(0)).is_err(), "{wrong}");
        }
    }
}
