//! `knarr check`.

use super::list::Format;
use super::print;
use crate::check::{self, Finding, Verdict};
use anyhow::Result;
use std::fmt::Write;

#[allow(missing_docs, reason = "clap would print it in place of the command's own text")]
#[derive(Debug, clap::Args)]
#[group(id = "check")]
pub struct Args {
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "table")]
    pub format: Format,
}

/// Print what was found. The exit status is 1 if no container runs here.
pub fn run(args: &Args) -> Result<u8> {
    let findings = check::all();
    let able = check::able(&findings);
    print(&match args.format {
        Format::Table => table(&findings, able)?,
        Format::Json => format!("{:#}\n", serde_json::json!({ "able": able, "findings": findings })),
    })?;
    Ok(u8::from(!able))
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
