//! Where a process's input comes from and its output goes: fifos of containerd's, files, or a
//! program that takes the log. Bytes pass through pipes of the shim's own, so that no process in a
//! container ever holds a file of the host's.

use super::pump::Pump;
use crate::sys::{self, fs};
use anyhow::{Context, Result, bail};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What containerd asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stdio {
    /// A fifo, or nothing.
    pub stdin: String,
    /// A fifo, `file://`, `binary://`, or nothing.
    pub stdout: String,
    /// The same; with a file or a program what standard output has, too.
    pub stderr: String,
    /// Whether all three are a terminal.
    pub terminal: bool,
}

/// Who the pipes belong to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// A program that takes the log: its standard streams are descriptors 3 and 4, and 5 is closed when
/// it is ready.
#[derive(Debug)]
pub struct Logger {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Of whom it takes the log, as variables.
    pub variables: Vec<String>,
    /// Where it reads standard output.
    pub stdout: OwnedFd,
    /// Where it reads standard error.
    pub stderr: OwnedFd,
}

/// The process's side; none is /dev/null.
#[derive(Debug, Default)]
pub struct Ends {
    /// Standard input.
    pub stdin: Option<OwnedFd>,
    /// Standard output.
    pub stdout: Option<OwnedFd>,
    /// Standard error.
    pub stderr: Option<OwnedFd>,
    /// A program that has to be started first.
    pub logger: Option<Logger>,
}

/// The shim's side.
#[derive(Debug, Default)]
pub struct Streams {
    /// What is under way, in no order.
    pub pumps: Vec<Pump>,
    /// Keeps standard input from ending while nobody else has the fifo open.
    open_stdin: Option<OwnedFd>,
    /// Of a terminal, until it is there: where its input comes from.
    source: Option<OwnedFd>,
    /// And where its output goes.
    sink: Option<Sink>,
}

/// Where output goes.
#[derive(Debug)]
struct Sink {
    to: OwnedFd,
    /// Keeps what is in a fifo, and writing to it possible, while containerd is away.
    kept: Option<OwnedFd>,
}

impl Sink {
    /// Opening one side of a fifo would wait for the other.
    fn open(path: &Path) -> Result<Sink> {
        let context = || format!("open {}", path.display());
        let is_fifo =
            path.metadata().is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()));
        if !is_fifo {
            let flags = fs::O_WRONLY | fs::O_APPEND | fs::O_CREAT;
            return Ok(Sink { to: fs::open(path, flags, 0o644).with_context(context)?, kept: None });
        }
        let kept = fs::open(path, fs::O_RDONLY | fs::O_NONBLOCK, 0).with_context(context)?;
        let to = fs::open(path, fs::O_WRONLY | fs::O_NONBLOCK, 0).with_context(context)?;
        Ok(Sink { to, kept: Some(kept) })
    }
}

/// A pipe: its reading end and its writing end.
fn pipe(owner: Owner) -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).context("pipe2")?;
    if owner.uid != 0 || owner.gid != 0 {
        fs::chown_fd(read.as_fd(), owner.uid, owner.gid).context("fchown of a pipe")?;
    }
    Ok((read, write))
}

/// What `stdout` names.
enum Place {
    Path(PathBuf),
    Both(PathBuf),
    Program(String, Vec<String>),
}

fn place(uri: &str) -> Result<Place> {
    match uri.split_once("://") {
        None => Ok(Place::Path(uri.into())),
        Some(("fifo", path)) => Ok(Place::Path(path.into())),
        Some(("file", path)) => Ok(Place::Both(path.into())),
        Some(("binary" | "binary-v2", rest)) => {
            let (program, query) = rest.split_once('?').unwrap_or((rest, ""));
            let mut args = Vec::new();
            for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                args.extend([decoded(key), decoded(value)].into_iter().filter(|word| !word.is_empty()));
            }
            Ok(Place::Program(decoded(program), args))
        }
        Some((scheme, _)) => bail!("stdout: unknown scheme {scheme:?}"),
    }
}

/// A word of an address: `%2f` is a byte by its number, and `+` a space (WHATWG URL).
fn decoded(word: &str) -> String {
    let mut out = Vec::new();
    let mut rest = word.as_bytes();
    while let [byte, after @ ..] = rest {
        let number =
            after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        (rest, _) = match (byte, number) {
            (b'%', Some(number)) => (&after[2..], out.push(number)),
            (b'+', _) => (after, out.push(b' ')),
            _ => (after, out.push(*byte)),
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Open all that is asked for: the process's side, and the shim's.
pub fn open(stdio: &Stdio, owner: Owner) -> Result<(Ends, Streams)> {
    let (mut ends, mut streams) = (Ends::default(), Streams::default());
    if !stdio.stdin.is_empty() {
        let path = Path::new(&stdio.stdin);
        let source = fs::open(path, fs::O_RDONLY | fs::O_NONBLOCK, 0)
            .with_context(|| format!("open {}", stdio.stdin))?;
        let open = fs::open(path, fs::O_WRONLY | fs::O_NONBLOCK, 0)
            .with_context(|| format!("open {}", stdio.stdin))?;
        streams.open_stdin = Some(open);
        if stdio.terminal {
            streams.source = Some(source);
        } else {
            let (read, write) = pipe(owner)?;
            streams.pumps.push(Pump::to_stdin(source, write).context("fcntl")?);
            ends.stdin = Some(read);
        }
    }
    if stdio.stdout.is_empty() && stdio.stderr.is_empty() {
        return Ok((ends, streams));
    }
    match place(&stdio.stdout)? {
        Place::Program(program, args) => {
            let ((out, to_out), (err, to_err)) = (pipe(owner)?, pipe(owner)?);
            ends.logger = Some(Logger { program, args, variables: Vec::new(), stdout: out, stderr: err });
            if stdio.terminal {
                streams.sink = Some(Sink { to: to_out, kept: None });
            } else {
                (ends.stdout, ends.stderr) = (Some(to_out), Some(to_err));
            }
        }
        Place::Both(path) => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(folder).with_context(|| format!("mkdir {}", folder.display()))?;
            streams.output(&path, &mut ends.stdout, stdio, owner)?;
            if !stdio.terminal {
                streams.output(&path, &mut ends.stderr, stdio, owner)?;
            }
        }
        Place::Path(path) => {
            if !stdio.stdout.is_empty() {
                streams.output(&path, &mut ends.stdout, stdio, owner)?;
            }
            if let (false, false, Place::Path(path)) =
                (stdio.terminal, stdio.stderr.is_empty(), place(&stdio.stderr)?)
            {
                streams.output(&path, &mut ends.stderr, stdio, owner)?;
            }
        }
    }
    Ok((ends, streams))
}

impl Streams {
    fn output(&mut self, path: &Path, end: &mut Option<OwnedFd>, stdio: &Stdio, owner: Owner) -> Result<()> {
        let sink = Sink::open(path)?;
        if stdio.terminal {
            self.sink = Some(sink);
            return Ok(());
        }
        let (read, write) = pipe(owner)?;
        self.pumps.push(Pump::new(read, sink.to, sink.kept).context("fcntl")?);
        *end = Some(write);
        Ok(())
    }

    /// The process's terminal is there.
    pub fn attach(&mut self, master: &OwnedFd) -> sys::Result<()> {
        if let Some(source) = self.source.take() {
            self.pumps.push(Pump::to_terminal(source, master.try_clone().map_err(|_| sys::Errno::EMFILE)?)?);
        }
        if let Some(Sink { to, kept }) = self.sink.take() {
            self.pumps.push(Pump::new(master.try_clone().map_err(|_| sys::Errno::EMFILE)?, to, kept)?);
        }
        Ok(())
    }

    /// Standard input ends once all others have closed it.
    pub fn close_stdin(&mut self) {
        self.open_stdin = None;
    }

    /// Whether all output has gone where it goes.
    pub fn are_drained(&self) -> bool {
        self.pumps.iter().all(|pump| pump.is_input() || pump.is_done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_addresses() {
        let Ok(Place::Program(program, args)) = place("binary:///bin/log?id=a%20b&-v&x=1+2") else {
            panic!()
        };
        assert_eq!(
            (program.as_str(), args),
            ("/bin/log", ["id", "a b", "-v", "x", "1 2"].map(String::from).to_vec())
        );
        assert!(
            matches!(place("file:///var/log/x"), Ok(Place::Both(path)) if path == Path::new("/var/log/x"))
        );
        assert!(matches!(place("/run/fifo"), Ok(Place::Path(path)) if path == Path::new("/run/fifo")));
        assert!(place("npipe://x").is_err());
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }
}
