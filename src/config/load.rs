//! Reading config.json: size and depth limits, errors with line, column and field, and the values that the
//! specification tells a runtime to tolerate.

use super::{Config, Invalid, locate, resolve, rules};
use anyhow::{Context, Result};
use oci_spec::runtime::Spec;
use serde_json::Value;
use std::path::Path;

/// The largest config.json that is read, in bytes.
pub const LIMIT: usize = 16 << 20;

/// A loaded bundle.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, checked and resolved.
    pub config: Config,
    /// What was tolerated; one line each.
    pub warnings: Vec<String>,
}

/// The configuration in `text`, the config.json of the bundle at the absolute path `bundle`.
pub fn load(text: &[u8], bundle: &Path) -> Result<Loaded> {
    let (spec, mut warnings) = parse(text)?;
    for rule in rules::RULES {
        (rule.check)(&spec)?;
    }
    let config = resolve::config(&spec, bundle, &mut warnings)?;
    Ok(Loaded { config, warnings })
}

/// Parse, and only if that fails parse again more tolerantly.
fn parse(text: &[u8]) -> Result<(Spec, Vec<String>)> {
    let strict = match serde_json::from_slice::<Spec>(text) {
        Ok(spec) => return Ok((spec, Vec::new())),
        Err(err) => err,
    };
    let mut value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(err) => return Err(located(text, &err, "config.json")),
    };
    let warnings = tolerate(&mut value);
    match serde_json::from_value(value) {
        Ok(spec) => Ok((spec, warnings)),
        Err(_) if warnings.is_empty() => Err(located(text, &strict, "config.json")),
        Err(err) => Err(err).context("config.json"),
    }
}

/// A parse error with its line, its column and the field it lies in.
pub(super) fn located(text: &[u8], err: &serde_json::Error, file: &str) -> anyhow::Error {
    let before: usize =
        text.split_inclusive(|b| *b == b'\n').take(err.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let field = locate::path_at(text, (before + err.column()).saturating_sub(1));
    let message = err.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let place = format!("{message} ({file} line {} column {})", err.line(), err.column());
    let field = if field.is_empty() { file.to_string() } else { field };
    Invalid::new(field, place).into()
}

/// Change `config` so that values which the specification tells a runtime to accept do not stop the parser.
fn tolerate(config: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(process) = config.get_mut("process").and_then(Value::as_object_mut) else { return warnings };
    if !process.contains_key("user") {
        process.insert("user".into(), serde_json::json!({"uid": 0, "gid": 0}));
        warnings.push("process.user: missing, taken as 0:0".into());
    }
    let flags = process.get_mut("scheduler").and_then(|s| s.get_mut("flags")).and_then(Value::as_array_mut);
    for flag in flags.into_iter().flatten() {
        // What the specification calls them, and what the parser does.
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = "SCHED_RESET_ON_FORK".into(),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = "SCHED_FLAG_D_L_OVERRUN".into(),
            _ => {}
        }
    }
    let sets = process.get_mut("capabilities").and_then(Value::as_object_mut);
    for (set, names) in sets.into_iter().flatten() {
        let Some(names) = names.as_array_mut() else { continue };
        names.retain(|name| {
            let known = serde_json::from_value::<oci_spec::runtime::Capability>(name.clone()).is_ok();
            if !known && name.is_string() {
                warnings.push(format!("process.capabilities.{set}: unknown capability {name} ignored"));
            }
            known || !name.is_string()
        });
    }
    warnings
}
