//! A pod's sandbox, where containerd asks the shim for it (`sandboxer = "shim"`): a container whose
//! init is alone, in place of that of a pause image, and the files that the pod's containers share.
//! What is asked for is the CRI's `PodSandboxConfig` (k8s.io/cri-api, runtime/v1/api.proto).

use super::api::Any;
use super::mounts;
use crate::config::annotation;
use crate::host;
use crate::protobuf::declare;
use crate::sys::{fs, mount, process};
use anyhow::{Context, Result, bail};
use nix::mount::MsFlags;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The name of the CRI's message.
const CONFIG: &str = "runtime.v1.PodSandboxConfig";

/// The folder of a sandbox's bundle that has its root and the files of its pod.
const FOLDER: &str = "pod";

/// The annotation of a container that names its sandbox.
pub const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";

/// How large a pod's /dev/shm may become, as in other pods.
const SHM: &str = "mode=1777,size=64m";

/// Where namespaces are (`NamespaceMode`).
mod mode {
    pub const POD: i32 = 0;
    pub const NODE: i32 = 2;
}

declare! {
    /// `PodSandboxConfig`, the fields that are used here, as of the messages below.
    struct PodConfig {
        metadata: Option<Metadata> = 1,
        hostname: String = 2,
        dns_config: Option<DnsConfig> = 4,
        linux: Option<LinuxPod> = 8,
    }
    /// `PodSandboxMetadata`.
    struct Metadata { name: String = 1, uid: String = 2, namespace: String = 3 }
    /// `DNSConfig`.
    struct DnsConfig { servers: Vec<String> = 1, searches: Vec<String> = 2, options: Vec<String> = 3 }
    /// `LinuxPodSandboxConfig`.
    struct LinuxPod {
        cgroup_parent: String = 1,
        security_context: Option<Security> = 2,
        sysctls: BTreeMap<String, String> = 3,
    }
    /// `LinuxSandboxSecurityContext`.
    struct Security { namespaces: Option<Places> = 1, user: Option<Id> = 3, group: Option<Id> = 8 }
    /// `Int64Value`.
    struct Id { value: i64 = 1 }
    /// `NamespaceOption`.
    struct Places { network: i32 = 1, pid: i32 = 2, ipc: i32 = 3, user: Option<UserPlace> = 5 }
    /// `UserNamespace`.
    struct UserPlace { mode: i32 = 1, uids: Vec<Range> = 2, gids: Vec<Range> = 3 }
    /// `IDMapping`.
    struct Range { host: u32 = 1, container: u32 = 2, length: u32 = 3 }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Pod {
    /// The sandbox's id.
    pub id: String,
    config: PodConfig,
    /// Of the network namespace that it joins; empty where it joins none.
    network: String,
}

impl Pod {
    /// From what containerd sends.
    pub fn read(id: &str, asked: Option<&Any>, network: &str) -> Result<Pod> {
        let asked = asked.filter(|any| !any.type_url.is_empty());
        let config = match asked {
            None => PodConfig::default(),
            Some(any) if any.is(CONFIG) => any.unpack(CONFIG).context("options: not well formed")?,
            Some(any) => bail!("options: {:?} is not the configuration of a pod", any.type_url),
        };
        Ok(Pod { id: id.into(), config, network: network.into() })
    }

    /// Whether the pod has a cgroup, which those of its containers are in.
    pub fn has_cgroup(&self) -> bool {
        !self.cgroup_parent().is_empty()
    }

    fn cgroup_parent(&self) -> &str {
        self.config.linux.as_ref().map_or("", |linux| &linux.cgroup_parent)
    }

    fn security(&self) -> Security {
        self.config.linux.as_ref().and_then(|linux| linux.security_context.clone()).unwrap_or_default()
    }

    fn places(&self) -> Places {
        self.security().namespaces.unwrap_or_default()
    }

    /// Its user namespace, if it has one of its own.
    fn user(&self) -> Option<UserPlace> {
        self.places().user.filter(|user| user.mode == mode::POD)
    }

    /// Write its bundle: config.json, an empty root, the files of its pod. config.json names the
    /// descriptor that is returned, so that must be open while the container is made.
    pub fn make(&self, bundle: &Path) -> Result<Option<OwnedFd>> {
        let folder = bundle.join(FOLDER);
        let root = folder.join("root");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&root)
            .with_context(|| format!("mkdir {}", root.display()))?;
        let joined = self.joined_user()?;
        if let Some(user) = self.user() {
            // Nodes of devices are bound there by the root of its user namespace.
            let owner =
                |ranges: &[Range]| ranges.iter().find(|range| range.container == 0).map(|range| range.host);
            std::os::unix::fs::chown(&root, owner(&user.uids), owner(&user.gids)).context("chown")?;
        }
        self.write_files(&folder)?;
        let user = joined.as_ref().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let text = self.config_json(user.as_deref()).to_string();
        std::fs::write(bundle.join("config.json"), text).context("config.json")?;
        Ok(joined)
    }

    /// The user namespace that its network belongs to, where it has one of its own: containerd has
    /// made both.
    fn joined_user(&self) -> Result<Option<OwnedFd>> {
        if self.user().is_none() || self.network.is_empty() {
            return Ok(None);
        }
        let network = fs::open(&self.network, fs::O_RDONLY, 0).with_context(|| self.network.clone())?;
        process::owner_of_namespace(network.as_fd()).map(Some).context("NS_GET_USERNS")
    }

    /// Its config.json; `user` is the path of the user namespace that it joins.
    pub fn config_json(&self, user: Option<&str>) -> Value {
        let (places, security) = (self.places(), self.security());
        let mut namespaces = vec![json!({"type": "mount"})];
        if places.network != mode::NODE {
            namespaces.push(json!({"type": "uts"}));
            let mut network = json!({"type": "network"});
            if !self.network.is_empty() {
                network["path"] = json!(self.network);
            }
            namespaces.push(network);
        }
        if places.pid != mode::NODE {
            namespaces.push(json!({"type": "pid"}));
        }
        if places.ipc != mode::NODE {
            namespaces.push(json!({"type": "ipc"}));
        }
        let mut linux = Map::new();
        if let Some(own) = self.user() {
            let mut namespace = json!({"type": "user"});
            if let Some(path) = user {
                namespace["path"] = json!(path);
            }
            namespaces.push(namespace);
            linux.insert("uidMappings".into(), ranges(&own.uids));
            linux.insert("gidMappings".into(), ranges(&own.gids));
        }
        linux.insert("namespaces".into(), json!(namespaces));
        if self.has_cgroup() {
            linux.insert("cgroupsPath".into(), json!(cgroups_path(self.cgroup_parent(), &self.id)));
        }
        let sysctl = self.config.linux.as_ref().map(|linux| &linux.sysctls);
        if let Some(sysctl) = sysctl.filter(|sysctl| !sysctl.is_empty()) {
            linux.insert("sysctl".into(), json!(sysctl));
        }
        let id = |id: Option<Id>| id.map_or(0, |id| id.value);
        let mut config = json!({
            "ociVersion": "1.2.0",
            "annotations": self.annotations(),
            "process": {
                // The init's name: nothing of this is executed.
                "args": ["pause"],
                "cwd": "/",
                "noNewPrivileges": true,
                "user": {"uid": id(security.user), "gid": id(security.group)},
            },
            "root": {"path": format!("{FOLDER}/root"), "readonly": true},
            "linux": linux,
        });
        if places.network != mode::NODE && !self.config.hostname.is_empty() {
            config["hostname"] = json!(self.config.hostname);
        }
        config
    }

    /// Those of the CRI that hooks and exporters look at, as other sandboxes have them.
    fn annotations(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            (annotation::INIT.into(), "pause".into()),
            ("io.kubernetes.cri.container-type".into(), "sandbox".into()),
            (SANDBOX.into(), self.id.clone()),
        ]);
        if let Some(metadata) = &self.config.metadata {
            let named =
                [("name", &metadata.name), ("namespace", &metadata.namespace), ("uid", &metadata.uid)];
            for (name, value) in named {
                all.insert(format!("io.kubernetes.cri.sandbox-{name}"), value.clone());
            }
        }
        all
    }

    fn write_files(&self, folder: &Path) -> Result<()> {
        let host_name = || host::read("/proc/sys/kernel/hostname").map(|name| name.trim().to_string());
        let name = if self.config.hostname.is_empty() { host_name()? } else { self.config.hostname.clone() };
        // A host without these files has pods without.
        let of_host = |path: &str| host::read(path).unwrap_or_default();
        let names = self.config.dns_config.as_ref().map_or_else(|| of_host("/etc/resolv.conf"), resolv_conf);
        for (file, text) in
            [("hostname", format!("{name}\n")), ("hosts", of_host("/etc/hosts")), ("resolv.conf", names)]
        {
            let path = folder.join(file);
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).context("chmod")?;
        }
        if self.places().ipc == mode::NODE {
            return Ok(());
        }
        let shm = folder.join("shm");
        std::fs::create_dir(&shm).with_context(|| format!("mkdir {}", shm.display()))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount::mount("shm", &shm, "tmpfs", flags, SHM).context("mount /dev/shm of the pod")
    }
}

/// Unmount what a pod's containers share, if a bundle has it.
pub fn unmake(bundle: &Path) -> Result<()> {
    mounts::unmount(&bundle.join(FOLDER).join("shm"))
}

/// Take back what was written of a pod that could not be made.
pub fn undo(bundle: &Path) -> Result<()> {
    unmake(bundle)?;
    for path in [bundle.join("config.json"), bundle.join(FOLDER)] {
        let is_folder = path.is_dir();
        let removed = if is_folder { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                return Err(err).with_context(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The config.json of a container that may be in a pod of `pods`, whose bundles are by their ids:
/// with the files that its pod shares, where it has no others in their places.
pub fn with_shared(text: Vec<u8>, pods: &BTreeMap<String, PathBuf>) -> Result<Vec<u8>> {
    if pods.is_empty() {
        return Ok(text);
    }
    let mut config: Value = serde_json::from_slice(&text).context("config.json")?;
    let Some(bundle) = config["annotations"][SANDBOX].as_str().and_then(|id| pods.get(id)) else {
        return Ok(text);
    };
    let folder = bundle.join(FOLDER);
    if !folder.is_dir() {
        return Ok(text);
    }
    share(&mut config, &folder);
    Ok(config.to_string().into_bytes())
}

fn share(config: &mut Value, folder: &Path) {
    let access = if config["root"]["readonly"] == true { "ro" } else { "rw" };
    let bind = |file: &str, destination: &str, access: &str| {
        json!({
            "destination": destination,
            "type": "bind",
            "source": folder.join(file),
            "options": ["rbind", "rprivate", access],
        })
    };
    let joins_ipc = config["linux"]["namespaces"].as_array().into_iter().flatten().any(|namespace| {
        namespace["type"] == "ipc" && namespace["path"].as_str().is_some_and(|path| !path.is_empty())
    });
    if config["mounts"].is_null() {
        config["mounts"] = json!([]);
    }
    let Some(mounts) = config["mounts"].as_array_mut() else { return };
    for (file, destination) in
        [("hostname", "/etc/hostname"), ("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf")]
    {
        if !mounts.iter().any(|mount| mount["destination"] == destination) {
            mounts.push(bind(file, destination, access));
        }
    }
    if !joins_ipc {
        return;
    }
    // A tmpfs there is what every container has by default.
    match mounts.iter_mut().find(|mount| mount["destination"] == "/dev/shm") {
        Some(mount) if mount["type"] == "tmpfs" => *mount = bind("shm", "/dev/shm", "rw"),
        Some(_) => {}
        None => mounts.push(bind("shm", "/dev/shm", "rw")),
    }
}

fn ranges(ranges: &[Range]) -> Value {
    let one =
        |range: &Range| json!({"containerID": range.container, "hostID": range.host, "size": range.length});
    ranges.iter().map(one).collect()
}

/// The cgroup of a pod's member, as containerd's CRI plugin names it: a slice of systemd has a
/// scope.
fn cgroups_path(parent: &str, id: &str) -> String {
    match Path::new(parent).file_name().and_then(|name| name.to_str()) {
        Some(slice) if slice.ends_with(".slice") => format!("{slice}:cri-containerd:{id}"),
        _ => Path::new(parent).join(id).display().to_string(),
    }
}

/// resolv.conf(5).
fn resolv_conf(config: &DnsConfig) -> String {
    let mut text = String::new();
    let mut line = |word: &str, values: &[String]| {
        if !values.is_empty() {
            let _ = writeln!(text, "{word} {}", values.join(" "));
        }
    };
    line("search", &config.searches);
    config.servers.iter().for_each(|server| line("nameserver", std::slice::from_ref(server)));
    line("options", &config.options);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(config: &PodConfig, network: &str) -> Pod {
        Pod::read("p1", Some(&Any::pack(CONFIG, config)), network).unwrap()
    }

    fn linux(parent: &str, namespaces: Places) -> Option<LinuxPod> {
        let security = Security { namespaces: Some(namespaces), ..Security::default() };
        Some(LinuxPod {
            cgroup_parent: parent.into(),
            security_context: Some(security),
            sysctls: BTreeMap::from([("net.ipv4.ip_forward".into(), "1".into())]),
        })
    }

    fn kinds(config: &Value) -> Vec<&str> {
        let all = config["linux"]["namespaces"].as_array().unwrap();
        all.iter().map(|namespace| namespace["type"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_pod_has_namespaces_of_its_own() {
        let asked = PodConfig {
            hostname: "web-0".into(),
            metadata: Some(Metadata { name: "web".into(), ..Metadata::default() }),
            linux: linux("/kubepods/pod7", Places::default()),
            ..PodConfig::default()
        };
        let config = pod(&asked, "/run/netns/n").config_json(None);
        assert_eq!(kinds(&config), ["mount", "uts", "network", "pid", "ipc"]);
        assert_eq!(config["linux"]["namespaces"][2]["path"], "/run/netns/n");
        assert_eq!(config["linux"]["cgroupsPath"], "/kubepods/pod7/p1");
        assert_eq!(config["linux"]["sysctl"]["net.ipv4.ip_forward"], "1");
        assert_eq!(config["hostname"], "web-0");
        assert_eq!(config["annotations"]["org.knarr.init"], "pause");
        assert_eq!(config["annotations"]["io.kubernetes.cri.sandbox-name"], "web");
        crate::config::load(config.to_string().as_bytes(), Path::new("/b")).unwrap();
    }

    #[test]
    fn a_pod_may_have_those_of_its_node() {
        let places = Places { network: mode::NODE, pid: mode::NODE, ipc: mode::NODE, user: None };
        let asked = PodConfig {
            hostname: "node".into(),
            linux: linux("/a/kubepods-pod7.slice", places),
            ..PodConfig::default()
        };
        let config = pod(&asked, "").config_json(None);
        assert_eq!(kinds(&config), ["mount"]);
        assert_eq!(config["hostname"], Value::Null);
        assert_eq!(config["linux"]["cgroupsPath"], "kubepods-pod7.slice:cri-containerd:p1");
    }

    #[test]
    fn a_pod_may_have_a_user_namespace() {
        let range = Range { host: 100_000, container: 0, length: 65536 };
        let user = UserPlace { mode: mode::POD, uids: vec![range.clone()], gids: vec![range] };
        let places = Places { user: Some(user), ..Places::default() };
        let asked = PodConfig { linux: linux("", places), ..PodConfig::default() };
        let config = pod(&asked, "/n").config_json(Some("/proc/self/fd/9"));
        assert_eq!(kinds(&config).last(), Some(&"user"));
        assert_eq!(config["linux"]["namespaces"][5]["path"], "/proc/self/fd/9");
        assert_eq!(config["linux"]["uidMappings"][0]["hostID"], 100_000);
        assert_eq!(config["linux"]["cgroupsPath"], Value::Null);
    }

    #[test]
    fn what_is_no_configuration_of_a_pod_is_refused() {
        let read = |type_url: &str, value: &[u8]| {
            let any = Any { type_url: type_url.into(), value: value.into() };
            Pod::read("p1", Some(&any), "").map(drop).map_err(|err| format!("{err:#}"))
        };
        assert_eq!(read("", b"").ok(), Some(()));
        let said = "options: \"other\" is not the configuration of a pod";
        assert_eq!(read("other", b"").unwrap_err(), said);
        assert_eq!(read(CONFIG, b"\x0a\x05").unwrap_err(), "options: not well formed");
    }

    #[test]
    fn names_are_resolved_as_the_pod_says() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let config = DnsConfig {
            servers: words(&["10.0.0.1", "10.0.0.2"]),
            searches: words(&["a.b", "b"]),
            options: words(&["ndots:5"]),
        };
        let text = "search a.b b\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:5\n";
        assert_eq!(resolv_conf(&config), text);
        assert_eq!(resolv_conf(&DnsConfig::default()), "");
    }

    #[test]
    fn containers_share_the_files_of_their_pod() {
        let mut config = json!({
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
                {"destination": "/etc/hosts", "type": "bind", "source": "/kubelet/hosts"},
            ],
            "linux": {"namespaces": [{"type": "ipc", "path": "/proc/7/ns/ipc"}]},
        });
        share(&mut config, Path::new("/b/pod"));
        let sources: Vec<_> = config["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| mount["source"].as_str().unwrap())
            .collect();
        assert_eq!(sources, ["/b/pod/shm", "/kubelet/hosts", "/b/pod/hostname", "/b/pod/resolv.conf"]);
        assert_eq!(config["mounts"][0]["options"], json!(["rbind", "rprivate", "rw"]));
        assert_eq!(config["mounts"][3]["options"], json!(["rbind", "rprivate", "ro"]));
        // With its own ipc namespace, or the node's, its shared memory is its own affair.
        let mut config = json!({
            "mounts": [{"destination": "/dev/shm", "type": "tmpfs"}],
            "linux": {"namespaces": [{"type": "ipc"}]},
        });
        share(&mut config, Path::new("/b/pod"));
        assert_eq!(config["mounts"][0]["type"], "tmpfs");
    }
}
