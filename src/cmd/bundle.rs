//! `knarr bundle`.

use super::Global;
use super::print;
use crate::image::progress::Kind;
use crate::image::{self, Made, Request, Unpack};
use anyhow::{Context, Result};
use indicatif::HumanBytes;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[group(id = "bundle")]
pub struct Args {
    /// The image: oci:PATH[:TAG] (a folder or a tar archive), docker-archive:PATH[:REF] (of docker
    /// save), or just its path
    #[arg(long, value_name = "SOURCE")]
    pub image: String,
    /// Unpack all layers into DIR/rootfs, in place of an overlay of layers in the store
    #[arg(long)]
    pub copy: bool,
    /// Folder in which each layer is kept once [default: /var/lib/knarr/store, of an ordinary user
    /// $XDG_DATA_HOME/knarr]
    #[arg(long, value_name = "DIR", conflicts_with = "copy")]
    pub store: Option<PathBuf>,
    /// What is said of layers meanwhile, on standard error
    #[arg(long, value_enum, value_name = "KIND", default_value = "auto")]
    pub progress: Kind,
    /// Give the process a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// The bundle to make
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// A command in place of the image's
    #[arg(value_name = "COMMAND", last = true)]
    pub args: Vec<String>,
}

/// Make the bundle.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let request = Request {
        source: &args.image,
        bundle: &args.folder,
        unpack: unpack(args)?,
        terminal: args.tty,
        args: &args.args,
        progress: args.progress,
    };
    let made = image::bundle(&request).context("bundle")?;
    for warning in &made.warnings {
        global.log().warning(warning);
    }
    print(&summary(args, &made))
}

/// What was made, and how it is run.
fn summary(args: &Args, made: &Made) -> String {
    let folder = args.folder.display();
    let name = args.folder.file_name().map_or("web".into(), |name| name.to_string_lossy());
    let unpacked = match (args.copy, made.unpacked) {
        (true, _) => "copied".into(),
        (false, 0) => "all in the store already".into(),
        (false, n) => format!("{n} unpacked into the store"),
    };
    let (layers, size) = (made.layers, HumanBytes(made.size));
    format!(
        "{folder}: {image}, {layers} layers, {size}, {unpacked}; to run it: knarr run --bundle {folder} {name}\n",
        image = args.image
    )
}

fn unpack(args: &Args) -> Result<Unpack> {
    match (&args.store, args.copy) {
        (_, true) => Ok(Unpack::Copy),
        (Some(store), _) => Ok(Unpack::Store(store.clone())),
        (None, _) => default_store().map(Unpack::Store),
    }
}

/// An ordinary user keeps layers where they have their data.
fn default_store() -> Result<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Ok("/var/lib/knarr/store".into());
    }
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
    let data = data.context("neither XDG_DATA_HOME nor HOME is set: name a folder by --store")?;
    Ok(data.join("knarr"))
}
