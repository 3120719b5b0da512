//! A root filesystem that is stacked of layers: config.json and `--overlay` to steps.

use super::mounts::Mounts;
use super::{GlassStep, HostStep, OverlayStep, Request, RootStep, Writable};
use crate::config::mount_options::Options;
use crate::config::{Config, Invalid, Mount, Namespace, Overlay, Place, Upper};
use crate::sys::mount::attr;
use std::path::Path;

/// What is asked for, by config.json or by the caller, whose word counts more.
pub(super) fn asked(config: &Config, request: &Request) -> Result<Option<Overlay>, Invalid> {
    let overlay = match (config.overlay.clone(), request.overlay.clone()) {
        (of_config, None) => of_config,
        (Some(of_config), upper) => Some(Overlay { upper, ..of_config }),
        (None, upper) => {
            Some(Overlay { field: "--overlay".into(), lower: None, upper, parameters: Vec::new() })
        }
    };
    match overlay {
        Some(overlay) if *config.namespaces.of(Namespace::Mount) != Place::New => Err(Invalid::new(
            overlay.field,
            "needs a new mount namespace, which linux.namespaces does not ask for",
        )),
        overlay => Ok(overlay),
    }
}

impl Mounts<'_> {
    /// The step that stacks the layers, and before it their copies.
    pub(super) fn stack(&mut self, overlay: &Overlay) -> Result<(), Invalid> {
        let field = overlay.field.as_str();
        let root = [self.config.root.path.clone()];
        let layers = overlay.lower.as_deref().unwrap_or(&root);
        let lower = layers.iter().map(|layer| self.layer(field, layer)).collect();
        let user_namespace = self.config.namespaces.own(Namespace::User);
        let like = layers.first().unwrap_or(&root[0]);
        let upper = overlay.upper.as_ref().map(|upper| match upper {
            Upper::Memory => Writable::Memory,
            Upper::Folder(path) => self.folder(field, path, like),
            Upper::Given { above, upper, work } => Writable::Tree {
                slot: self.layer(field, above),
                upper: upper.to_string_lossy().into_owned(),
                work: work.to_string_lossy().into_owned(),
            },
        });
        let mut parameters = overlay.parameters.clone();
        // The usual attributes are for the host's root only.
        if user_namespace || !self.host.is_root {
            parameters.push("userxattr".into());
        }
        parameters.extend(self.label("overlay")?.0.map(|(key, value)| {
            // The kernel's parser of mount options splits at commas, which labels with categories
            // have.
            format!("{key}=\"{}\"", value.unwrap_or_default())
        }));
        let step = OverlayStep { lower, upper, parameters, keeps_owner: !user_namespace };
        self.step(field, RootStep::Overlay(step));
        Ok(())
    }

    /// Have a folder for changes made, with the mode of `like`.
    fn folder(&mut self, field: &str, path: &Path, like: &Path) -> Writable {
        let user_namespace = self.config.namespaces.own(Namespace::User);
        let owner = self.config.id_maps.root().filter(|_| user_namespace);
        let step = HostStep::OverlayFolder { path: path.into(), like: like.into(), owner };
        self.before_copies(field, step);
        Writable::Tree { slot: self.layer(field, path), upper: "upper".into(), work: "work".into() }
    }

    /// Where changes at `destination`, which is a mount of its own, go with those of the root.
    pub(super) fn upper_of(
        &mut self,
        field: &str,
        destination: &str,
        like: &Path,
    ) -> Result<Writable, Invalid> {
        match self.overlay.and_then(|overlay| overlay.upper.as_ref()) {
            Some(Upper::Memory) => Ok(Writable::Memory),
            Some(Upper::Folder(path)) => Ok(self.folder(field, &path.join(layer_of(destination)), like)),
            _ => Err(Invalid::new(
                field,
                "changes: the root has no layer for changes in memory or in a folder",
            )),
        }
    }

    /// An overlay of one layer is a copy of that layer: read-only, unless its changes go where
    /// those of the root go.
    pub(super) fn glass(&mut self, field: String, mount: &Mount, layer: &OnlyLayer) -> Result<(), Invalid> {
        let path = Path::new(&layer.path);
        let slot = self.layer(&field, path);
        let upper = match layer.changes {
            Changes::Refused => None,
            Changes::WithTheRoots => Some(self.upper_of(&field, &mount.destination, path)?),
        };
        let read_only = if upper.is_none() { attr::RDONLY } else { 0 };
        let attrs = mount.options.top.set | mount.options.tree.set | read_only;
        let of_user = self.config.namespaces.own(Namespace::User) || !self.host.is_root;
        let glass = GlassStep { target: mount.destination.clone(), slot, attrs, upper, of_user };
        self.step(field, RootStep::Glass(glass));
        Ok(())
    }
}

/// What an overlay of one layer is of.
pub(super) struct OnlyLayer {
    path: String,
    changes: Changes,
}

/// What becomes of changes to an overlay of one layer.
enum Changes {
    Refused,
    WithTheRoots,
}

/// The layer of an overlay that has no other, and no folder for changes of its own. The kernel
/// makes none of such.
pub(super) fn only_layer(fstype: &str, options: &Options) -> Option<OnlyLayer> {
    let (key, Some(layer), changes) = (match options.parameters.as_slice() {
        [(key, layer)] => (key, layer, Changes::Refused),
        [(key, layer), (changes, None)] if changes == "changes" => (key, layer, Changes::WithTheRoots),
        _ => return None,
    }) else {
        return None;
    };
    if (fstype, key.as_str()) != ("overlay", "lowerdir") {
        return None;
    }
    let plain = layer.replace("\\\\", "").replace("\\:", "");
    let path = layer.replace("\\:", ":").replace("\\\\", "\\");
    (!plain.contains(':')).then_some(OnlyLayer { path, changes })
}

/// The folder of the changes below a mount, in the folder of those of the root.
pub fn layer_of(destination: &str) -> String {
    let path = destination.trim_matches('/').replace('%', "%25").replace('/', "%2F");
    format!("{LAYER_OF}{path}")
}

/// What a [`layer_of`] stands for; none if a name is none.
pub fn place_of(layer: &str) -> Option<String> {
    let path = layer.strip_prefix(LAYER_OF)?.replace("%2F", "/").replace("%25", "%");
    Some(format!("/{path}"))
}

const LAYER_OF: &str = "at-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_layers_lead_back() {
        for place in ["/home", "/home/a b", "/a%2Fb/%25/c"] {
            assert!(!layer_of(place).contains('/'));
            assert_eq!(place_of(&layer_of(place)).as_deref(), Some(place));
        }
        assert_eq!(place_of("upper"), None);
    }
}
