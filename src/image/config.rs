//! An image's configuration as a config.json (image-spec, conversion.md). Pure.

use super::users::User;
use crate::config::annotation;
use crate::template::{docker, spec};
use anyhow::{Result, bail};
use oci_spec::image::ImageConfiguration;
use serde_json::{Map, Value, json};

/// What the caller asks for, and what was found out about the image.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// In place of the image's command.
    pub args: &'a [String],
    /// Whether the process gets a terminal.
    pub terminal: bool,
    /// Who the process is.
    pub user: &'a User,
    pub volumes: &'a [Volume],
    /// The value of the annotation that names the layers, if they are to be merged by overlayfs.
    pub lowerdir: Option<&'a str>,
    /// For a container of an ordinary user, in a user namespace in which they are root.
    pub rootless: Option<Rootless>,
}

/// The ids of an ordinary user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rootless {
    pub own: (u32, u32),
    /// The ranges of user and group ids that are given to them, each the first and how many.
    pub given: Option<[(u32, u32); 2]>,
}

/// A folder whose content is not a part of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is, absolute.
    pub path: String,
    /// The mode of the image's folder of that name.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// The paths of an image's volumes, in order.
pub fn volumes(image: &ImageConfiguration) -> Vec<String> {
    let mut volumes = image.config().as_ref().and_then(|c| c.volumes().clone()).unwrap_or_default();
    volumes.retain(|path| path.starts_with('/') && path != "/");
    volumes.sort();
    volumes
}

/// The config.json of a bundle of this image.
pub fn convert(image: &ImageConfiguration, options: &Options<'_>) -> Result<String> {
    let base = match options.rootless {
        Some(Rootless { own: (uid, gid), .. }) => spec::rootless(uid, gid)?,
        None => spec::DEFAULT.into(),
    };
    let mut config: Value = serde_json::from_str(&base)?;
    // Nothing of a later version is in it, and older runtimes refuse what they do not know.
    config["ociVersion"] = "1.0.2".into();
    docker::confine(&mut config);
    config["linux"]["seccomp"] = docker::seccomp()?;
    for (maps, (first, count)) in ["uidMappings", "gidMappings"].into_iter().zip(given(options)) {
        if let Some(maps) = config["linux"][maps].as_array_mut() {
            maps.push(json!({ "containerID": 1, "hostID": first, "size": count }));
        }
    }
    process(&mut config["process"], image, options)?;
    config["root"] = json!({ "path": "rootfs", "readonly": false });
    config["annotations"] = Value::Object(annotations(image, options));
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.extend(options.volumes.iter().map(|volume| mount(volume, options.volumes.len())));
    }
    Ok(format!("{config:#}\n"))
}

fn given(options: &Options<'_>) -> impl Iterator<Item = (u32, u32)> {
    options.rootless.and_then(|rootless| rootless.given).into_iter().flatten()
}

fn process(process: &mut Value, image: &ImageConfiguration, options: &Options<'_>) -> Result<()> {
    let config = image.config().clone().unwrap_or_default();
    let part = |part: &Option<Vec<String>>| part.clone().unwrap_or_default();
    let own = [part(config.entrypoint()), part(config.cmd())].concat();
    let args = if options.args.is_empty() { own } else { options.args.to_vec() };
    if args.is_empty() {
        bail!("the image names no program (Entrypoint, Cmd): give one after --");
    }
    process["args"] = json!(args);
    process["terminal"] = options.terminal.into();
    process["cwd"] = working_dir(config.working_dir().as_deref().unwrap_or_default()).into();
    process["env"] = json!(environment(&part(config.env()), options.terminal)?);
    process["user"] = json!({ "uid": options.user.uid, "gid": options.user.gid });
    if !options.user.additional_gids.is_empty() {
        process["user"]["additionalGids"] = json!(options.user.additional_gids);
    }
    Ok(())
}

/// Relative ones are found in images of other tools.
fn working_dir(dir: &str) -> String {
    if dir.starts_with('/') { dir.into() } else { format!("/{dir}") }
}

/// The image's variables; of one that is named twice the last. The default `PATH` unless it has
/// one.
fn environment(image: &[String], terminal: bool) -> Result<Vec<String>> {
    let mut env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_string()];
    if terminal {
        env.push("TERM=xterm".into());
    }
    for entry in image {
        let Some((name, _)) = entry.split_once('=') else {
            bail!("the image's Env has {entry:?}, which is not of the form NAME=value");
        };
        env.retain(|known| known.split_once('=').is_none_or(|(known, _)| known != name));
        env.push(entry.clone());
    }
    Ok(env)
}

/// Labels, and what else the image says of itself; a label of the same name wins.
fn annotations(image: &ImageConfiguration, options: &Options<'_>) -> Map<String, Value> {
    let config = image.config().clone().unwrap_or_default();
    let mut ports = config.exposed_ports().clone().unwrap_or_default();
    ports.sort();
    let features = image.os_features().clone().unwrap_or_default().join(",");
    let about = [
        ("os", image.os().to_string()),
        ("architecture", image.architecture().to_string()),
        ("variant", image.variant().clone().unwrap_or_default()),
        ("os.version", image.os_version().clone().unwrap_or_default()),
        ("os.features", features),
        ("author", image.author().clone().unwrap_or_default()),
        ("created", image.created().clone().unwrap_or_default()),
        ("stopSignal", config.stop_signal().clone().unwrap_or_default()),
        ("exposedPorts", ports.join(",")),
    ];
    let about = about.into_iter().filter(|(_, value)| !value.is_empty());
    let mut annotations: Map<String, Value> =
        about.map(|(name, value)| (format!("{}{name}", annotation::IMAGE), value.into())).collect();
    let labels = config.labels().clone().unwrap_or_default();
    // How a container is made is not for an image to say, and which names other runtimes obey is
    // nowhere written down.
    let harmless = labels.into_iter().filter(|(name, _)| name.starts_with(annotation::IMAGE));
    annotations.extend(harmless.map(|(name, value)| (name, value.into())));
    if let Some(lowerdir) = options.lowerdir {
        annotations.insert(annotation::OVERLAY_LOWER.into(), lowerdir.into());
        annotations.insert(annotation::OVERLAY.into(), "ephemeral".into());
    }
    annotations
}

/// A volume is memory that begins with what the image has there. All together they may take what
/// one tmpfs may by default, half of the machine's.
fn mount(volume: &Volume, count: usize) -> Value {
    let mut options = ["nosuid", "nodev", "tmpcopyup"].map(String::from).to_vec();
    options.push(format!("mode={:o}", volume.mode));
    options.push(format!("size={}%", (50 / count.max(1)).max(1)));
    for (name, id) in [("uid", volume.uid), ("gid", volume.gid)] {
        if id != 0 {
            options.push(format!("{name}={id}"));
        }
    }
    json!({ "destination": volume.path, "type": "tmpfs", "source": "tmpfs", "options": options })
}

/// The folders of layers as overlayfs's `lowerdir` names them: joined by colons, those and
/// backslashes escaped.
pub fn lowerdir(layers: &[String]) -> String {
    let escaped = layers.iter().map(|layer| layer.replace('\\', "\\\\").replace(':', "\\:"));
    escaped.collect::<Vec<_>>().join(":")
}
