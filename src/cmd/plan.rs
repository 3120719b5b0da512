//! `knarr plan`.

use super::Global;
use super::create::{self, Bundle, Common, Console, Fds, compile};
use super::{print, sandbox};
use crate::config::load::unknown_fields;
use crate::plan::Start;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[group(id = "plan")]
pub struct Args {
    /// Directory with config.json
    #[arg(value_name = "BUNDLE", default_value = ".")]
    pub bundle: PathBuf,
    /// As for create
    #[arg(short = 'f', long, value_name = "FILE", default_value = "config.json")]
    pub config: PathBuf,
    /// The id that the container would have
    #[arg(long, default_value = "plan")]
    pub id: String,
    /// As for create
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub overlay: Option<Option<PathBuf>>,
    /// As for create
    #[arg(long)]
    pub init: bool,
    /// The options of a sandbox
    #[command(flatten)]
    pub sandbox: sandbox::Args,
    /// The command of --host-root
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
}

impl Args {
    fn bundle(&self) -> Result<Bundle> {
        if self.sandbox.host_root {
            return sandbox::bundle(&self.sandbox, &self.command, Console::None);
        }
        if let Some(argument) = self.command.first() {
            bail!("unexpected argument {argument:?}: a command goes with --host-root only");
        }
        Bundle::read(&self.bundle, &self.config)
    }
}

/// Print the plan of `create`.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let common = Common { id: args.id.clone(), ..Common::default() };
    let create =
        create::Args { common, overlay: args.overlay.clone(), init: args.init, ..create::Args::default() };
    let compiled =
        args.bundle().and_then(|bundle| compile(bundle, &create, global, Start::OnRequest, Fds::default()));
    let compiled = compiled.with_context(|| format!("plan {}", args.bundle.display()))?;
    let unknown = unknown_fields(&compiled.bundle.text);
    unknown.iter().for_each(|field| global.log().warning(&field.to_string()));
    compiled.warnings.iter().for_each(|warning| global.log().warning(warning));
    print(&compiled.plan.to_string())
}
