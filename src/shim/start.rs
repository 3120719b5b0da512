//! `start`: the shim that serves a container, one a pod. It answers with an address and goes on
//! beside its caller.

use super::api::{Any, BootstrapParams, BootstrapResult, Options};
use super::flags::Flags;
use super::options::OPTIONS;
use super::pod;
use super::publisher::Publisher;
use super::server::Shim;
use super::work::Glance;
use crate::cgroup::Cgroup;
use crate::host;
use crate::parent::seal;
use crate::protobuf::Declared;
use crate::sys::process::{self, Cloned};
use crate::sys::schedule::CoreScope;
use crate::sys::{Errno, cred, fs, memory, schedule, socket};
use anyhow::{Context, Result, bail};
use nix::sys::socket::SockType;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Annotations that name the container whose shim serves the others of its group, in the order in
/// which they count.
const GROUPS: [&str; 2] = ["io.containerd.runc.v2.group", pod::SANDBOX];

/// Where sockets are, unless containerd says otherwise.
const SOCKETS: &str = "/run/containerd/s";

/// The most that is read of standard input, in bytes.
const INPUT_MAX: usize = 10 << 20;

/// The file of a bundle that says where its shim listens.
pub const ADDRESS: &str = "address";

/// What a shim is started with, whatever the form in which containerd says it.
#[derive(Debug, Default)]
struct Asked {
    options: Options,
    /// containerd's socket for ttrpc.
    events: String,
    sockets: PathBuf,
    /// Whether the answer is a message: containerd from 2.3 on.
    in_protobuf: bool,
}

impl Asked {
    /// containerd from 2.3 on sends parameters; before that, the options alone or nothing. The
    /// options can be read as parameters too, so these say once more for whom they are.
    fn read(input: &[u8], flags: &Flags) -> Result<Asked> {
        let params = BootstrapParams::decode(input)
            .filter(|params| params.instance_id == flags.id && params.namespace == flags.namespace);
        let environment =
            || std::env::var("TTRPC_ADDRESS").unwrap_or_else(|_| format!("{}.ttrpc", flags.address));
        let Some(params) = params.filter(|params| !params.instance_id.is_empty()) else {
            let options = Any::decode(input).context("standard input: not well formed")?;
            return Ok(Asked {
                options: Options::read(Some(&options))?,
                events: environment(),
                sockets: SOCKETS.into(),
                in_protobuf: false,
            });
        };
        let mut any = params.extensions.into_iter().filter_map(|extension| extension.value);
        let options = any.find(|any| any.is(OPTIONS));
        let told = params.containerd_ttrpc_address;
        Ok(Asked {
            options: Options::read(options.as_ref())?,
            events: if told.is_empty() { environment() } else { told },
            sockets: if params.socket_dir.is_empty() { SOCKETS.into() } else { params.socket_dir.into() },
            in_protobuf: true,
        })
    }

    fn answer(&self, path: &Path) -> Vec<u8> {
        let address = format!("unix://{}", path.display());
        if self.in_protobuf {
            return BootstrapResult { version: 3, address, protocol: "ttrpc".into() }.encode();
        }
        // Version 2 of the task service is what every containerd speaks that reads this.
        serde_json::json!({ "version": 2, "address": address, "protocol": "ttrpc" }).to_string().into_bytes()
    }
}

/// Where the shim of a group listens: a name that no other containerd, namespace or group has, and
/// that is short enough for a socket.
fn socket_path(sockets: &Path, flags: &Flags, group: &str) -> PathBuf {
    let name = Path::new(&flags.address).join(&flags.namespace).join(group);
    let digest = Sha256::digest(name.as_os_str().as_encoded_bytes());
    sockets.join(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// The group that the container in the working directory belongs to: that of the options, that of
/// its annotations, or one of its own.
fn group(flags: &Flags, options: &Options) -> Result<String> {
    if !options.shim_group.is_empty() {
        // Apart from those that others name: such a shim has an understudy.
        return Ok(format!("ShimGroup/{}", options.shim_group));
    }
    let text = match host::read("config.json") {
        // The bundle of a pod's sandbox, which the shim itself is to write.
        Err(_) if !Path::new("config.json").exists() => return Ok(flags.id.clone()),
        text => text?,
    };
    let glance: Glance = serde_json::from_str(&text).context("config.json")?;
    let named = GROUPS.iter().find_map(|key| glance.annotations.get(*key));
    Ok(named.unwrap_or(&flags.id).clone())
}

/// A socket that listens at `path`; none where a shim does already.
fn listen(path: &Path) -> Result<Option<OwnedFd>> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("mkdir {}", folder.display()))?;
    for _ in 0..16 {
        match socket::listen_for_streams(path) {
            Err(Errno::EADDRINUSE) => {}
            listener => return listener.map(Some).with_context(|| format!("bind {}", path.display())),
        }
        match socket::connect_to(path, SockType::Stream) {
            // A shim that was killed has left it.
            Err(Errno::ECONNREFUSED) => drop(std::fs::remove_file(path)),
            Err(Errno::ENOENT) => {}
            _ => return Ok(None),
        }
    }
    bail!("bind {}: {}", path.display(), crate::sys::describe(Errno::EADDRINUSE))
}

/// Start a shim in the working directory, which is the bundle, unless one is there for its group.
/// Nothing is written to standard error: containerd reads both as one.
pub fn start(flags: &Flags) -> Result<()> {
    // First: where the kernel does not let this process go on in the copy it is executed again.
    seal::enter()?;
    let input = fs::read_all(process::stdin(), INPUT_MAX).context("standard input")?;
    let asked = Asked::read(&input, flags)?;
    let path = socket_path(&asked.sockets, flags, &group(flags, &asked.options)?);
    let answer = asked.answer(&path);
    if let Some(listener) = listen(&path)?
        && let Err(cause) = begin(&asked, flags, listener, &path)
    {
        let _ = std::fs::remove_file(&path);
        return Err(cause);
    }
    std::fs::write(ADDRESS, format!("unix://{}", path.display())).context(ADDRESS)?;
    std::io::stdout().write_all(&answer).context("standard output")
}

/// Make the process that stays.
fn begin(asked: &Asked, flags: &Flags, listener: OwnedFd, path: &Path) -> Result<()> {
    let log = fs::open("log", libc::O_RDWR | fs::O_NONBLOCK, 0).context("log")?;
    let cgroup = shim_cgroup(&asked.options.shim_cgroup)?;
    if std::env::var_os("SCHED_CORE").is_some_and(|value| !value.is_empty()) {
        schedule::own_core(CoreScope::ProcessGroup).context("PR_SCHED_CORE")?;
    }
    // More likely to be killed for memory than containerd is, which goes on without it.
    let parent = nix::unistd::getppid();
    let score: i32 =
        host::read(format!("/proc/{parent}/oom_score_adj"))?.trim().parse().context("oom_score_adj")?;
    match process::clone3(0, cgroup.as_ref().map(Cgroup::as_fd)).context("clone3")? {
        Cloned::Parent { .. } => Ok(()),
        Cloned::Child => {
            let served = settle(&log, score).and_then(|()| {
                let publisher = Publisher::new(&asked.events, &flags.namespace);
                let mut shim = Shim::new(listener, path.into(), publisher, asked.options.clone())?;
                if !asked.options.shim_group.is_empty() {
                    shim = shim.with_understudy()?;
                }
                shim.serve()
            });
            if let Err(err) = &served {
                crate::log::say(&crate::log::message(err));
            }
            process::exit_now(served.is_err().into())
        }
    }
}

/// `ShimCgroup`: a path below the root of the tree.
fn shim_cgroup(path: &str) -> Result<Option<Cgroup>> {
    if path.is_empty() {
        return Ok(None);
    }
    let whole = host::cgroup_root()?.join(path.trim_start_matches('/'));
    let cgroup = Cgroup::open(&whole).context("ShimCgroup")?;
    cgroup.map(Some).with_context(|| format!("ShimCgroup: {} is not there", whole.display()))
}

/// A session of its own, no terminal and no folder of anybody's in use, and the log in place of
/// what containerd reads.
fn settle(log: &OwnedFd, score: i32) -> Result<()> {
    memory::stay();
    nix::unistd::setsid().context("setsid")?;
    cred::set_dumpable(false).context("prctl")?;
    let null = fs::open("/dev/null", libc::O_RDWR, 0).context("open /dev/null")?;
    for (fd, number) in [(null.as_fd(), 0), (null.as_fd(), 1), (log.as_fd(), 2)] {
        process::replace_stdio(fd, number).context("dup2")?;
    }
    let score = (score + 1).min(1000).to_string();
    std::fs::write("/proc/self/oom_score_adj", score).context("oom_score_adj")?;
    // What a service manager says to containerd is not said to its containers.
    process::forget_variable("NOTIFY_SOCKET");
    nix::unistd::chdir("/").context("chdir")
}

#[cfg(test)]
mod tests {
    use super::super::api::Extension;
    use super::*;

    fn flags() -> Flags {
        let (namespace, id) = ("k8s.io".into(), "c1".into());
        Flags { namespace, id, address: "/run/containerd/containerd.sock".into(), ..Flags::default() }
    }

    #[test]
    fn both_start_protocols_are_read() {
        let options = Options { systemd_cgroup: true, ..Options::default() };
        let params = BootstrapParams {
            instance_id: "c1".into(),
            namespace: "k8s.io".into(),
            containerd_ttrpc_address: "/run/t".into(),
            extensions: vec![Extension { value: Some(Any::pack(OPTIONS, &options)) }],
            socket_dir: "/run/s".into(),
            ..BootstrapParams::default()
        };
        let asked = Asked::read(&params.encode(), &flags()).unwrap();
        assert!(asked.in_protobuf && asked.options.systemd_cgroup);
        assert_eq!((asked.events.as_str(), asked.sockets.as_path()), ("/run/t", Path::new("/run/s")));
        assert_eq!(asked.answer(Path::new("/a")), b"\x08\x03\x12\x09unix:///a\x1a\x05ttrpc");

        let asked = Asked::read(&Any::pack(OPTIONS, &options).encode(), &flags()).unwrap();
        assert!(!asked.in_protobuf && asked.options.systemd_cgroup);
        assert_eq!(
            asked.answer(Path::new("/a")),
            br#"{"address":"unix:///a","protocol":"ttrpc","version":2}"#
        );
        assert!(!Asked::read(b"", &flags()).unwrap().in_protobuf);
        // Those of another container are none.
        let other = BootstrapParams { instance_id: "c2".into(), ..params };
        assert!(Asked::read(&other.encode(), &flags()).is_err());
    }

    #[test]
    fn sockets_have_names_that_fit() {
        let path = socket_path(Path::new(SOCKETS), &flags(), "c1");
        assert_eq!(path.as_os_str().len(), SOCKETS.len() + 1 + 64);
        assert_ne!(path, socket_path(Path::new(SOCKETS), &flags(), "c2"));
    }
}
