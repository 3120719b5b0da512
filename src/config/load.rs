//! Reading config.json: size and depth limits, errors with line, column and field, and the values
//! that the specification tells a runtime to tolerate.

use super::unknown::{Unknown, unknown};
use super::{Config, Invalid, Process, locate, resolve, rules, words};
use anyhow::Result;
use oci_spec::runtime::Spec;
use serde::de::DeserializeOwned;
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

/// The configuration in `text`, the config.json of the bundle at the absolute path `bundle`. An
/// error names the fields that look like typing errors, as what is missing may be one of them.
pub fn load(text: &[u8], bundle: &Path) -> Result<Loaded> {
    read(text, bundle).map_err(|err| match err.downcast::<Invalid>() {
        Ok(Invalid { field, reason }) => {
            let reason = format!("{}{reason}{}", looked_for(&field, &reason), misspelt(text));
            Invalid { field, reason }.into()
        }
        Err(err) => err,
    })
}

/// Words of runc's that scripts look for.
fn looked_for(field: &str, reason: &str) -> &'static str {
    match field.strip_prefix("linux.memoryPolicy") {
        Some(part) if part.starts_with(".flags") => "invalid memory policy flag: ",
        Some(part) if part.starts_with(".nodes") => "invalid memory policy node: ",
        Some(part) if part.starts_with(".mode") || reason.contains("`mode`") => {
            "invalid memory policy mode: "
        }
        Some(_) => "invalid memory policy: ",
        None => "",
    }
}

/// The fields of a config.json that are ignored, as the specification does not have them.
pub fn unknown_fields(text: &[u8]) -> Vec<Unknown> {
    unknown::<Spec>(text, "")
}

fn misspelt(text: &[u8]) -> String {
    let fields = unknown_fields(text).into_iter().filter(|unknown| unknown.meant.is_some());
    fields.map(|unknown| format!(" ({unknown})")).collect()
}

fn read(text: &[u8], bundle: &Path) -> Result<Loaded> {
    let (mut spec, mut warnings) = parse(text, &CONFIG)?;
    forget_absent_limit(&mut spec, text);
    check(&spec)?;
    let config = resolve::config(&spec, bundle, &mut warnings)?;
    Ok(Loaded { config, warnings })
}

/// Since 1.3 `pids.limit` may be left out, which asks for nothing (config-linux.md: PIDs). The
/// parser has 0 then.
fn forget_absent_limit(spec: &mut Spec, text: &[u8]) {
    let resources = spec.linux_mut().as_mut().and_then(|linux| linux.resources_mut().as_mut());
    let Some(resources) = resources.filter(|r| r.pids().is_some_and(|pids| pids.limit() == 0)) else {
        return;
    };
    let config = serde_json::from_slice::<Value>(text).unwrap_or_default();
    if config.pointer("/linux/resources/pids/limit").is_none_or(Value::is_null) {
        resources.set_pids(None);
    }
}

/// A config that asks for nothing: what comes alone is checked in it.
const NOTHING_BUT: &[u8] =
    br#"{"ociVersion": "1.3.0", "root": {"path": "/"}, "linux": {"namespaces": [{"type": "mount"}]}}"#;

/// A process in JSON, like `process` of a config.json, and what was tolerated. `file` is its name
/// in errors. What it does not name of who the process is and what it may do is as `container`, the
/// container's own, has it.
pub fn load_process(text: &[u8], file: &str, container: Option<&Process>) -> Result<(Process, Vec<String>)> {
    let document = Document { file, field: "process", tolerate: tolerate_in_process };
    let (process, mut warnings) = parse::<oci_spec::runtime::Process>(text, &document)?;
    check_alone(|spec| {
        spec.set_process(Some(process.clone()));
    })?;
    let mut resolved = resolve::process(&process, &mut warnings)?;
    if let Some(container) = container {
        let Named { user } = serde_json::from_slice(text)?;
        if user.is_none() {
            resolved.user = container.user.clone();
        }
        complete(&mut resolved, &process, container);
    }
    Ok((resolved, warnings))
}

/// Check what comes without a config.json in one that has nothing else.
pub(super) fn check_alone(put: impl FnOnce(&mut Spec)) -> Result<()> {
    let mut spec: Spec = serde_json::from_slice(NOTHING_BUT)?;
    put(&mut spec);
    Ok(check(&spec)?)
}

/// Whether a process names its user, which the parser always has.
#[derive(serde::Deserialize)]
struct Named {
    user: Option<serde::de::IgnoredAny>,
}

/// What --process leaves out is taken from the container: silence must not mean less confinement.
fn complete(process: &mut Process, asked: &oci_spec::runtime::Process, container: &Process) {
    if asked.capabilities().is_none() {
        process.capabilities = container.capabilities;
    }
    if asked.rlimits().is_none() {
        process.rlimits.clone_from(&container.rlimits);
    }
    if asked.no_new_privileges().is_none() {
        process.no_new_privileges = container.no_new_privileges;
    }
    if asked.exec_cpu_affinity().is_none() {
        process.exec_affinity.clone_from(&container.exec_affinity);
    }
    let or = |own: &mut Option<String>, other: &Option<String>| *own = own.take().or_else(|| other.clone());
    or(&mut process.apparmor_profile, &container.apparmor_profile);
    or(&mut process.selinux_label, &container.selinux_label);
    process.oom_score_adj = process.oom_score_adj.or(container.oom_score_adj);
    process.scheduler = process.scheduler.or(container.scheduler);
    process.io_priority = process.io_priority.or(container.io_priority);
}

fn check(spec: &Spec) -> Result<(), Invalid> {
    rules::RULES.iter().try_for_each(|rule| (rule.check)(spec))
}

/// What is parsed, for errors and for a second try.
pub(super) struct Document<'a> {
    /// The name of the file.
    pub(super) file: &'a str,
    /// The field of config.json that it stands for; empty for the whole.
    pub(super) field: &'a str,
    /// Changes values that the specification tells a runtime to accept, with a warning for each.
    pub(super) tolerate: fn(&mut Value) -> Vec<String>,
}

const CONFIG: Document<'static> = Document { file: "config.json", field: "", tolerate };

/// Parse, and only if that fails parse again more tolerantly.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8], document: &Document<'_>) -> Result<(T, Vec<String>)> {
    let strict = match serde_json::from_slice::<T>(text) {
        Ok(parsed) => return Ok((parsed, Vec::new())),
        Err(err) => err,
    };
    let mut value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(err) => return Err(located(text, &err, document.file, document.field)),
    };
    drop_nulls(&mut value);
    let warnings = (document.tolerate)(&mut value);
    let tolerated = serde_json::to_vec(&value)?;
    match serde_json::from_slice(&tolerated) {
        Ok(parsed) => Ok((parsed, warnings)),
        Err(err) if said(&err) == said(&strict) => Err(located(text, &strict, document.file, document.field)),
        // What the first try stopped at is tolerated, so this has no place in the file.
        Err(err) => {
            let field = field_of(&tolerated, &err, document.file, document.field);
            Err(Invalid::new(field, format!("{} ({})", words::plain(&said(&err)), document.file)).into())
        }
    }
}

/// A member that is null is one that is not there, as to Go's decoder.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// What the parser says, without its position.
fn said(err: &serde_json::Error) -> String {
    let message = err.to_string();
    message.split(" at line ").next().unwrap_or_default().to_string()
}

/// The field that a parse error lies in or, where one is missing, in which it should be.
fn field_of(text: &[u8], err: &serde_json::Error, file: &str, within: &str) -> String {
    // One that is missing is found out at the end of the object.
    let inside = usize::from(!said(err).starts_with("missing field"));
    let field = locate::path_at(text, offset_of(text, err).saturating_sub(inside));
    let names = [within, &field].into_iter().filter(|name| !name.is_empty());
    let field = names.collect::<Vec<_>>().join(".");
    if field.is_empty() { file.to_string() } else { field }
}

/// A parse error with its line, its column and the field it lies in; `within` is the field that the
/// file stands for.
pub(super) fn located(text: &[u8], err: &serde_json::Error, file: &str, within: &str) -> anyhow::Error {
    let what = no_json(text, err).map_or_else(|| words::plain(&said(err)), str::to_string);
    let place = format!("{what} ({file} line {} column {})", err.line(), err.column());
    Invalid::new(field_of(text, err, file, within), place).into()
}

/// What people write who take JSON for a language that has it.
fn no_json(text: &[u8], err: &serde_json::Error) -> Option<&'static str> {
    if err.is_syntax() && text.starts_with(b"\xef\xbb\xbf") {
        return Some("begins with a byte order mark, which JSON does not have");
    }
    let at = offset_of(text, err).saturating_sub(1);
    let is_comment = err.is_syntax() && matches!(text.get(at), Some(b'/' | b'#'));
    is_comment.then_some("a comment, which JSON does not have")
}

/// The byte after the last one that the parser took.
fn offset_of(text: &[u8], err: &serde_json::Error) -> usize {
    let lines = text.split_inclusive(|b| *b == b'\n').take(err.line().saturating_sub(1));
    lines.map(<[u8]>::len).sum::<usize>() + err.column()
}

/// Change `config` so that values which the specification tells a runtime to accept do not stop the
/// parser.
fn tolerate(config: &mut Value) -> Vec<String> {
    config.get_mut("process").map(tolerate_in_process).unwrap_or_default()
}

fn tolerate_in_process(process: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(process) = process.as_object_mut() else { return warnings };
    if !process.contains_key("user") {
        process.insert("user".into(), serde_json::json!({"uid": 0, "gid": 0}));
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
