//! `mounts`: what is attached, where, and how its ids are mapped.

use super::mount_options::{Asked, Options};
use super::{IdMaps, Invalid, Namespace, Namespaces, Place, annotation, ensure, ids, resolve};
use crate::sys::mount::Reach;
use oci_spec::runtime as oci;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One of `mounts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute, in the container.
    pub destination: String,
    /// What is attached there.
    pub source: MountSource,
    /// What its options say.
    pub options: Options,
    /// How the ids of its files are mapped; empty where nothing is said.
    pub id_maps: IdMaps,
}

/// What a mount attaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A copy of mounts that are there.
    Bind {
        /// Absolute, on the host.
        path: PathBuf,
        /// One mount, or a tree.
        reach: Reach,
    },
    New(NewMount),
    /// Nothing: the mount that is there changes.
    Remount,
}

/// A filesystem that is mounted anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMount {
    /// As mount(8) names it; never empty.
    pub fstype: String,
    /// `source`, as given.
    pub device: String,
}

impl Mount {
    /// Whether this is a bind mount, of one mount or of a tree.
    pub fn is_bind(&self) -> bool {
        matches!(self.source, MountSource::Bind { .. })
    }

    /// The type of the filesystem that is made.
    pub fn new_fstype(&self) -> Option<&str> {
        match &self.source {
            MountSource::New(new) => Some(&new.fstype),
            MountSource::Bind { .. } | MountSource::Remount => None,
        }
    }
}

/// `mounts[index]` of a container in these namespaces.
pub(super) fn resolve(
    index: usize,
    mount: &oci::Mount,
    bundle: &Path,
    namespaces: &Namespaces,
    warnings: &mut Vec<String>,
) -> Result<Mount, Invalid> {
    let field = format!("mounts[{index}]");
    if !mount.destination().is_absolute() {
        let destination = mount.destination();
        warnings.push(format!("{field}.destination: {destination:?} is relative, taken from /"));
    }
    let destination = format!("/{}", resolve::names_of(mount.destination()).join("/"));
    let fstype = mount.typ().clone().unwrap_or_default();
    let mut options = mount.options().clone().unwrap_or_default();
    if fstype == "bind" && !options.iter().any(|option| option == "rbind") {
        options.push("bind".into());
    }
    let (asked, options) = Options::parse(&options, &field)?;
    let given = mount.source().as_deref().unwrap_or(Path::new(""));
    let source = match asked {
        Asked::Bind(reach) => MountSource::Bind { path: bundle.join(given), reach },
        Asked::Remount => MountSource::Remount,
        Asked::New => MountSource::New(NewMount { fstype, device: resolve::text(given) }),
    };
    let id_maps = ids::resolve(mount.uid_mappings().as_ref(), mount.gid_mappings().as_ref());
    let mount = Mount { destination, source, options, id_maps };
    mount.check(&field)?;
    mount.check_ids(&field, namespaces)?;
    Ok(mount)
}

impl Mount {
    fn check(&self, field: &str) -> Result<(), Invalid> {
        let named = format!("{field} {}", self.destination);
        match (&self.source, self.options.parameters.first()) {
            (MountSource::New(new), _) if new.fstype.is_empty() => {
                Err(Invalid::new(named, "neither a type nor the option bind is given"))
            }
            (MountSource::Remount, Some((key, _))) => Err(Invalid::new(
                format!("{named}: options"),
                format!("\"{key}\" cannot be changed by remount"),
            )),
            _ => Ok(()),
        }
    }

    /// config.md, Mounts: a mount has both kinds of mappings or neither, only a bind mount has
    /// them, and where an option asks for them there are some.
    fn check_ids(&self, field: &str, namespaces: &Namespaces) -> Result<(), Invalid> {
        ids::check_pair(&self.id_maps, field)?;
        if !self.id_maps.is_empty() && !self.is_bind() {
            return Err(Invalid::new(format!("{field}.uidMappings"), "only a bind mount can be id-mapped"));
        }
        let has_user = *namespaces.of(Namespace::User) != Place::Inherited;
        let Some(reach) = self.options.id_map.filter(|_| self.id_maps.is_empty() && !has_user) else {
            return Ok(());
        };
        let option = if reach == Reach::Tree { "ridmap" } else { "idmap" };
        let reason = "needs uidMappings and gidMappings, of the mount or of a user namespace";
        Err(Invalid::new(format!("{field}.options"), format!("\"{option}\" {reason}")))
    }
}

/// What `org.knarr.proc-subset` asks for: a parameter of each new mount of proc (proc(5)). What
/// shows processes alone has nothing that a mask covers. So in a user namespace below the kernel
/// sees a whole one, and lets another be mounted.
pub(super) fn subset_of_proc(
    annotations: &BTreeMap<String, String>,
    namespaces: &Namespaces,
    mounts: &mut [Mount],
) -> Result<(), Invalid> {
    let name = annotation::PROC_SUBSET;
    let Some(asked) = annotations.get(name) else { return Ok(()) };
    let field = || format!("annotations.{name}");
    ensure!(asked == "pid", field(), "{asked:?} is not \"pid\"");
    // Its proc is a copy of the host's.
    let is_hosts = namespaces.own(Namespace::User) && !namespaces.own(Namespace::Pid);
    ensure!(!is_hosts, field(), "in a user namespace it takes a pid namespace of the container's own");
    let is_proc = |mount: &&mut Mount| matches!(&mount.source, MountSource::New(new) if new.fstype == "proc");
    let mut found = false;
    for mount in mounts.iter_mut().filter(is_proc) {
        found = true;
        let parameters = &mut mount.options.parameters;
        parameters.retain(|(key, _)| key != "subset");
        parameters.push(("subset".into(), Some("pid".into())));
    }
    ensure!(found, field(), "no mount is of type proc");
    Ok(())
}
