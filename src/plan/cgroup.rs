//! Where the container's cgroup lies.

use super::{CgroupDriver, Request};
use crate::config::{Config, Invalid};
use crate::host::Host;
use std::path::Path;

const FIELD: &str = "linux.cgroupsPath";

/// The container's cgroup, relative to the root of the cgroup v2 tree, without a leading slash. Never empty: the root
/// cgroup is nobody's. None if no cgroup is wanted.
pub(super) fn path(config: &Config, request: &Request, host: &Host) -> Result<Option<String>, Invalid> {
    let path = match (&config.cgroups_path, request.cgroup_driver) {
        (Some(path), CgroupDriver::Systemd) => scope(path)?,
        (None, CgroupDriver::Systemd) => scope(&format!("system.slice:knarr:{}", request.id))?,
        (Some(path), CgroupDriver::Cgroupfs) if path.starts_with('/') => path.clone(),
        // The runtime's own cgroup holds processes, so by the rule of no internal processes (cgroups(7)) a sibling of it.
        (Some(path), CgroupDriver::Cgroupfs) => format!("{}/{path}", parent(&host.own_cgroup)),
        (None, CgroupDriver::Cgroupfs) => format!("{}/{}", parent(&host.own_cgroup), request.id),
        (_, CgroupDriver::Disabled) => return Ok(None),
    };
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.is_empty() || names.contains(&"..") {
        return Err(Invalid::new(FIELD, format!("\"{path}\" does not name a cgroup below the root")));
    }
    Ok(Some(names.join("/")))
}

fn parent(cgroup: &str) -> &str {
    Path::new(cgroup).parent().and_then(Path::to_str).unwrap_or("/")
}

/// The path of the scope that `slice:prefix:name` names (systemd.slice(5): dashes nest).
fn scope(path: &str) -> Result<String, Invalid> {
    let parts: Vec<&str> = path.split(':').collect();
    let [slice, prefix, name] = parts[..] else {
        return Err(Invalid::new(
            FIELD,
            format!("\"{path}\" is not of the form slice:prefix:name that --systemd-cgroup needs"),
        ));
    };
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let unit = match (prefix, name.ends_with(".slice")) {
        (_, true) => name.to_string(),
        ("", false) => format!("{name}.scope"),
        (prefix, false) => format!("{prefix}-{name}.scope"),
    };
    Ok(format!("{}/{unit}", expand(slice)?))
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
        path.push_str(&format!("/{nested}.slice"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_lies_in_the_nest_of_its_slice() {
        assert_eq!(scope("a-b.slice:pfx:web").unwrap(), "/a.slice/a-b.slice/pfx-web.scope");
        assert_eq!(scope(":docker:web").unwrap(), "/system.slice/docker-web.scope");
        assert_eq!(scope("-.slice::web").unwrap(), "/web.scope");
        assert!(scope("/docker/web").is_err());
        assert!(scope("a--b.slice:p:n").is_err());
    }
}
