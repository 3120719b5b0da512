//! Images without a registry: OCI layouts (image-spec, image-layout.md), as a folder or an archive
//! of one, and archives of `docker save`.

use super::blob::{Expected, read_small};
use super::files::{Files, JSON_LIMIT, Section};
use anyhow::{Context, Result, bail};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// The annotation of a tag in an index.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// How many indexes may be inside one another.
const INDEX_LIMIT: usize = 4;

/// An image, ready to be unpacked.
#[derive(Debug)]
pub(crate) struct Image {
    pub config: ImageConfiguration,
    /// The lowest first.
    pub layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Debug)]
pub(crate) struct Layer {
    pub blob: Section,
    pub expected: Expected,
}

/// How an image is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Layout,
    DockerArchive,
}

/// What was asked for, in parts.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    /// None is to be found out.
    form: Option<Form>,
    path: PathBuf,
    /// A tag or the name of an image; none if there is but one.
    reference: Option<String>,
}

/// The image that `source` names: `oci:PATH[:TAG]`, `docker-archive:PATH[:REF]` or a path.
pub(crate) fn open(source: &str) -> Result<Image> {
    let text = source;
    let source = parse(source, &|path| path.exists());
    if !source.path.exists()
        && let Some(name) = in_a_registry(text)
    {
        bail!("{}", pulled(name));
    }
    let files = Files::open(&source.path)?;
    let form = match source.form {
        Some(form) => form,
        None if files.find("manifest.json")?.is_some() => Form::DockerArchive,
        None if files.find("index.json")?.is_some() => Form::Layout,
        None => bail!("neither an OCI layout (no index.json) nor of docker save (no manifest.json)"),
    };
    match form {
        Form::Layout => layout(&files, source.reference.as_deref()),
        Form::DockerArchive => docker_archive(&files, source.reference.as_deref()),
    }
}

/// The name of an image in a registry, if that is what somebody means who names no file that is
/// there.
fn in_a_registry(source: &str) -> Option<&str> {
    if let Some(name) = source.strip_prefix("docker://") {
        return Some(name);
    }
    let is_path = source.starts_with(['/', '.', '~']) || source.ends_with('/') || source.contains(".tar");
    let forms = ["oci:", "oci-archive:", "docker-archive:"];
    (!is_path && !source.is_empty() && !forms.iter().any(|form| source.starts_with(form))).then_some(source)
}

/// What to do for an image that is not on this machine.
fn pulled(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let (folder, tag) = last.split_once([':', '@']).unwrap_or((last, "latest"));
    let tag = if name.contains('@') { "latest" } else { tag };
    let complete = if name.contains(':') { name.to_string() } else { format!("{name}:{tag}") };
    format!(
        "no such file or directory, and knarr does not pull images: skopeo copy docker://{complete} oci:{folder}:{tag}, \
         then name oci:{folder}:{tag}"
    )
}

/// A path may have colons itself; where there is such a file it is meant.
fn parse(source: &str, exists: &dyn Fn(&Path) -> bool) -> Source {
    let forms =
        [("oci:", Form::Layout), ("oci-archive:", Form::Layout), ("docker-archive:", Form::DockerArchive)];
    let known = forms.iter().find_map(|(prefix, form)| Some((source.strip_prefix(prefix)?, *form)));
    let (rest, form) = known.map_or((source, None), |(rest, form)| (rest, Some(form)));
    if exists(Path::new(rest)) {
        return Source { form, path: rest.into(), reference: None };
    }
    let (path, reference) = rest.split_once(':').unwrap_or((rest, ""));
    let reference = Some(reference.to_string()).filter(|reference| !reference.is_empty());
    Source { form, path: path.into(), reference }
}

fn json<T: DeserializeOwned>(data: &[u8], name: &str) -> Result<T> {
    serde_json::from_slice(data).with_context(|| name.to_string())
}

fn layout(files: &Files, tag: Option<&str>) -> Result<Image> {
    let index = files.json("index.json")?.context("index.json is missing: not an OCI layout")?;
    let index: ImageIndex = json(&index, "index.json")?;
    let mut descriptor = choose(&index, tag)?.clone();
    for _ in 0..INDEX_LIMIT {
        let (name, data) = small_blob(files, &descriptor)?;
        let kind: serde_json::Value = json(&data, &name)?;
        if kind.get("manifests").is_none() {
            return manifest(files, &json(&data, &name)?).with_context(|| format!("manifest {name}"));
        }
        let index: ImageIndex = json(&data, &name)?;
        let all: Vec<&Descriptor> = index.manifests().iter().collect();
        descriptor = for_this_machine(&all).with_context(|| format!("index {name}"))?.clone();
    }
    bail!("more than {INDEX_LIMIT} indexes inside one another")
}

fn tag_of(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations().as_ref()?.get(REF_NAME).map(String::as_str)
}

fn choose<'a>(index: &'a ImageIndex, tag: Option<&str>) -> Result<&'a Descriptor> {
    let all = index.manifests();
    let tags: Vec<&str> = all.iter().filter_map(tag_of).collect();
    let named: Vec<&Descriptor> =
        all.iter().filter(|descriptor| tag.is_none_or(|tag| tag_of(descriptor) == Some(tag))).collect();
    let mut different = tags.clone();
    different.sort_unstable();
    different.dedup();
    match (tag, named.as_slice()) {
        (_, [only]) => Ok(only),
        (Some(tag), []) => bail!("there is no tag {tag:?}; there are: {}", tags.join(", ")),
        (None, []) => bail!("index.json names no image"),
        // One image for several machines.
        (Some(_), _) => for_this_machine(&named),
        (None, _) if different.len() < 2 => for_this_machine(&named),
        (None, _) => bail!("there is more than one image; name a tag: {}", different.join(", ")),
    }
}

/// Of images for several machines the one for this.
fn for_this_machine<'a>(all: &[&'a Descriptor]) -> Result<&'a Descriptor> {
    let here = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    let platform = |descriptor: &Descriptor| {
        let platform = descriptor.platform().as_ref()?;
        Some((platform.os().to_string(), platform.architecture().to_string()))
    };
    let ours = |descriptor: &&&Descriptor| platform(descriptor) == Some(("linux".into(), here.into()));
    match (all.iter().find(ours), all) {
        (Some(found), _) => Ok(found),
        (None, [only]) if platform(only).is_none() => Ok(only),
        _ => bail!("there is no image for linux/{here}"),
    }
}

fn sha256(descriptor: &Descriptor) -> Result<&str> {
    let digest = descriptor.as_digest_sha256();
    digest.with_context(|| format!("digest {}: only sha256 is known", descriptor.digest()))
}

fn blob_name(descriptor: &Descriptor) -> Result<String> {
    Ok(format!("blobs/sha256/{}", sha256(descriptor)?))
}

fn sized_blob(files: &Files, name: &str, descriptor: &Descriptor) -> Result<Section> {
    let blob = files.get(name)?;
    if blob.size() != descriptor.size() {
        bail!("{name}: it has {} bytes, not {} as its descriptor says", blob.size(), descriptor.size());
    }
    Ok(blob)
}

fn small_blob(files: &Files, descriptor: &Descriptor) -> Result<(String, Vec<u8>)> {
    let name = blob_name(descriptor)?;
    let blob = sized_blob(files, &name, descriptor)?;
    let data = read_small(blob, sha256(descriptor)?, descriptor.size(), JSON_LIMIT);
    Ok((name.clone(), data.with_context(|| name)?))
}

/// What an image's configuration is, to OCI and to Docker.
const IMAGE_CONFIGURATIONS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

fn manifest(files: &Files, manifest: &ImageManifest) -> Result<Image> {
    let (name, data) = small_blob(files, manifest.config())?;
    let config: Result<ImageConfiguration> = json(&data, &name);
    let kind = manifest.config().media_type().to_string();
    if config.is_err() && !IMAGE_CONFIGURATIONS.contains(&kind.as_str()) {
        bail!("it is an artifact, not an image: its configuration is of type {kind}");
    }
    let config = config?;
    let diff_ids = diff_ids(&config, manifest.layers().len())?;
    let mut layers = Vec::new();
    for (descriptor, diff_id) in manifest.layers().iter().zip(diff_ids) {
        if descriptor.media_type().as_ref().ends_with("encrypted") {
            bail!("layer {}: it is encrypted", descriptor.digest());
        }
        let expected = Expected { blob: Some(sha256(descriptor)?.to_string()), diff_id };
        layers.push(Layer { blob: sized_blob(files, &blob_name(descriptor)?, descriptor)?, expected });
    }
    Ok(Image { config, layers })
}

/// The digests of the uncompressed layers, the lowest first.
fn diff_ids(config: &ImageConfiguration, layers: usize) -> Result<Vec<String>> {
    let ids = config.rootfs().diff_ids();
    if ids.len() != layers {
        bail!("the configuration has {} diff_ids for {layers} layers", ids.len());
    }
    let hex = |id: &String| {
        let hex = id.strip_prefix("sha256:").unwrap_or_default();
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(hex.to_string())
        } else {
            bail!("diff_id {id:?} is not sha256: and 64 hexadecimal digits")
        }
    };
    ids.iter().map(hex).collect()
}

/// One image in the manifest.json of `docker save`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// A name of an image as Docker completes it.
fn complete(reference: &str) -> String {
    let reference = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let reference = reference.strip_prefix("library/").unwrap_or(reference);
    let last = reference.rsplit('/').next().unwrap_or_default();
    if last.contains(':') { reference.into() } else { format!("{reference}:latest") }
}

fn docker_archive(files: &Files, reference: Option<&str>) -> Result<Image> {
    let data = files.json("manifest.json")?.context("manifest.json is missing: not of docker save")?;
    let images: Vec<Saved> = json(&data, "manifest.json")?;
    let names = |image: &Saved| image.repo_tags.clone().unwrap_or_default();
    let all: Vec<String> = images.iter().flat_map(names).collect();
    let image = match (reference, images.as_slice()) {
        (Some(reference), _) => {
            let wanted = complete(reference);
            let found = images.iter().find(|image| names(image).iter().any(|name| complete(name) == wanted));
            found
                .with_context(|| format!("there is no image {reference:?}; there are: {}", all.join(", ")))?
        }
        (None, [only]) => only,
        (None, []) => bail!("manifest.json names no image"),
        (None, _) => bail!("there is more than one image; name one: {}", all.join(", ")),
    };
    let config = files.json(&image.config)?.with_context(|| format!("{} is missing", image.config))?;
    check_name(&image.config, &config)?;
    let config: ImageConfiguration = json(&config, &image.config)?;
    let paths = image.layers.clone().unwrap_or_default();
    let diff_ids = diff_ids(&config, paths.len())?;
    let mut layers = Vec::new();
    for (path, diff_id) in paths.iter().zip(diff_ids) {
        layers.push(Layer { blob: files.get(path)?, expected: Expected { blob: None, diff_id } });
    }
    Ok(Image { config, layers })
}

/// A file that is named by a digest has it: `HEX.json`, or `blobs/sha256/HEX` of newer versions.
fn check_name(name: &str, data: &[u8]) -> Result<()> {
    let stem = name.rsplit('/').next().unwrap_or_default();
    let stem = stem.strip_suffix(".json").unwrap_or(stem);
    let digest = super::blob::digest(data);
    if stem.len() == 64 && stem != digest {
        bail!("{name}: its digest is sha256:{digest}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Form, Source, complete, in_a_registry, parse, pulled};

    #[test]
    fn sources_are_taken_apart() {
        let exists = |path: &std::path::Path| path.as_os_str() == "a:b";
        let table = [
            ("oci:img", Some(Form::Layout), "img", None),
            ("oci:img:v1", Some(Form::Layout), "img", Some("v1")),
            ("oci-archive:img.tar", Some(Form::Layout), "img.tar", None),
            ("docker-archive:i.tar:box:1.2", Some(Form::DockerArchive), "i.tar", Some("box:1.2")),
            ("/x/img:v1", None, "/x/img", Some("v1")),
            ("a:b", None, "a:b", None),
            ("oci:a:b", Some(Form::Layout), "a:b", None),
            ("img:", None, "img", None),
        ];
        for (text, form, path, reference) in table {
            let reference = reference.map(String::from);
            assert_eq!(parse(text, &exists), Source { form, path: path.into(), reference }, "{text}");
        }
    }

    #[test]
    fn who_names_an_image_of_a_registry_is_told_how_to_get_it() {
        let line = |source| in_a_registry(source).map(pulled).unwrap_or_default();
        assert!(line("debian").contains("skopeo copy docker://debian:latest oci:debian:latest,"));
        assert!(line("docker://quay.io/a/box:1").contains("skopeo copy docker://quay.io/a/box:1 oci:box:1,"));
        for source in ["oci:img", "./img", "/img", "img.tar", "img/"] {
            assert_eq!(line(source), "", "{source}");
        }
    }

    #[test]
    fn names_are_completed() {
        for name in ["box", "box:latest", "library/box", "docker.io/library/box:latest"] {
            assert_eq!(complete(name), "box:latest");
        }
        assert_eq!(complete("localhost:5000/box"), "localhost:5000/box:latest");
    }
}
