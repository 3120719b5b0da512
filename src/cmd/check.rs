//! `knarr check`.

use super::Global;
use super::create::{self, Bundle, Common, Fds, compile};
use super::list::Format;
use super::print;
use crate::check::{self, Finding, Verdict};
use crate::config::load::unknown_fields;
use crate::log::message;
use crate::plan::Start;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[group(id = "check")]
pub struct Args {
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "table")]
    pub format: Format,
    /// Look at a bundle, too: whether a container can be made of it here, and which fields of its
    /// config.json are unknown
    #[arg(short, long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
}

/// Print what was found. The exit status is 1 if no container runs here.
pub fn run(args: &Args, global: &Global) -> Result<u8> {
    let mut findings = check::all();
    if let Some(folder) = &args.bundle {
        findings.extend(of_bundle(folder, global).with_context(|| format!("check {}", folder.display()))?);
    }
    let able = check::able(&findings);
    print(&match args.format {
        Format::Table => table(&findings, able)?,
        Format::Json => format!("{:#}\n", serde_json::json!({ "able": able, "findings": findings })),
    })?;
    Ok(u8::from(!able))
}

fn of_bundle(folder: &Path, global: &Global) -> Result<Vec<Finding>> {
    let bundle = Bundle::read(folder, Path::new("config.json"))?;
    let unknown = unknown_fields(&bundle.text);
    let common = Common { id: "check".into(), ..Common::default() };
    let options = create::Args { common, ..create::Args::default() };
    let compiled = compile(bundle, &options, global, Start::OnRequest, Fds::default());
    let compiled = compiled.as_ref().map(|compiled| compiled.warnings.as_slice()).map_err(message);
    Ok(check::bundle::findings(compiled, &unknown))
}

fn table(findings: &[Finding], able: bool) -> Result<String> {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Partly => "partly",
            Verdict::Lacks if finding.needed => "LACKS",
            Verdict::Lacks => "lacks",
            Verdict::None => "-",
        };
        writeln!(text, "{verdict:7} {:width$}  {}", finding.name, finding.found)?;
        let notes = [("so", &finding.effect), ("try", &finding.remedy)];
        for (word, note) in notes.into_iter().filter(|_| finding.verdict != Verdict::Ok) {
            if let Some(note) = note {
                writeln!(text, "{:7} {:width$}  {word}: {note}", "", "")?;
            }
        }
    }
    let whole = if able { "Containers run here." } else { "No container runs here: see LACKS." };
    writeln!(text, "\n{whole}")?;
    Ok(text)
}
