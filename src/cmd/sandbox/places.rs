//! What options put at places of a sandbox, as they name it.

use super::{Args, Net, facts};
use crate::template::sandbox::places::{Access, Kind, Node, Placed, behind, conflict};
use crate::template::sandbox::{secrets, view::is_own};
use anyhow::{Context, Result, bail};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// All of them, and what is hidden by default.
pub(super) fn placed(args: &Args, net: &Net) -> Result<Vec<Placed>> {
    let mut placed = Vec::new();
    for (option, texts, access) in
        [("--bind", &args.bind, Access::Write), ("--ro-bind", &args.ro_bind, Access::Read)]
    {
        for text in texts {
            placed.push(bound(option, text, access).with_context(|| format!("{option} {text}"))?);
        }
    }
    for folder in &args.write {
        let place = bound("--write", folder, Access::Write).with_context(|| format!("--write {folder}"))?;
        if !Path::new(&place.path).is_dir() {
            bail!("--write {folder}: not a folder");
        }
        placed.push(place);
    }
    for path in &args.hide {
        let real = facts::real(path).with_context(|| format!("--hide {path}"))?;
        placed.push(Placed { kind: hidden(&real), path: real, option: "--hide" });
    }
    for path in &args.tmpfs {
        let path = facts::resolved(path).with_context(|| format!("--tmpfs {path}"))?;
        placed.push(Placed { path, kind: Kind::Tmpfs, option: "--tmpfs" });
    }
    let kernels = ["/", "/proc", "/sys", "/dev"];
    if let Some(place) = placed.iter().find(|place| kernels.contains(&place.path.as_str())) {
        bail!("{} {}: that is the sandbox's own", place.option, place.path);
    }
    if let Some(reason) = conflict(&placed) {
        bail!(reason);
    }
    hide_secrets(args, &mut placed)?;
    if matches!(net, Net::Host) {
        placed.extend(name_servers(&placed));
    }
    Ok(placed)
}

/// Hide what is in the list of secrets and there, but for what is to be shown and what an option
/// puts in its place.
fn hide_secrets(args: &Args, placed: &mut Vec<Placed>) -> Result<()> {
    let mut shown = Vec::new();
    for path in &args.show {
        shown.push(facts::real(path).with_context(|| format!("--show {path}"))?);
    }
    let found = secrets::hidden(facts::secrets()?, &shown);
    if let Some(idle) = found.idle.first() {
        bail!("--show {idle}: it is not hidden");
    }
    for path in found.inside {
        let kind = Kind::Bind { source: path.clone(), access: Access::Read, node: Node::Other };
        placed.push(Placed { path, kind, option: "--show" });
    }
    let others = secrets::also_at(&found.paths, placed);
    for path in found.paths.into_iter().chain(others) {
        // Where nothing of the host's is seen, there is nothing to hide.
        if placed.iter().all(|place| place.path != path) && behind(&path, placed, is_own).is_some() {
            placed.push(Placed { kind: hidden(&path), path, option: "secret" });
        }
    }
    Ok(())
}

/// The file that says which name servers there are, where the link to it leads to /run.
fn name_servers(placed: &[Placed]) -> Option<Placed> {
    let path = facts::real("/etc/resolv.conf").ok()?;
    let is_seen = !is_own(&path) || placed.iter().any(|place| place.path == path);
    let kind = Kind::Bind { source: path.clone(), access: Access::Read, node: Node::Other };
    (!is_seen).then_some(Placed { path, kind, option: "--net host" })
}

fn hidden(path: &str) -> Kind {
    if Path::new(path).is_dir() { Kind::HiddenFolder } else { Kind::HiddenFile }
}

/// `SRC` or `SRC:DST`, where DST begins with a slash.
fn bound(option: &'static str, text: &str, access: Access) -> Result<Placed> {
    let (source, at) = match text.rfind(":/") {
        Some(colon) if option != "--write" => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    let source = facts::real(source)?;
    let kind = std::fs::metadata(&source)?.file_type();
    let node = if kind.is_char_device() || kind.is_block_device() { Node::Device } else { Node::Other };
    let path = at.map_or(Ok(source.clone()), facts::resolved)?;
    Ok(Placed { path, kind: Kind::Bind { source, access, node }, option })
}
