//! Images made by a test: layers, and layouts of them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// An empty folder of this test's own.
pub fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path.canonicalize().unwrap()
}

pub fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A layer's archive.
pub struct Layer(tar::Builder<Vec<u8>>);

pub use tar::EntryType as Type;

impl Layer {
    pub fn new() -> Layer {
        Layer(tar::Builder::new(Vec::new()))
    }

    /// An entry with exactly these bytes as its name and link.
    pub fn raw(mut self, kind: Type, name: &[u8], link: &[u8], mode: u32, data: &[u8]) -> Layer {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_mtime(1_000_000);
        let (uid, gid) = ids();
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    pub fn file(self, name: &str, data: &str) -> Layer {
        self.raw(Type::Regular, name.as_bytes(), b"", 0o644, data.as_bytes())
    }

    pub fn dir(self, name: &str) -> Layer {
        self.raw(Type::Directory, name.as_bytes(), b"", 0o755, b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Layer {
        self.pax(&[("linkpath", target.as_bytes())]).raw(Type::Symlink, name.as_bytes(), b"", 0o777, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Layer {
        self.pax(&[("linkpath", target.as_bytes())]).raw(Type::Link, name.as_bytes(), b"", 0o644, b"")
    }

    /// Records for the next entry.
    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Layer {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    /// A file whose name needs an entry of its own.
    pub fn long(mut self, name: &str, data: &str) -> Layer {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        self.0.append_data(&mut header, name, data.as_bytes()).unwrap();
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// This user's ids, as files of theirs can always be made.
pub fn ids() -> (u64, u64) {
    (nix::unistd::geteuid().as_raw().into(), nix::unistd::getegid().as_raw().into())
}

pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

/// A layout that is being made.
pub struct Layout {
    pub path: PathBuf,
    manifests: Vec<Value>,
}

impl Layout {
    pub fn new(path: &Path) -> Layout {
        std::fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
        Layout { path: path.to_path_buf(), manifests: Vec::new() }
    }

    /// Write a blob; its descriptor.
    pub fn blob(&self, kind: &str, data: &[u8]) -> Value {
        let digest = sha256(data);
        std::fs::write(self.path.join("blobs/sha256").join(&digest), data).unwrap();
        let kind = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": data.len() })
    }

    /// Add an image of these descriptors, the archives in them having these digests.
    pub fn image(&mut self, tag: &str, layers: &[Value], diff_ids: &[String], config: &Value) {
        let ids: Vec<String> = diff_ids.iter().map(|id| format!("sha256:{id}")).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": ids },
        });
        let config = self.blob("config.v1+json", config.to_string().as_bytes());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let mut descriptor = self.blob("manifest.v1+json", manifest.to_string().as_bytes());
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        self.manifests.push(descriptor);
        let index = json!({ "schemaVersion": 2, "manifests": self.manifests });
        std::fs::write(self.path.join("index.json"), index.to_string()).unwrap();
    }

    /// Add an image of these archives.
    pub fn plain(&mut self, tag: &str, archives: &[Vec<u8>], config: &Value) {
        let layers: Vec<Value> = archives.iter().map(|archive| self.blob("layer.v1.tar", archive)).collect();
        let diff_ids: Vec<String> = archives.iter().map(|archive| sha256(archive)).collect();
        self.image(tag, &layers, &diff_ids, config);
    }
}
