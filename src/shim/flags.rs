//! The command line, which is one of Go's: an option has one or two dashes, and its value follows
//! it or an equals sign.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// What containerd says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// containerd's namespace.
    pub namespace: String,
    /// The container's id.
    pub id: String,
    /// containerd's socket.
    pub address: String,
    /// The bundle; of `delete`.
    pub bundle: PathBuf,
    /// `start` or `delete`.
    pub action: String,
    /// `-v`.
    pub version: bool,
    /// `-info`.
    pub info: bool,
}

impl Flags {
    /// Read the arguments.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Flags> {
        let mut flags = Flags::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(option) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                flags.action = arg;
                return Ok(flags);
            };
            let option = option.strip_prefix('-').unwrap_or(option);
            let (name, given) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (option, None),
            };
            match name {
                "v" => flags.version = true,
                "info" => flags.info = true,
                // What is told goes to the log, whatever that shows.
                "debug" => {}
                "namespace" | "id" | "address" | "bundle" | "socket" | "debug-socket" | "publish-binary" => {
                    let value = given
                        .or_else(|| args.next())
                        .with_context(|| format!("-{name}: a value is needed"))?;
                    match name {
                        "namespace" => flags.namespace = value,
                        "id" => flags.id = value,
                        "address" => flags.address = value,
                        "bundle" => flags.bundle = value.into(),
                        // Of shims that are started otherwise.
                        _ => {}
                    }
                }
                _ => bail!("unknown option -{name}"),
            }
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags> {
        Flags::parse(line.split(' ').map(String::from))
    }

    #[test]
    fn containerds_command_line_is_read() {
        let line = "-namespace k8s.io -address /run/containerd/containerd.sock -publish-binary /usr/bin/containerd \
                    -id c1 -debug start";
        let flags = parse(line).unwrap();
        assert_eq!(
            (flags.namespace.as_str(), flags.id.as_str(), flags.action.as_str()),
            ("k8s.io", "c1", "start")
        );
        assert_eq!(flags.address, "/run/containerd/containerd.sock");
        let flags = parse("--id=c1 -bundle /b delete").unwrap();
        assert_eq!((flags.id.as_str(), flags.bundle, flags.action.as_str()), ("c1", "/b".into(), "delete"));
        assert!(parse("-v").unwrap().version && parse("-info").unwrap().info);
        assert!(parse("-frob start").is_err() && parse("-id").is_err());
    }
}
