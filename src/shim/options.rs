//! What the engine asks of the runtime beside the bundle: runc's options, which all engines know,
//! as a message or as the text of their configuration.

use super::api::{Any, CheckpointOptions, CreateOptions, OldCheckpointOptions, Options, RuntimeOptions};
use crate::host;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The name of runc's options.
pub const OPTIONS: &str = "containerd.runc.v1.Options";

/// The name of those that containerd's client had for any runtime but runc's, before 2.0.
const OLD: &str = "containerd.linux.runc.CreateOptions";

/// The name of those of any runtime: a file, or its text.
const ANY_RUNTIMES: &str = "runtimeoptions.v1.Options";

/// Where containers are recorded, in a folder a namespace, unless the options name another.
const ROOT: &str = "/run/containerd/knarr";

impl Options {
    /// From what containerd hands over; none is no options.
    pub fn read(any: Option<&Any>) -> Result<Options> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else { return Ok(Options::default()) };
        let options = if any.is(OPTIONS) {
            any.unpack(OPTIONS).context("options: not well formed")?
        } else if any.is(OLD) {
            any.unpack::<CreateOptions>(OLD).context("options: not well formed")?.into()
        } else if any.is(ANY_RUNTIMES) {
            let given: RuntimeOptions = any.unpack(ANY_RUNTIMES).context("options: not well formed")?;
            let body = String::from_utf8(given.config_body).context("options: ConfigBody")?;
            match (body.is_empty(), given.config_path.as_str()) {
                (true, "") => Options::default(),
                (true, path) => {
                    Options::parse(&host::read(path).with_context(|| format!("options: {path}"))?)?
                }
                (false, _) => Options::parse(&body)?,
            }
        } else {
            bail!("options: {:?} is not a kind of options that is known", any.type_url);
        };
        options.check()?;
        Ok(options)
    }

    /// The lines of a table in TOML, as containerd and Docker keep them: `Key = value`.
    fn parse(text: &str) -> Result<Options> {
        let mut options = Options::default();
        for line in
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '[']))
        {
            let (key, value) =
                line.split_once('=').with_context(|| format!("options: {line:?} is not KEY = VALUE"))?;
            let (key, value) = (key.trim(), value.trim());
            options.set(key, value).with_context(|| format!("options: {key} = {value}"))?;
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let text =
            || -> Result<String> { serde_json::from_str(value).context("not a text in double quotes") };
        let flag = || -> Result<bool> { value.parse().context("neither true nor false") };
        let id = || -> Result<u32> { value.parse().context("not the number of an id") };
        match key {
            "NoPivotRoot" => self.no_pivot_root = flag()?,
            "NoNewKeyring" => self.no_new_keyring = flag()?,
            "ShimCgroup" => self.shim_cgroup = text()?,
            "IoUid" => self.io_uid = id()?,
            "IoGid" => self.io_gid = id()?,
            "BinaryName" => self.binary_name = text()?,
            "Root" => self.root = text()?,
            "CriuPath" => self.criu_path = text()?,
            "SystemdCgroup" => self.systemd_cgroup = flag()?,
            "CriuImagePath" => self.criu_image_path = text()?,
            "CriuWorkPath" => self.criu_work_path = text()?,
            "ShimGroup" => self.shim_group = text()?,
            // Of the task service that runs elsewhere, which this is not.
            "TaskApiAddress" | "TaskApiVersion" => {}
            _ => bail!("no such option"),
        }
        Ok(())
    }

    /// The runtime is this program: another would be left out in silence.
    fn check(&self) -> Result<()> {
        let name = Path::new(&self.binary_name).file_name().unwrap_or_default();
        if !name.is_empty() && name != "knarr" {
            bail!(
                "options: BinaryName {:?}: this shim is its own runtime; for another one use io.containerd.runc.v2",
                self.binary_name
            );
        }
        Ok(())
    }

    /// The folder in which the containers of `namespace` are recorded.
    pub fn root(&self, namespace: &str) -> PathBuf {
        let root = if self.root.is_empty() { ROOT } else { &self.root };
        Path::new(root).join(namespace)
    }
}

impl From<CreateOptions> for Options {
    fn from(old: CreateOptions) -> Options {
        Options {
            no_pivot_root: old.no_pivot_root,
            no_new_keyring: old.no_new_keyring,
            shim_cgroup: old.shim_cgroup,
            io_uid: old.io_uid,
            io_gid: old.io_gid,
            criu_image_path: old.criu_image_path,
            criu_work_path: old.criu_work_path,
            ..Options::default()
        }
    }
}

impl CheckpointOptions {
    /// From what containerd hands over; none is no options.
    pub fn read(any: Option<&Any>) -> Result<CheckpointOptions> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else {
            return Ok(CheckpointOptions::default());
        };
        let now = any.unpack("containerd.runc.v1.CheckpointOptions");
        let old = || any.unpack::<OldCheckpointOptions>("containerd.linux.runc.CheckpointOptions");
        let read = now.or_else(|| old().map(CheckpointOptions::from));
        read.with_context(|| format!("options: {:?} are not those of a checkpoint", any.type_url))
    }
}

impl From<OldCheckpointOptions> for CheckpointOptions {
    fn from(old: OldCheckpointOptions) -> CheckpointOptions {
        CheckpointOptions {
            exit: old.exit,
            open_tcp: old.open_tcp,
            external_unix_sockets: old.external_unix_sockets,
            terminal: old.terminal,
            file_locks: old.file_locks,
            empty_namespaces: old.empty_namespaces,
            cgroups_mode: old.cgroups_mode,
            image_path: old.image_path,
            work_path: old.work_path,
            parent_path: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::Declared;

    fn body(text: &str) -> Result<Options> {
        let options = RuntimeOptions { config_body: text.into(), ..RuntimeOptions::default() };
        Options::read(Some(&Any { type_url: ANY_RUNTIMES.into(), value: options.encode() }))
    }

    #[test]
    fn options_are_a_message_or_a_table() {
        assert_eq!(Options::read(None).unwrap(), Options::default());
        let asked = Options { systemd_cgroup: true, root: "/r".into(), ..Options::default() };
        assert_eq!(Options::read(Some(&Any::pack(OPTIONS, &asked))).unwrap(), asked);
        let table =
            "# from containerd\nSystemdCgroup = true\n  Root = \"/r\"\nBinaryName = \"/usr/bin/knarr\"\n";
        let read = body(table).unwrap();
        assert!(read.systemd_cgroup);
        assert_eq!(read.root("k8s.io"), Path::new("/r/k8s.io"));
        let read = body("ShimGroup = \"all\"").unwrap();
        assert_eq!(Options { shim_group: "all".into(), ..Options::default() }, read);
        let old = CreateOptions { io_uid: 7, no_new_keyring: true, ..CreateOptions::default() };
        let read = Options::read(Some(&Any::pack(OLD, &old))).unwrap();
        assert_eq!((read.io_uid, read.no_new_keyring), (7, true));
        assert_eq!(body("").unwrap().root("moby"), Path::new("/run/containerd/knarr/moby"));
    }

    #[test]
    fn those_of_a_checkpoint_are_of_two_kinds() {
        let old =
            OldCheckpointOptions { exit: true, image_path: "/i".into(), ..OldCheckpointOptions::default() };
        let any = Any::pack("containerd.linux.runc.CheckpointOptions", &old);
        let read = CheckpointOptions::read(Some(&any)).unwrap();
        assert!(read.exit && read.image_path == "/i");
        let any = Any::pack("containerd.runc.v1.CheckpointOptions", &read);
        assert_eq!(CheckpointOptions::read(Some(&any)).unwrap(), read);
        assert!(CheckpointOptions::read(Some(&Any::pack(OLD, &old))).is_err());
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        for (text, says) in [
            ("BinaryName = \"crun\"", "BinaryName \"crun\": this shim is its own runtime"),
            ("Frob = 1", "options: Frob = 1: no such option"),
            ("SystemdCgroup = yes", "neither true nor false"),
            ("Root = /r", "not a text in double quotes"),
            ("Root", "\"Root\" is not KEY = VALUE"),
        ] {
            let said = format!("{:#}", body(text).unwrap_err());
            assert!(said.contains(says), "{text}: {said}");
        }
        let other = Any { type_url: "frob.Options".into(), value: Vec::new() };
        assert!(Options::read(Some(&other)).is_err());
    }
}
