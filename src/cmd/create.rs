//! `knarr create`, and what it shares with `knarr run`.

use super::{Global, watch};
use crate::config::seccomp::Watch;
use crate::config::{self, Config, Invalid, Loaded, Process, Upper};
use crate::host::{self, Asked, Host, OwnCgroup};
use crate::id::Id;
use crate::note;
use crate::parent::create::{CreateOrder, Made, create};
use crate::parent::notify::host_socket;
use crate::parent::terminal::has_terminal;
use crate::plan::{self, CgroupDriver, Keyring, Pivot, Plan, Request, Start};
use crate::state::Store;
use crate::sys::{Errno, cred, describe, fs, process, socket};
use anyhow::{Context, Result, bail};
use nix::sys::socket::SockType;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "common")]
pub struct Common {
    /// The container's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Directory with config.json and, usually, the root filesystem
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// File to read in place of config.json in the bundle
    #[arg(short = 'f', long, value_name = "FILE", default_value = "config.json")]
    pub config: PathBuf,
    /// Unix socket that receives the other end of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// File to write the pid of the container's process to
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "create")]
pub struct Args {
    /// What restore takes too
    #[command(flatten)]
    pub common: Common,
    /// Unix socket that receives a pidfd of the container's process
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    /// Enter the root filesystem by MS_MOVE and chroot(2) instead of pivot_root(2), for one on a
    /// ramfs
    #[arg(long)]
    pub no_pivot: bool,
    /// Leave the process the caller's session keyring
    #[arg(long)]
    pub no_new_keyring: bool,
    /// Keep changes apart from the root filesystem: in memory, or in DIR/upper for later runs
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub overlay: Option<Option<PathBuf>>,
    /// Run an init as PID 1 that starts the process as its child, passes signals on to it and reaps
    /// orphans
    #[arg(long)]
    pub init: bool,
    /// Write what its processes use to this file when they have ended: system calls, devices,
    /// paths written, sockets
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// The port of the sandbox's proxy
    #[arg(skip)]
    pub listen: Option<u16>,
    /// What is told of system calls
    #[arg(skip)]
    pub watch: Watch,
    /// Pass this many descriptors after standard error on to the process
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
}

/// Make the container.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    Fds::take(args.preserve_fds, global)
        .and_then(|fds| {
            let args = &Args { watch: watch::of_create(args), ..args.clone() };
            watch::check(args.record.as_deref())?;
            let bundle = Bundle::read(&args.common.bundle, &args.common.config)?;
            make(bundle, args, global, Start::OnRequest, Console::None, fds)
        })
        .with_context(|| format!("create {}", args.common.id.escape_debug()))?;
    Ok(0)
}

/// Where the other end of the process's terminal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Console {
    /// To the caller, over `--console-socket`.
    Socket,
    /// To this process, which relays it.
    Foreground,
    /// Nowhere: a detached container without a console socket.
    None,
}

/// A bundle, as it is read.
pub(crate) struct Bundle {
    /// Absolute.
    pub(crate) folder: PathBuf,
    /// config.json.
    pub(crate) text: Vec<u8>,
}

impl Bundle {
    pub(crate) fn read(folder: &Path, config: &Path) -> Result<Bundle> {
        note::at(|| format!("the bundle {}", folder.display()));
        let folder = folder.canonicalize().with_context(|| format!("--bundle {}", folder.display()))?;
        let path = folder.join(config);
        let text = read_config(&path).with_context(|| {
            // Who has no bundle yet is told what makes one.
            let hint =
                if path.exists() { "" } else { " (`spec` writes one, `bundle` makes a bundle of an image)" };
            format!("{}{hint}", path.display())
        });
        Ok(Bundle { text: text?, folder })
    }
}

/// The text of a config.json, or of a process for `exec`.
pub(super) fn read_config(path: &Path) -> Result<Vec<u8>> {
    const LIMIT: usize = config::load::LIMIT;
    match fs::open(path, fs::O_RDONLY, 0).and_then(|fd| fs::read_all(fd.as_fd(), LIMIT)) {
        Err(Errno::EFBIG) => bail!("more than {} MiB, which is the most that is read", LIMIT >> 20),
        text => Ok(text?),
    }
}

/// A bundle, compiled.
pub(crate) struct Compiled {
    pub(crate) bundle: Bundle,
    pub(crate) config: Config,
    pub(crate) host: Host,
    pub(crate) plan: Plan,
    pub(crate) warnings: Vec<String>,
}

impl Compiled {
    /// The container that this is of, recorded in `store`; nobody is told of it yet.
    pub(crate) fn order<'a>(&'a self, args: &Args, store: &'a Store) -> CreateOrder<'a> {
        CreateOrder {
            config: &self.config,
            plan: &self.plan,
            host: &self.host,
            text: &self.bundle.text,
            bundle: &self.bundle.folder,
            store,
            keyring: keyring(args),
            pid_file: None,
            pidfd_socket: None,
            console: None,
            recorded: None,
        }
    }
}

/// Decide what to do with a bundle.
pub(crate) fn compile(
    bundle: Bundle,
    args: &Args,
    global: &Global,
    start: Start,
    fds: Fds,
) -> Result<Compiled> {
    let (loaded, host, request) = asked(&bundle, args, global, start, fds)?;
    let mut plan = plan::create(&loaded.config, &request, &host)?;
    global.log().debug(&plan);
    let mut warnings = loaded.warnings;
    warnings.append(&mut plan.warnings);
    Ok(Compiled { bundle, config: loaded.config, host, plan, warnings })
}

/// What a bundle and the command line ask for, and of which machine.
pub(crate) fn asked(
    bundle: &Bundle,
    args: &Args,
    global: &Global,
    start: Start,
    fds: Fds,
) -> Result<(Loaded, Host, Request)> {
    let id: Id = args.common.id.parse()?;
    let mut loaded = config::load(&bundle.text, &bundle.folder)?;
    // Who asks for a layer for changes means to make some.
    loaded.config.root.readonly &= args.overlay.is_none();
    loaded.warnings.extend(watch::prepare(&mut loaded.config, args.watch)?);
    let absolute = loaded.config.cgroups_path.as_deref().is_some_and(|path| path.starts_with('/'));
    let own_cgroup = match global.cgroup_driver() {
        CgroupDriver::Disabled => OwnCgroup::NoCgroup,
        CgroupDriver::Cgroupfs if !absolute => OwnCgroup::Needed,
        _ => OwnCgroup::NotNeeded,
    };
    let (security_modules, id_ranges) = (loaded.config.wants_labels(), loaded.config.id_range.is_some());
    let host = host::probe(Asked { own_cgroup, security_modules, mounts: true, id_ranges })?;
    let request = Request {
        notify: host_socket().map(|_| global.store().notify_folder(&id)),
        id,
        start,
        pivot: if args.no_pivot { Pivot::Move } else { Pivot::Root },
        keyring: keyring(args),
        preserve_fds: fds.count,
        listen: args.listen,
        listen_env: fds.env,
        cgroup_driver: global.cgroup_driver(),
        overlay: args.overlay.as_ref().map(|folder| upper(folder.as_deref())).transpose()?,
        init: args.init,
    };
    Ok((loaded, host, request))
}

/// Where `--overlay` has changes go.
fn upper(folder: Option<&Path>) -> Result<Upper> {
    let Some(folder) = folder else { return Ok(Upper::Memory) };
    let folder = std::path::absolute(folder).with_context(|| format!("--overlay={}", folder.display()))?;
    Ok(Upper::Folder(folder))
}

fn keyring(args: &Args) -> Keyring {
    if args.no_new_keyring { Keyring::Callers } else { Keyring::New }
}

/// More descriptors than any process has open: fs.nr_open's default (proc_sys_fs(5)).
const FD_LIMIT: u32 = 1 << 20;

/// The descriptors that the caller passes on, and the variables that announce them
/// (sd_listen_fds(3)).
#[derive(Debug, Default)]
pub(crate) struct Fds {
    pub(super) count: u32,
    pub(super) env: Vec<String>,
}

impl Fds {
    /// From `--preserve-fds` and `$LISTEN_FDS`. Engines pass the number of the last one, so there
    /// may be holes below it; that the last one, or one of systemd's, is not open is an error. It
    /// is asked before this program opens anything, and holes are plugged until execve(2), so that
    /// no descriptor of its own is ever passed on.
    pub(super) fn take(preserve: u32, global: &Global) -> Result<Fds> {
        let variable = |name| std::env::var(name).ok();
        // For whom they are is said too; another process's are none of ours.
        let called = || global.called.unwrap_or_else(std::process::id).to_string();
        let ours = variable("LISTEN_PID").is_some_and(|pid| pid == called());
        let listen = variable("LISTEN_FDS").filter(|_| ours).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
        let count = listen.saturating_add(preserve);
        if count > FD_LIMIT {
            bail!("--preserve-fds: {count} is more than {FD_LIMIT} descriptors");
        }
        let open: Vec<bool> = (3..3 + count).map(|fd| process::is_open(fd as i32)).collect();
        if let Some(fd) =
            (3..).zip(&open).find(|(fd, open)| !**open && (*fd < 3 + listen || *fd == 2 + count))
        {
            bail!("--preserve-fds: descriptor {} is not open", fd.0);
        }
        process::cloexec_from(3).context("close_range")?;
        for (fd, open) in (3..).zip(open) {
            if open {
                process::keep_over_exec(fd).context("fcntl")?;
            } else {
                process::plug(fd).context("open /dev/null")?;
            }
        }
        let mut env = Vec::new();
        if listen > 0 {
            env.push(format!("LISTEN_FDS={listen}"));
            env.extend(variable("LISTEN_FDNAMES").map(|names| format!("LISTEN_FDNAMES={names}")));
        }
        Ok(Fds { count, env })
    }
}

/// Make the container. With `foreground`, its terminal is relayed unless a console socket is given.
pub(super) fn make(
    bundle: Bundle,
    args: &Args,
    global: &Global,
    start: Start,
    foreground: Console,
    fds: Fds,
) -> Result<Made> {
    // Until execve(2) no other process may look into this one or into init. An ordinary user stays
    // dumpable until its ids are mapped: the kernel makes uid_map root's otherwise.
    if host::user() == 0 {
        cred::set_dumpable(false).context("prctl")?;
    }
    let console = if args.common.console_socket.is_some() { Console::Socket } else { foreground };
    let compiled = compile(bundle, args, global, start, fds)?;
    check_console(compiled.config.process.as_ref(), console)?;
    check_root(&compiled.config)?;
    let made = create(&CreateOrder {
        pid_file: args.common.pid_file.clone(),
        pidfd_socket: connect("--pidfd-socket", args.pidfd_socket.as_deref())?,
        console: connect("--console-socket", args.common.console_socket.as_deref())?,
        recorded: args.record.as_ref().map(std::path::absolute).transpose().context("--record")?,
        ..compiled.order(args, &global.store())
    })?;
    let log = global.log();
    compiled.warnings.iter().for_each(|warning| log.warning(warning));
    Ok(made)
}

pub(crate) fn check_root(config: &Config) -> Result<(), Invalid> {
    let path = &config.root.path;
    let reason = match path.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "not a directory".to_string(),
        Err(err) => err.raw_os_error().map_or_else(|| err.to_string(), |n| describe(Errno::from_raw(n))),
    };
    Err(Invalid::new("root.path", format!("{}: {reason}", path.display())))
}

pub(super) fn check_console(process: Option<&Process>, console: Console) -> Result<()> {
    match (process.is_some_and(|process| process.terminal), console) {
        (true, Console::None) => {
            bail!("process.terminal: a detached container with a terminal needs --console-socket")
        }
        (false, Console::Socket) => {
            bail!("--console-socket: the container has no terminal (process.terminal)")
        }
        (true, Console::Foreground) if !has_terminal() => {
            bail!(
                "process.terminal: there is no terminal here: set it to false, give --console-socket, or run this on a \
                 terminal"
            )
        }
        _ => Ok(()),
    }
}

/// Connect to the socket that an option names, where it is given.
pub(super) fn connect(option: &str, path: Option<&Path>) -> Result<Option<OwnedFd>> {
    let connected = path.map(|path| {
        socket::connect_to(path, SockType::Stream).with_context(|| format!("{option} {}", path.display()))
    });
    connected.transpose()
}
