//! An overlay as root filesystem: the annotations `org.knarr.overlay*`, or a mount of type overlay
//! on `/`.

use super::{Invalid, Mount, Root, annotation};
use oci_spec::runtime as oci;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the root filesystem is stacked of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The field that asks for it.
    pub field: String,
    /// Read-only layers, the top one first; none is the root filesystem of the bundle, an empty
    /// list an empty root.
    pub lower: Option<Vec<PathBuf>>,
    /// Where changes go; none: the root filesystem is read-only.
    pub upper: Option<Upper>,
    /// Other parameters of overlayfs, as mount(8) writes them.
    pub parameters: Vec<String>,
}

/// Where changes of the root filesystem go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// To memory of the container's own: they are gone when it ends.
    Memory,
    /// To `upper` and `work` in this folder, which are made.
    Folder(PathBuf),
    /// To an upper and a work folder that are there, both below this one.
    Given {
        /// A folder above both, on one mount with them.
        above: PathBuf,
        /// The upper folder, below it.
        upper: PathBuf,
        /// The work folder, below it.
        work: PathBuf,
    },
}

/// What config.json asks for, if anything. A mount on `/`, which is an overlay, stays in the list:
/// the others keep their numbers.
pub(super) fn resolve(
    annotations: &BTreeMap<String, String>,
    mounts: &[Mount],
    asked: &[oci::Mount],
    root: &mut Root,
    bundle: &Path,
) -> Result<Option<Overlay>, Invalid> {
    let annotated = annotated(annotations, bundle)?;
    let Some(at) = mounts.iter().position(|mount| mount.destination == "/") else { return Ok(annotated) };
    if let Some(other) = mounts[at + 1..].iter().position(|mount| mount.destination == "/") {
        let reason = format!("mounts[{at}] is on / already");
        return Err(Invalid::new(format!("mounts[{}].destination", at + 1 + other), reason));
    }
    let options = asked.get(at).and_then(|mount| mount.options().as_deref()).unwrap_or_default();
    root.readonly |= options.iter().any(|option| option == "ro");
    let mounted = of_mount(options, &format!("mounts[{at}] /"), bundle)?;
    match annotated {
        Some(annotated) => Err(Invalid::new(annotated.field, "mounts has an overlay on / too")),
        None => Ok(Some(mounted)),
    }
}

fn annotated(annotations: &BTreeMap<String, String>, bundle: &Path) -> Result<Option<Overlay>, Invalid> {
    let of = |name: &str| annotations.get(name).map(|value| (format!("annotations.{name}"), value));
    let (upper, lower) = (of(annotation::OVERLAY), of(annotation::OVERLAY_LOWER));
    let Some((field, _)) = upper.clone().or_else(|| lower.clone()) else { return Ok(None) };
    let layers = |(field, value): (String, &String)| folders(value, &field, bundle);
    let kind = |(field, value): (String, &String)| match value.as_str() {
        "" => Err(Invalid::new(field, "empty; \"ephemeral\" or a folder is meant")),
        "ephemeral" => Ok(Upper::Memory),
        folder => Ok(Upper::Folder(bundle.join(folder))),
    };
    Ok(Some(Overlay {
        field,
        lower: lower.map(layers).transpose()?,
        upper: upper.map(kind).transpose()?,
        parameters: Vec::new(),
    }))
}

/// A list of folders as overlayfs writes it: `:` between them, `\` before a `:` or `\` that is part
/// of a name.
fn folders(list: &str, field: &str, bundle: &Path) -> Result<Vec<PathBuf>, Invalid> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let mut names = vec![String::new()];
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => names.push(String::new()),
            '\\' => names.last_mut().into_iter().for_each(|name| name.extend(chars.next())),
            c => names.last_mut().into_iter().for_each(|name| name.push(c)),
        }
    }
    if names.iter().any(String::is_empty) {
        return Err(Invalid::new(field, format!("{list:?} has an empty name of a layer")));
    }
    if names.len() > MAX_LAYERS {
        return Err(Invalid::new(field, format!("{} layers, the kernel takes {MAX_LAYERS}", names.len())));
    }
    Ok(names.iter().map(|name| bundle.join(name)).collect())
}

/// `OVL_MAX_STACK`, fs/overlayfs/params.h.
const MAX_LAYERS: usize = 500;

/// Options that are no parameters: what they say is in `root.readonly`, or follows from the
/// namespaces.
const FLAGS: [&str; 3] = ["rw", "ro", "userxattr"];

/// From the options of a mount of type overlay, as mount(8) takes them.
fn of_mount(options: &[String], field: &str, bundle: &Path) -> Result<Overlay, Invalid> {
    let (mut lower, mut upper, mut work, mut parameters) = (Vec::new(), None, None, Vec::new());
    for option in options {
        match option.split_once('=') {
            Some(("lowerdir", list)) => lower = folders(list, field, bundle)?,
            Some(("lowerdir+", folder)) => lower.push(bundle.join(folder)),
            Some(("upperdir", folder)) => upper = Some(bundle.join(folder)),
            Some(("workdir", folder)) => work = Some(bundle.join(folder)),
            _ if FLAGS.contains(&option.as_str()) => {}
            _ => parameters.push(option.clone()),
        }
    }
    if lower.is_empty() {
        return Err(Invalid::new(format!("{field}: options"), "no lowerdir is given"));
    }
    let upper = match (upper, work) {
        (None, None) => None,
        (Some(upper), Some(work)) => Some(upper_and_work(&upper, &work)),
        _ => return Err(Invalid::new(format!("{field}: options"), "upperdir and workdir need each other")),
    };
    Ok(Overlay { field: field.into(), lower: Some(lower), upper, parameters })
}

/// Both, below the deepest folder that they share: the kernel wants them on one mount.
fn upper_and_work(upper: &Path, work: &Path) -> Upper {
    let shared = |above: &&Path| work.starts_with(above);
    let above = upper.ancestors().skip(1).find(shared).unwrap_or(Path::new("/")).to_path_buf();
    let below = |path: &Path| path.strip_prefix(&above).unwrap_or(path).to_path_buf();
    Upper::Given { upper: below(upper), work: below(work), above }
}
