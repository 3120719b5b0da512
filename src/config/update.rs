//! What `update` is asked: a `linux.resources` of its own, completed by what is in force.

use super::Invalid;
use super::device_rules::{self, DeviceRule};
use super::load::located;
use super::resources::{self, Limit, Resources};
use anyhow::Result;
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};

/// The largest file of resources that is read, in bytes.
pub const LIMIT: usize = 1 << 20;

/// What is in force, as far as new values depend on it: asked of the kernel, so that it is right
/// whoever set it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Current {
    /// The quota of cpu.max.
    pub quota_us: Option<Limit>,
    pub period_us: Option<u64>,
    /// cpu.weight, unless it is idle.
    pub weight: Option<u64>,
    /// memory.max.
    pub memory: Option<Limit>,
}

/// New limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Without the devices.
    pub resources: Resources,
    /// All device rules, if they change.
    pub device_rules: Option<Vec<DeviceRule>>,
}

/// The file `name`: an object as `linux.resources` of config.json.
pub fn parse(text: &[u8], name: &str) -> Result<Value> {
    match serde_json::from_slice::<LinuxResources>(text) {
        Ok(_) => Ok(serde_json::from_slice(text)?),
        Err(err) => Err(located(text, &err, name, "")),
    }
}

/// Checks what is asked and resolves it. A quota without a period goes with the period in force,
/// and the other way round; the sum of memory and swap without a limit of memory with that in
/// force.
pub fn resolve(mut asked: Value, current: &Current, warnings: &mut Vec<String>) -> Result<Asked, Invalid> {
    let number = |asked: &Value, field: &str| asked.pointer(field).and_then(Value::as_i64).unwrap_or(0);
    let sum_alone = number(&asked, "/memory/swap") > 0 && number(&asked, "/memory/limit") == 0;
    if let (true, Some(Limit::To(limit))) = (sum_alone, current.memory) {
        asked["memory"]["limit"] = json!(limit);
    }
    // Left out it asks for nothing (config-linux.md: PIDs); the parser would have 0.
    if asked.pointer("/pids/limit").is_none_or(Value::is_null)
        && let Some(asked) = asked.as_object_mut()
    {
        asked.remove("pids");
    }
    // From a text, as all of config.json is read: a reader of its own for values is as large again.
    let spec: LinuxResources = serde_json::from_slice(asked.to_string().as_bytes())
        .map_err(|err| Invalid::new("linux.resources", err.to_string()))?;
    let mut resources = resources::resolve(&spec, warnings)?;
    if sum_alone {
        resources.memory.limit = None;
    }
    let cpu = &mut resources.cpu;
    match (cpu.quota_us, cpu.period_us) {
        (Some(_), None) => cpu.period_us = current.period_us,
        (None, Some(_)) => cpu.quota_us = current.quota_us,
        _ => {}
    }
    let device_rules = spec.devices().as_deref().map(device_rules::resolve).transpose()?;
    Ok(Asked { resources, device_rules })
}
