//! What jobs do: knarr's own commands by their functions, in a process of their own.

use super::api::{CheckpointOptions, CreateTaskRequest, Options};
use super::job::{Done, Standard};
use super::mounts;
use super::pod::{self, Pod};
use super::stdio::Logger;
use crate::cgroup;
use crate::cmd::create::{self, Bundle, Common, Fds};
use crate::cmd::{Global, unnoted, update};
use crate::config;
use crate::host::{self, Asked};
use crate::id::Id;
use crate::log::{Format, Level};
use crate::parent::create::CreateOrder;
use crate::parent::criu;
use crate::parent::exec::{ExecOrder, Target, Wait, WhenPaused};
use crate::parent::{delete, exec, salvage, start};
use crate::plan::{self, ExecCgroup, ExecRequest, Keyring, Start, restore::externals};
use crate::state::{Command, Container, Ended, Event, Found, What};
use crate::sys::Errno;
use crate::sys::process::{self, Cloned};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program that takes the log may take until it is ready.
const LOGGER_PATIENCE: Duration = Duration::from_secs(10);

/// What is looked for in a config.json before it is read.
#[derive(Debug, Default, Deserialize)]
pub struct Glance {
    /// Who groups containers says it here.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    linux: LinuxGlance,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinuxGlance {
    #[serde(default)]
    cgroups_path: String,
}

impl Glance {
    /// Whether the container's cgroup is named as a scope of systemd: `slice:prefix:name`. Engines
    /// that know no options of this shim say so by nothing else.
    fn names_a_scope(&self) -> bool {
        let parts: Vec<&str> = self.linux.cgroups_path.split(':').collect();
        matches!(parts[..], [slice, _, name] if !name.is_empty() && (slice.is_empty() || slice.ends_with(".slice")))
    }
}

/// What every command is told.
pub fn global(root: &Path, options: &Options) -> Global {
    Global {
        timeout: None,
        timings: None,
        root: Some(root.into()),
        log: None,
        log_format: Format::Text,
        debug: false,
        log_level: Level::Warning,
        systemd_cgroup: options.systemd_cgroup,
        cgroup_manager: None,
        criu: if options.criu_path.is_empty() { "criu".into() } else { PathBuf::from(&options.criu_path) },
        rootless: None,
        version: false,
        called: None,
    }
}

/// The same for the container of a bundle, whose scope may be systemd's by its name alone.
fn global_of(bundle: &Bundle, root: &Path, options: &Options) -> Global {
    let mut global = global(root, options);
    global.systemd_cgroup |=
        serde_json::from_slice::<Glance>(&bundle.text).is_ok_and(|glance| glance.names_a_scope());
    global
}

/// The file of a bundle that says where its container is recorded.
const ROOT: &str = "knarr-root";

/// Remember where the container of a bundle is recorded, for when the shim is not there any more.
pub fn remember(bundle: &Path, root: &Path) -> Result<()> {
    std::fs::write(bundle.join(ROOT), root.as_os_str().as_encoded_bytes()).context(ROOT)
}

/// What was remembered.
pub fn recalled(bundle: &Path) -> Option<PathBuf> {
    host::read(bundle.join(ROOT)).ok().map(PathBuf::from)
}

/// What a container has to do with pods.
#[derive(Debug)]
pub struct Membership {
    /// The pod whose sandbox it is.
    pub pod: Option<Pod>,
    /// The bundles of the sandboxes that are there, by their ids.
    pub pods: BTreeMap<String, PathBuf>,
}

/// Mount the root filesystem, and make the container: its process is in `pid`. Its terminal, if it
/// is to have one, goes to `console`. One that is to be restored is made when it is started.
pub fn create(
    root: &Path,
    options: &Options,
    request: &CreateTaskRequest,
    membership: &Membership,
    logger: Option<Logger>,
    console: Option<OwnedFd>,
) -> Result<Done> {
    let bundle = Path::new(&request.bundle);
    let rootfs = bundle.join("rootfs");
    if !request.rootfs.is_empty() {
        match std::fs::create_dir(&rootfs) {
            Err(err) if err.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(err).with_context(|| format!("mkdir {}", rootfs.display()));
            }
            _ => mounts::make(&request.rootfs, &rootfs)?,
        }
    }
    if !request.checkpoint.is_empty() {
        return Ok(Done::default());
    }
    // A client may have a configuration of its own in place of a pod that the CRI describes.
    let pod = membership.pod.as_ref().filter(|_| !bundle.join("config.json").exists());
    let make = || {
        logger.map_or(Ok(()), begin_logging)?;
        let _joined = pod.map(|pod| pod.make(bundle)).transpose()?;
        let mut read = Bundle::read(bundle, Path::new("config.json"))?;
        read.text = pod::with_shared(read.text, &membership.pods)?;
        make(root, options, &request.id, read, console)
    };
    let undo = || {
        mounts::undo(&request.rootfs, &rootfs)?;
        pod.map_or(Ok(()), |_| pod::undo(bundle))
    };
    make().map_err(|cause| match undo() {
        Ok(()) => cause,
        Err(err) => cause.context(format!("[then, cleaning up: {}]", crate::log::message(&err))),
    })
}

fn make(root: &Path, options: &Options, id: &str, bundle: Bundle, console: Option<OwnedFd>) -> Result<Done> {
    let global = global_of(&bundle, root, options);
    let args = create::Args {
        common: Common { id: id.into(), ..Common::default() },
        no_pivot: options.no_pivot_root,
        no_new_keyring: options.no_new_keyring,
        ..create::Args::default()
    };
    let compiled = create::compile(bundle, &args, &global, Start::OnRequest, Fds::default())?;
    create::check_root(&compiled.config)?;
    let has_terminal = compiled.config.process.as_ref().is_some_and(|process| process.terminal);
    if has_terminal != console.is_some() {
        bail!("process.terminal: {has_terminal}, while containerd asks for {}", console.is_some());
    }
    let made =
        crate::parent::create::create(&CreateOrder { console, ..compiled.order(&args, &global.store()) })?;
    Ok(Done { pid: made.container.state.pid, warnings: compiled.warnings })
}

/// Let a created container's process run.
pub fn start(global: &Global, id: &str) -> Result<Done> {
    start::start(global.store().open_locked(&id.parse()?)?, &mut start::to_agent)?;
    Ok(Done::default())
}

/// Run a process in a container: it is in `pid`. Its terminal, if it is to have one, goes to
/// `console`.
pub fn exec(
    global: &Global,
    id: &str,
    spec: &[u8],
    logger: Option<Logger>,
    console: Option<OwnedFd>,
) -> Result<Done> {
    logger.map_or(Ok(()), begin_logging)?;
    let id: Id = id.parse()?;
    let target = Target::new(global.store().open(&id)?, WhenPaused::Refuse)?;
    let container = target.container();
    let config = config::load(&container.dir.load_config()?, &container.state.about.bundle)?.config;
    let (mut process, warnings) = config::load_process(spec, "spec", config.process.as_ref())?;
    // Clients take the process from the container's, and say only here what it has.
    process.terminal = console.is_some();
    let labelled = process.apparmor_profile.is_some() || process.selinux_label.is_some();
    let host = host::probe(Asked { security_modules: labelled, ..Asked::default() })?;
    let request = ExecRequest {
        id,
        keyring: if container.state.private_keyring { Keyring::New } else { Keyring::Callers },
        preserve_fds: 0,
        listen_env: Vec::new(),
        cgroup: ExecCgroup::Containers,
        cgroup_driver: cgroup::Record::driver(container.state.cgroup.as_ref()),
    };
    let plan = plan::exec(&config, &process, &request, &host)?;
    let order = ExecOrder {
        target,
        plan: &plan,
        host: &host,
        pid_file: None,
        console,
        pidfd_socket: None,
        wait: Wait::Detached,
    };
    let running = exec::exec(&order)?;
    let container = order.target.container();
    let begun = Event::exec(container.id(), running.pid, &process.args[0]);
    let warnings = warnings.into_iter().chain(unnoted(container.dir.note(&begun))).collect();
    Ok(Done { pid: running.pid, warnings })
}

/// Forget a container, whatever there is of it, and unmount its root filesystem, and if it is a
/// sandbox what its pod has shared.
pub fn forget(global: &Global, id: &str, bundle: &Path) -> Result<Done> {
    let id: Id = id.parse()?;
    let warnings = match global.store().open_by_force(&id)? {
        None => Vec::new(),
        Some(Found::Container(container)) => delete::destroy(*container)?,
        Some(Found::Remains(dir, why)) => salvage::clear(dir, &id, &why)?,
    };
    mounts::unmount(&bundle.join("rootfs"))?;
    pod::unmake(bundle)?;
    Ok(Done { pid: 0, warnings })
}

/// Keep how a container's process has ended, for `state`; false if another command has the lock.
pub fn keep_end(global: &Global, id: &str, pid: i32, ended: Ended) -> Result<bool> {
    let Some(container) = global.store().open_if_free(&id.parse()?)? else { return Ok(false) };
    keep_end_of(container, pid, ended).map(|()| true)
}

/// The same, once it is free.
pub fn keep_end_later(global: &Global, id: &str, pid: i32, ended: Ended) -> Result<Done> {
    keep_end_of(global.store().open_locked(&id.parse()?)?, pid, ended).map(|()| Done::default())
}

fn keep_end_of(mut container: Container, pid: i32, ended: Ended) -> Result<()> {
    if container.state.pid == pid { container.keep_end(ended) } else { Ok(()) }
}

/// Note what was just done to a container; the warning if that cannot be.
fn noted(container: &Container, what: What) -> Vec<String> {
    unnoted(container.dir.note(&Event::now(what, container.id()))).into_iter().collect()
}

/// Stop all processes of a container where they are.
pub fn pause(global: &Global, id: &str) -> Result<Done> {
    let container = global.store().open_locked(&id.parse()?)?;
    container.allow(Command::Pause)?;
    container.cgroup()?.freeze()?;
    Ok(Done { pid: 0, warnings: noted(&container, What::Pause) })
}

/// Let them go on.
pub fn resume(global: &Global, id: &str) -> Result<Done> {
    let container = global.store().open_locked(&id.parse()?)?;
    container.allow(Command::Resume)?;
    container.cgroup()?.thaw()?;
    Ok(Done { pid: 0, warnings: noted(&container, What::Resume) })
}

/// Change the limits of a container to `resources`, as `linux.resources` of config.json.
pub fn update(global: &Global, id: &str, resources: &[u8]) -> Result<Done> {
    let asked = config::update::parse(resources, "resources")?;
    let mut container = global.store().open_locked(&id.parse()?)?;
    container.allow(Command::Update)?;
    let mut warnings = Vec::new();
    update::change(&mut container, asked, &mut warnings)?;
    warnings.extend(noted(&container, What::Update));
    Ok(Done { pid: 0, warnings })
}

/// Save the processes of a container to `path`.
pub fn checkpoint(
    global: &Global,
    id: &str,
    path: &str,
    asked: &CheckpointOptions,
    work: &Path,
) -> Result<Done> {
    let id: Id = id.parse()?;
    let store = global.store();
    let container = store.open_locked(&id)?;
    container.allow(Command::Checkpoint)?;
    let config = config::load(&container.dir.load_config()?, &container.state.about.bundle)?.config;
    let host = host::probe(Asked { security_modules: config.wants_labels(), ..Asked::default() })?;
    let notify = container.dir.takes_notifications().then(|| store.notify_folder(&id));
    let images = if asked.image_path.is_empty() { path } else { &asked.image_path };
    let work = if asked.work_path.is_empty() { work } else { Path::new(&asked.work_path) };
    criu::checkpoint(&criu::Checkpoint {
        container: &container,
        config: &config,
        externals: &externals(&config, notify.as_deref(), &host)?,
        program: &global.criu,
        options: &criu_options(Path::new(images), work, asked)?,
        dump: &criu::DumpOptions {
            parent_path: Some(asked.parent_path.clone()).filter(|path| !path.is_empty()),
            leave_running: !asked.exit,
            ..criu::DumpOptions::default()
        },
        status_fd: None,
    })?;
    Ok(Done::default())
}

fn criu_options(images: &Path, work: &Path, asked: &CheckpointOptions) -> Result<criu::Options> {
    let mode = match asked.cgroups_mode.as_str() {
        "" => None,
        "soft" => Some(criu::CgroupsMode::Soft),
        "full" => Some(criu::CgroupsMode::Full),
        "strict" => Some(criu::CgroupsMode::Strict),
        "ignore" => Some(criu::CgroupsMode::Ignore),
        other => bail!("CgroupsMode: {other:?} is none of soft, full, strict and ignore"),
    };
    Ok(criu::Options {
        image_path: images.into(),
        work_path: Some(work.into()),
        tcp_established: asked.open_tcp,
        ext_unix_sk: asked.external_unix_sockets,
        shell_job: asked.terminal,
        file_locks: asked.file_locks,
        manage_cgroups_mode: mode,
        ..criu::Options::default()
    })
}

/// Make a container of a checkpoint: its process is in `pid`, and runs.
pub fn restore(
    root: &Path,
    options: &Options,
    order: &Restoration<'_>,
    logger: Option<Logger>,
    console: Option<OwnedFd>,
) -> Result<Done> {
    logger.map_or(Ok(()), begin_logging)?;
    let bundle = Bundle::read(order.bundle, Path::new("config.json"))?;
    let global = global_of(&bundle, root, options);
    let common = Common { id: order.id.into(), ..Common::default() };
    let args = create::Args { common, ..create::Args::default() };
    let (loaded, host, request) = create::asked(&bundle, &args, &global, Start::AtOnce, Fds::default())?;
    let plan = plan::restore::restore(&loaded.config, &request, &host)?;
    create::check_root(&loaded.config)?;
    let work = if options.criu_work_path.is_empty() {
        order.bundle.join("work")
    } else {
        PathBuf::from(&options.criu_work_path)
    };
    let restored = criu::restore(&criu::RestoreOrder {
        container: CreateOrder {
            config: &loaded.config,
            plan: &plan.trial,
            host: &host,
            text: &bundle.text,
            bundle: &bundle.folder,
            store: &global.store(),
            keyring: Keyring::New,
            pid_file: None,
            pidfd_socket: None,
            recorded: None,
            console: console
                .filter(|_| loaded.config.process.as_ref().is_some_and(|process| process.terminal)),
        },
        restore: &plan,
        program: &global.criu,
        options: &criu::Options {
            image_path: order.checkpoint.into(),
            work_path: Some(work),
            tcp_established: true,
            ext_unix_sk: true,
            shell_job: true,
            file_locks: true,
            ..criu::Options::default()
        },
        restore_options: &criu::RestoreOptions::default(),
    })?;
    Ok(Done { pid: restored.container.state.pid, warnings: loaded.warnings })
}

/// What is restored.
#[derive(Debug)]
pub struct Restoration<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its bundle.
    pub bundle: &'a Path,
    /// The files of the checkpoint.
    pub checkpoint: &'a Path,
}

/// Start the program that takes the log, and wait until it is ready. It is the shim's child, not
/// this one's, once this one has ended.
fn begin_logging(logger: Logger) -> Result<()> {
    let (ready, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).context("pipe2")?;
    let program = logger.program.clone();
    let words = std::iter::once(&logger.program).chain(&logger.args);
    let args: Vec<CString> =
        words.map(|word| CString::new(word.as_str())).collect::<std::result::Result<_, _>>()?;
    match process::fork().with_context(|| format!("{program}: clone"))? {
        Cloned::Child => {
            let errno = become_logger(&logger, &theirs, &args);
            let _ = crate::sys::fs::write_once(theirs.as_fd(), &(errno as i32).to_le_bytes());
            process::exit_now(127)
        }
        Cloned::Parent { .. } => {}
    }
    drop((theirs, logger));
    let mut fds = [nix::poll::PollFd::new(ready.as_fd(), nix::poll::PollFlags::POLLIN)];
    let patience = nix::poll::PollTimeout::try_from(LOGGER_PATIENCE).unwrap_or(nix::poll::PollTimeout::MAX);
    if nix::poll::poll(&mut fds, patience) == Ok(0) {
        bail!("{program}: not ready within {LOGGER_PATIENCE:?}");
    }
    let mut said = [0; 4];
    match nix::unistd::read(&ready, &mut said) {
        Ok(4) => Err(Errno::from_raw(i32::from_le_bytes(said))).with_context(|| format!("{program}: execve")),
        _ => Ok(()),
    }
}

/// In the child: its descriptors, execve(2).
fn become_logger(logger: &Logger, ready: &OwnedFd, args: &[CString]) -> Errno {
    let prepare = || -> crate::sys::Result<()> {
        nix::unistd::setsid()?;
        // What this process has is the container's.
        Standard::Processes([None; 3]).take()?;
        process::hand_over_from(3, &[logger.stdout.as_fd(), logger.stderr.as_fd(), ready.as_fd()])
    };
    match prepare() {
        Ok(()) => {
            let variables =
                logger.variables.iter().filter_map(|variable| CString::new(variable.as_str()).ok());
            let env: Vec<CString> = process::environment().into_iter().chain(variables).collect();
            process::execve(&logger.program, args, &env)
        }
        Err(errno) => errno,
    }
}
