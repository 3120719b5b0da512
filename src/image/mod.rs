//! Bundles from images: layers unpacked once into a store, or all into one folder, and a
//! config.json from the image's.
//!
//! An image is not trusted. Its archives are read by [`tarball`], and [`tree`] is the only place
//! that makes files of it.

mod below;
mod blob;
pub mod config;
mod files;
mod layer;
mod merged;
pub mod pax;
pub mod progress;
mod source;
mod store;
pub mod tarball;
mod tree;
pub mod users;

use crate::config::annotation;
use crate::host;
use crate::sys::fs;
use anyhow::{Context, Result, bail};
use layer::{Omitted, Unpacker};
use merged::Merged;
use progress::Progress;
use source::{Image, Layer};
use std::fs::DirBuilder;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use store::{Content, Key, Store, Unfinished};
use tree::{Deletions, Owner, Tree};

/// Where layers are unpacked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpack {
    /// Each into this store; the container's root is an overlay of them.
    Store(PathBuf),
    /// All into the bundle's own `rootfs`.
    Copy,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub source: &'a str,
    /// The bundle to make.
    pub bundle: &'a Path,
    /// Where layers are unpacked to.
    pub unpack: Unpack,
    /// Whether the process gets a terminal.
    pub terminal: bool,
    /// In place of the image's command.
    pub args: &'a [String],
    /// What is said meanwhile.
    pub progress: progress::Kind,
}

/// A bundle that was made.
#[derive(Debug)]
pub struct Made {
    /// How many layers the image has.
    pub layers: usize,
    /// How many of them were unpacked for it; the others were in the store.
    pub unpacked: usize,
    /// The size of the layers in the image, compressed as they are, in bytes.
    pub size: u64,
    /// What was left out, one line each.
    pub warnings: Vec<String>,
}

/// The largest /etc/passwd or /etc/group that is read, in bytes.
const ACCOUNTS_LIMIT: usize = 16 << 20;

/// Make the bundle. A bundle that cannot be made is not there afterwards.
pub fn bundle(request: &Request<'_>) -> Result<Made> {
    // Files get the modes that the image says.
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let image = source::open(request.source).with_context(|| request.source.to_string())?;
    let new = Bundle::make(request.bundle, &request.unpack)?;
    let made = fill(request, &image, &new);
    if made.is_err() {
        new.remove();
    }
    made
}

fn fill(request: &Request<'_>, image: &Image, new: &Bundle) -> Result<Made> {
    let owner = if nix::unistd::geteuid().is_root() { Owner::Image } else { Owner::Caller };
    let progress = Progress::new(request.progress);
    let (layers, lowerdir, omitted) = match &request.unpack {
        Unpack::Store(path) => {
            let (layers, paths, omitted) = into_store(&Store::open(path)?, image, owner, &progress)?;
            (layers, Some(config::lowerdir(&paths)), omitted)
        }
        Unpack::Copy => {
            let (root, omitted) = into_folder(&new.path.join("rootfs"), image, owner, &progress)?;
            (vec![root], None, omitted)
        }
    };
    let files = Merged { layers: &layers, opaque: owner.opaque() };
    let (user, volumes) = (user(image, &files)?, volumes(image, &files, owner)?);
    let options = config::Options {
        args: request.args,
        terminal: request.terminal,
        user: &user,
        volumes: &volumes,
        lowerdir: lowerdir.as_deref(),
        rootless: (owner == Owner::Caller).then(rootless),
    };
    new.write_config(&config::convert(&image.config, &options)?)?;
    Ok(Made {
        layers: image.layers.len(),
        unpacked: progress.unpacked(),
        size: image.layers.iter().map(|layer| layer.blob.size()).sum(),
        warnings: warnings(image, &omitted),
    })
}

/// The caller's ids, and others that they may have, which takes programs to map them.
fn rootless() -> config::Rootless {
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let ranges = host::id_ranges_of_caller();
    let given = ranges.uids.first().copied().zip(ranges.gids.first().copied());
    config::Rootless { own, given: given.map(<[_; 2]>::from) }
}

fn warnings(image: &Image, omitted: &Omitted) -> Vec<String> {
    let mut warnings = Vec::new();
    let (machine, own) = (image.config.architecture().to_string(), own_machine());
    if machine != own {
        warnings.push(format!("the image is for {machine}, and this machine is {own}"));
    }
    let left_out = |count: u64, what: &str| format!("{count} {what} left out, as only root can make them");
    if omitted.devices > 0 {
        warnings.push(left_out(omitted.devices, "devices"));
    }
    if omitted.attributes > 0 {
        warnings.push(left_out(omitted.attributes, "extended attributes"));
    }
    let labels = image.config.labels_of_config().into_iter().flatten().map(|(name, _)| name);
    let mut refused: Vec<&String> = labels.filter(|name| annotation::is_instruction(name)).collect();
    refused.sort();
    for name in refused {
        warnings.push(format!("label {name:?} left out: an image does not tell a runtime what to do"));
    }
    warnings
}

/// This machine, as images name it: Go's GOARCH.
fn own_machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        own => own,
    }
}

fn user(image: &Image, files: &Merged<'_>) -> Result<users::User> {
    let read = |path| {
        let found = files.read(path, ACCOUNTS_LIMIT).with_context(|| format!("the image's {path}"))?;
        anyhow::Ok(found.unwrap_or_default())
    };
    let asked = image.config.config().as_ref().and_then(|config| config.user().clone());
    users::resolve(&asked.unwrap_or_default(), &read("/etc/passwd")?, &read("/etc/group")?)
}

fn volumes(image: &Image, files: &Merged<'_>, owner: Owner) -> Result<Vec<config::Volume>> {
    let volume = |path: String| {
        let found = files.folder(&path).with_context(|| format!("the image's volume {path}"))?;
        let mode = found.map_or(0o755, |stat| stat.st_mode & 0o7777);
        // An ordinary user's files are of root in the container.
        let (uid, gid) = found.filter(|_| owner == Owner::Image).map_or((0, 0), |s| (s.st_uid, s.st_gid));
        Ok(config::Volume { path, mode, uid, gid })
    };
    config::volumes(&image.config).into_iter().map(volume).collect()
}

/// Unpack the layer, and see that it is what its digests say.
fn unpack(layer: &Layer, unpacker: &mut Unpacker, progress: &Progress) -> Result<()> {
    let archive = blob::open(progress.counted(layer))?;
    let mut reader = tarball::Reader::new(archive);
    unpacker.layer(&mut reader)?;
    blob::finish(reader.into_inner(), &layer.expected)
}

fn named(layer: &Layer) -> String {
    format!("layer sha256:{}", layer.expected.diff_id)
}

/// All layers in one folder, the lowest first.
fn into_folder(path: &Path, image: &Image, owner: Owner, progress: &Progress) -> Result<(OwnedFd, Omitted)> {
    let root = fs::open(path, fs::O_RDONLY | fs::O_DIRECTORY | fs::O_NOFOLLOW, 0)
        .with_context(|| format!("open {}", path.display()))?;
    let mut unpacker = Unpacker::new(Tree::new(root.try_clone()?, owner, Deletions::Done)?);
    let layers: Vec<&Layer> = image.layers.iter().collect();
    progress.expect(&layers);
    for layer in layers {
        unpack(layer, &mut unpacker, progress).with_context(|| named(layer))?;
    }
    Ok((root, unpacker.omitted))
}

/// The layers' folders in the store, top first, and their paths.
fn into_store(
    store: &Store,
    image: &Image,
    owner: Owner,
    progress: &Progress,
) -> Result<(Vec<OwnedFd>, Vec<String>, Omitted)> {
    store.sweep();
    let keys = Key::of(image.layers.iter().map(|layer| layer.expected.diff_id.as_str()));
    let mut begun = Vec::new();
    let unpacked = begin_missing(store, image, &keys, &mut begun)
        .and_then(|()| unpack_missing(store, image, &keys, owner, progress, &mut begun));
    let begun: Vec<Unfinished> = begun.into_iter().flatten().collect();
    let omitted = match unpacked {
        Ok(omitted) => omitted,
        Err(cause) => {
            store.abandon(begun);
            return Err(cause);
        }
    };
    store.finish(begun)?;
    let (mut folders, mut paths) = (Vec::new(), Vec::new());
    for (layer, key) in image.layers.iter().zip(&keys).rev() {
        let (folder, name) = store.layer(key)?.with_context(|| format!("{} has gone", named(layer)))?;
        let path = store.layer_path(&name);
        let path = path.to_str().with_context(|| format!("{}: not UTF-8", path.display()))?.to_string();
        // overlayfs refuses a folder that is there twice. The upper one has all that the lower one
        // has.
        if paths.contains(&path) {
            continue;
        }
        paths.push(path);
        let merged = Merged { layers: &[], opaque: owner.opaque() };
        // overlayfs does not ask the root of a layer whether it hides all below.
        let hides_all = merged.is_opaque(&folder)?;
        folders.push(folder);
        if hides_all {
            break;
        }
    }
    Ok((folders, paths, omitted))
}

/// Begin what is not in the store. All who do that begin with the least name, so none waits for one
/// that waits for it.
fn begin_missing(
    store: &Store,
    image: &Image,
    keys: &[Key],
    begun: &mut Vec<Option<Unfinished>>,
) -> Result<()> {
    begun.resize_with(image.layers.len(), || None);
    let mut missing: Vec<(String, usize)> = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        if store.layer(key)?.is_none() {
            let again = keys[..number].iter().any(|below| below.diff_id == key.diff_id);
            let content = if again { Content::LeansOnLower } else { Content::Own };
            missing.push((key.name(content), number));
        }
    }
    missing.sort();
    for (name, number) in missing {
        begun[number] = store.begin(&keys[number], &name)?;
    }
    Ok(())
}

/// Unpack what was begun, the lowest first: a layer may take something from those below it.
fn unpack_missing(
    store: &Store,
    image: &Image,
    keys: &[Key],
    owner: Owner,
    progress: &Progress,
    begun: &mut [Option<Unfinished>],
) -> Result<Omitted> {
    let layers: Vec<&Layer> = image.layers.iter().collect();
    let todo: Vec<&Layer> = layers
        .iter()
        .zip(begun.iter())
        .filter(|(_, begun)| begun.is_some())
        .map(|(layer, _)| *layer)
        .collect();
    progress.expect(&todo);
    let mut omitted = Omitted::default();
    // The top one first.
    let mut below: Vec<OwnedFd> = Vec::new();
    let mut alone: Vec<&str> = Vec::new();
    for ((layer, key), begun) in layers.iter().zip(keys).zip(begun) {
        let folder = match begun {
            None => store.layer(key)?.with_context(|| format!("{} has gone", named(layer)))?.0,
            // The same layer once more, and whatever is below it makes no difference.
            Some(_) if alone.contains(&key.diff_id.as_str()) => {
                progress.skipped(layer);
                continue;
            }
            Some(unfinished) => {
                let mode = nix::sys::stat::Mode::from_bits_truncate(0o755);
                let root = unfinished.folder.try_clone()?;
                nix::sys::stat::fchmod(&root, mode).context("fchmod")?;
                let mut tree = Tree::new(root, owner, Deletions::Kept)?;
                tree.below = std::mem::take(&mut below);
                let mut unpacker = Unpacker::new(tree);
                unpack(layer, &mut unpacker, progress).with_context(|| named(layer))?;
                omitted.devices += unpacker.omitted.devices;
                omitted.attributes += unpacker.omitted.attributes;
                let leans = unpacker.leans();
                unfinished.name = Some(key.name(if leans { Content::LeansOnLower } else { Content::Own }));
                if !leans {
                    alone.push(&key.diff_id);
                }
                below = unpacker.into_below();
                unfinished.folder.try_clone()?
            }
        };
        below.insert(0, folder);
    }
    Ok(omitted)
}

/// An error if anybody but the caller may enter a folder: the files that come into it may be setuid
/// programs of an image's.
fn refuse_open(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let folder = path.symlink_metadata().with_context(|| path.display().to_string())?;
    let own = nix::unistd::geteuid().as_raw();
    if folder.is_dir() && folder.uid() == own && folder.mode() & 0o077 == 0 {
        return Ok(());
    }
    bail!(
        "--copy: others may enter {}, and an image may have setuid programs: it must be yours and have mode 0700",
        path.display()
    )
}

/// A bundle that is being made.
struct Bundle {
    path: PathBuf,
    /// Whether its folder was made, not only what is in it.
    is_new: bool,
}

impl Bundle {
    /// A folder with an empty `rootfs` in it. One that is there may have anything else in it.
    fn make(path: &Path, unpack: &Unpack) -> Result<Bundle> {
        // Nobody else reaches setuid programs in it.
        let is_new = match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(err) => return Err(err).with_context(|| format!("mkdir {}", path.display())),
        };
        let bundle = Bundle { path: path.to_path_buf(), is_new };
        if *unpack == Unpack::Copy {
            refuse_open(path)?;
        }
        let config = path.join("config.json");
        if config.symlink_metadata().is_ok() {
            bail!("{} exists; remove it first", config.display());
        }
        let root = path.join("rootfs");
        match DirBuilder::new().mode(0o755).create(&root) {
            Ok(()) => Ok(bundle),
            Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("{} exists; remove it first", root.display())
            }
            Err(err) => Err(err).with_context(|| format!("mkdir {}", root.display())),
        }
    }

    fn write_config(&self, text: &str) -> Result<()> {
        let path = self.path.join("config.json");
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| path.display().to_string())
    }

    /// Remove what was made. That it failed is the error that is told.
    fn remove(&self) {
        if let Ok(folder) = fs::open(&self.path, fs::O_RDONLY | fs::O_DIRECTORY, 0) {
            let _ = tree::remove(folder.as_fd(), b"rootfs");
            let _ = tree::remove(folder.as_fd(), b"config.json");
        }
        if self.is_new {
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}
