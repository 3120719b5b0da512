//! A root filesystem that is stacked of layers: config.json and `--overlay` to steps.

use super::mounts::Mounts;
use super::{HostStep, OverlayStep, Request, RootStep, Writable};
use crate::config::{Config, Invalid, Namespace, Overlay, Place, Upper};

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
    pub(super) fn overlay(&mut self, overlay: &Overlay) -> Result<(), Invalid> {
        let field = overlay.field.as_str();
        let root = [self.config.root.path.clone()];
        let layers = overlay.lower.as_deref().unwrap_or(&root);
        let lower = layers.iter().map(|layer| self.layer(field, layer)).collect();
        let user_namespace = self.config.namespaces.own(Namespace::User);
        let upper = overlay.upper.as_ref().map(|upper| match upper {
            Upper::Memory => Writable::Memory,
            Upper::Folder(path) => {
                let owner = self.config.id_maps.root().filter(|_| user_namespace);
                let step = HostStep::OverlayFolder {
                    path: path.clone(),
                    like: layers.first().unwrap_or(&root[0]).clone(),
                    owner,
                };
                self.before_copies(field, step);
                Writable::Tree { slot: self.layer(field, path), upper: "upper".into(), work: "work".into() }
            }
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
}
