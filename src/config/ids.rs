//! Ranges of user and group ids: `linux.uidMappings`, `mounts[].uidMappings` and their like.

use super::{Invalid, annotation};
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, Spec};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// `size` ids from `container` on are, outside, those from `host` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IdRange {
    /// The first id inside.
    pub container: u32,
    /// The first id outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// How ids are mapped, users and groups. Empty where there is no mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IdMaps {
    pub uids: Vec<IdRange>,
    pub gids: Vec<IdRange>,
}

impl IdMaps {
    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty() && self.gids.is_empty()
    }

    /// User and group outside that root inside is; none where it is not mapped.
    pub fn root(&self) -> Option<(u32, u32)> {
        Some((outside(&self.uids, 0)?, outside(&self.gids, 0)?))
    }
}

/// What `id` is outside; none where it is not mapped.
pub fn outside(ranges: &[IdRange], id: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = id.checked_sub(range.container)?;
        if offset < range.size { Some(range.host + offset) } else { None }
    })
}

/// The ranges as uid_map and gid_map take them (user_namespaces(7)).
pub fn map_file(ranges: &[IdRange]) -> String {
    ranges.iter().map(|range| format!("{} {} {}\n", range.container, range.host, range.size)).collect()
}

impl fmt::Display for IdMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, ranges) in [("uids", &self.uids), ("gids", &self.gids)] {
            let ranges: Vec<String> =
                ranges.iter().map(|r| format!("{}-{}-{}", r.container, r.host, r.size)).collect();
            write!(f, "{}{kind} {}", if kind == "gids" { ", " } else { "" }, ranges.join(" "))?;
        }
        Ok(())
    }
}

pub(super) fn resolve(uids: Option<&Vec<LinuxIdMapping>>, gids: Option<&Vec<LinuxIdMapping>>) -> IdMaps {
    let ranges = |list: Option<&Vec<LinuxIdMapping>>| {
        let list = list.map(Vec::as_slice).unwrap_or_default();
        let range =
            |m: &LinuxIdMapping| IdRange { container: m.container_id(), host: m.host_id(), size: m.size() };
        list.iter().map(range).collect()
    };
    IdMaps { uids: ranges(uids), gids: ranges(gids) }
}

/// The most ranges that a kernel takes in one map (user_namespaces(7)).
const RANGES: usize = 340;

/// What the kernel would answer with no more than EINVAL.
fn check_ranges(ranges: &[IdRange], field: &str) -> Result<(), Invalid> {
    if ranges.len() > RANGES {
        return Err(Invalid::new(
            field,
            format!("{} ranges are more than the {RANGES} of a map", ranges.len()),
        ));
    }
    for (i, range) in ranges.iter().enumerate() {
        let field = format!("{field}[{i}]");
        if range.size == 0 {
            return Err(Invalid::new(format!("{field}.size"), "0; it must be at least 1"));
        }
        let end = |first: u32| first.checked_add(range.size);
        let (Some(inside), Some(host)) = (end(range.container), end(range.host)) else {
            return Err(Invalid::new(field, "goes beyond the largest id, 4294967294"));
        };
        for (j, other) in ranges[..i].iter().enumerate() {
            // Ranges before this one are sound, so their ends do not overflow.
            let apart = |first: u32, end: u32, from: u32| first >= from + other.size || end <= from;
            if !apart(range.container, inside, other.container) || !apart(range.host, host, other.host) {
                return Err(Invalid::new(field, format!("overlaps with range {j}")));
            }
        }
    }
    Ok(())
}

/// How many ids the user namespace has, where those of the machine are left to be found: as many as
/// systemd-nsresourced gives.
pub(super) fn range(annotations: &BTreeMap<String, String>) -> Result<Option<u32>, Invalid> {
    size(annotations.get(annotation::ID_RANGE))
}

fn size(text: Option<&String>) -> Result<Option<u32>, Invalid> {
    match text.map(String::as_str) {
        None => Ok(None),
        Some("1") => Ok(Some(1)),
        Some("65536") => Ok(Some(65536)),
        Some(text) => Err(Invalid::new(range_field(), format!("{text:?} is neither \"1\" nor \"65536\""))),
    }
}

/// The field that leaves ids to be found.
pub fn range_field() -> String {
    format!("annotations.{}", annotation::ID_RANGE)
}

/// This many ids from 0 on, which are those from these on outside.
pub fn from_zero(uid: u32, gid: u32, size: u32) -> IdMaps {
    let range = |host| vec![IdRange { container: 0, host, size }];
    IdMaps { uids: range(uid), gids: range(gid) }
}

/// Mappings belong to a user namespace, a new one needs both, and the process must exist in it.
pub(super) fn check_user_namespace(spec: &Spec) -> Result<(), Invalid> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let given = resolve(linux.uid_mappings().as_ref(), linux.gid_mappings().as_ref());
    let namespace = linux.namespaces().iter().flatten().find(|n| n.typ() == LinuxNamespaceType::User);
    check_ranges(&given.uids, "linux.uidMappings")?;
    check_ranges(&given.gids, "linux.gidMappings")?;
    let annotations = spec.annotations().as_ref();
    let found = size(annotations.and_then(|all: &HashMap<_, _>| all.get(annotation::ID_RANGE)))?;
    let maps = match found {
        Some(size) => {
            check_found(namespace, &given)?;
            from_zero(0, 0, size)
        }
        None => given,
    };
    let kinds = [("linux.uidMappings", &maps.uids), ("linux.gidMappings", &maps.gids)];
    let Some(namespace) = namespace else {
        return match kinds.iter().find(|(_, ranges)| !ranges.is_empty()) {
            Some((field, _)) => Err(Invalid::new(*field, "needs a user namespace in linux.namespaces")),
            None => Ok(()),
        };
    };
    let joined = namespace.path().as_ref().is_some_and(|p| !p.as_os_str().is_empty());
    if joined && maps.is_empty() {
        return Ok(());
    }
    for (field, ranges) in kinds {
        if ranges.is_empty() {
            return Err(Invalid::new(field, "missing; a new user namespace needs a mapping"));
        }
    }
    let Some(process) = spec.process() else { return Ok(()) };
    let user = process.user();
    let groups = user.additional_gids().iter().flatten().enumerate();
    let groups = groups.map(|(i, gid)| (format!("process.user.additionalGids[{i}]"), *gid, &maps.gids));
    let ids = [
        ("process.user.uid".to_string(), user.uid(), &maps.uids),
        ("process.user.gid".to_string(), user.gid(), &maps.gids),
    ];
    for (field, id, ranges) in ids.into_iter().chain(groups) {
        if outside(ranges, id).is_none() {
            return Err(Invalid::new(field, format!("{id} is not mapped into the user namespace")));
        }
    }
    Ok(())
}

/// Who leaves ids to be found makes a user namespace and names none.
fn check_found(namespace: Option<&LinuxNamespace>, given: &IdMaps) -> Result<(), Invalid> {
    let is_new =
        |namespace: &LinuxNamespace| namespace.path().as_ref().is_none_or(|path| path.as_os_str().is_empty());
    if !namespace.is_some_and(is_new) {
        return Err(Invalid::new(range_field(), "needs a new user namespace in linux.namespaces"));
    }
    if !given.is_empty() {
        let found = range_field();
        return Err(Invalid::new("linux.uidMappings", format!("{found} leaves the ids to be found")));
    }
    Ok(())
}

/// Mappings of a mount: sound, and both or neither.
pub(super) fn check_pair(maps: &IdMaps, field: &str) -> Result<(), Invalid> {
    check_ranges(&maps.uids, &format!("{field}.uidMappings"))?;
    check_ranges(&maps.gids, &format!("{field}.gidMappings"))?;
    match (maps.uids.is_empty(), maps.gids.is_empty()) {
        (true, false) => Err(Invalid::new(format!("{field}.uidMappings"), "missing; gidMappings is given")),
        (false, true) => Err(Invalid::new(format!("{field}.gidMappings"), "missing; uidMappings is given")),
        _ => Ok(()),
    }
}
