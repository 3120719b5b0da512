//! Scopes: cgroups that systemd makes, limits and removes.

use super::dbus::{Body, Bus, ErrorReply, Target};
use crate::fault::{Fault, Refusal};
use crate::placeholder::Placeholder;
use crate::plan::gvariant::Value;
use crate::plan::systemd::{Property, Scope};
use crate::plan::{Planned, Unit};
use anyhow::{Context, Result, bail};

const MANAGER: Target<'static> = Target {
    name: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

const JOBS: &str = "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',\
                    member='JobRemoved'";

/// Any service answers its ping.
const PEER: Target<'static> = Target { interface: "org.freedesktop.DBus.Peer", ..MANAGER };

/// Make the scope. It lasts as long as a process is in it, at first the one that is returned.
pub fn start(scope: &Scope) -> Result<Placeholder, Fault> {
    let call = || -> Result<Placeholder> {
        let holder = Placeholder::new(0).context("clone3")?;
        let mut bus = Bus::connect(scope.unit.instance)?;
        bus.subscribe(JOBS);
        bus.send(MANAGER, "Subscribe", &Body::default());
        let body = transient(scope, holder.pid);
        let job = match bus.call(MANAGER, "StartTransientUnit", &body) {
            // One that has failed stays until somebody has seen it.
            Err(err) if is(&err, "UnitExists") => {
                let _ = bus.call(MANAGER, "ResetFailedUnit", &named(&scope.unit));
                bus.call(MANAGER, "StartTransientUnit", &body)?
            }
            job => job?,
        };
        if let Err(err) = job.reader().text().and_then(|job| finish(&mut bus, &job)) {
            // It may be there by now.
            drop(holder);
            let _ = stop(&scope.unit);
            return Err(err);
        }
        Ok(holder)
    };
    call().map_err(|err| denied("start", &scope.unit, &scope.properties, &err))
}

/// Change properties of a scope, until it ends. When this returns systemd has written what it
/// writes to the cgroup: not the values of the properties alone.
pub fn set(unit: &Unit, properties: &[Planned<Property>]) -> Result<(), Fault> {
    if properties.is_empty() {
        return Ok(());
    }
    let call = || -> Result<()> {
        let mut body = named(unit);
        body.value(&Value::Bool(true));
        body.properties(pairs(properties));
        let mut bus = Bus::connect(unit.instance)?;
        bus.call(MANAGER, "SetUnitProperties", &body)?;
        // systemd answers first and writes then, before it takes another message.
        bus.call(PEER, "Ping", &Body::default()).map(drop)
    };
    call().map_err(|err| denied("set the properties of", unit, properties, &err))
}

/// Move a process of the caller's to the cgroup `below` that of the unit, which is the caller's
/// too.
pub fn attach(unit: &Unit, below: &str, pid: i32) -> Result<()> {
    let call = || -> Result<()> {
        let mut body = named(unit);
        body.value(&Value::Text(if below.is_empty() { String::new() } else { format!("/{below}") }));
        body.value(&Value::Array("u".into(), vec![Value::Uint32(pid.unsigned_abs())]));
        Bus::connect(unit.instance)?.call(MANAGER, "AttachProcessesToUnit", &body).map(drop)
    };
    call().with_context(|| format!("systemd: move a process to {}", unit.name))
}

/// The period of the CPU quota, in microseconds, if the scope has one. Without a quota the cgroup
/// does not have it from systemd.
pub fn period(unit: &Unit) -> Result<Option<u64>> {
    let call = || -> Result<u64> {
        let path = object(&unit.name);
        let properties = Target { path: &path, interface: "org.freedesktop.DBus.Properties", ..MANAGER };
        let mut body = Body::default();
        body.value(&Value::Text("org.freedesktop.systemd1.Scope".into()));
        body.value(&Value::Text("CPUQuotaPeriodUSec".into()));
        Bus::connect(unit.instance)?.call(properties, "Get", &body)?.reader().variant_u64()
    };
    let period = call().with_context(|| format!("systemd: the period of {}", unit.name))?;
    Ok(Some(period).filter(|period| *period != u64::MAX))
}

/// The object of a unit: in its name all but letters and digits is `_` and two hexadecimal digits.
fn object(unit: &str) -> String {
    let escape = |(at, byte): (usize, u8)| match byte {
        b'0'..=b'9' if at == 0 => format!("_{byte:02x}"),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("_{byte:02x}"),
    };
    let name: String = unit.bytes().enumerate().map(escape).collect();
    format!("/org/freedesktop/systemd1/unit/{name}")
}

/// End a scope, in which no process is left, and forget that it may have failed. One that is not
/// there any more is no error.
pub fn stop(unit: &Unit) -> Result<()> {
    let call = || -> Result<()> {
        let mut bus = Bus::connect(unit.instance)?;
        bus.subscribe(JOBS);
        bus.send(MANAGER, "Subscribe", &Body::default());
        let mut body = named(unit);
        body.value(&Value::Text("replace".into()));
        match bus.call(MANAGER, "StopUnit", &body) {
            Err(err) if is(&err, "NoSuchUnit") => {}
            job => finish(&mut bus, &job?.reader().text()?)?,
        }
        match bus.call(MANAGER, "ResetFailedUnit", &named(unit)) {
            Err(err) if is(&err, "NoSuchUnit") => Ok(()),
            reset => reset.map(drop),
        }
    };
    call().with_context(|| format!("systemd: stop {}", unit.name))
}

fn named(unit: &Unit) -> Body {
    let mut body = Body::default();
    body.value(&Value::Text(unit.name.clone()));
    body
}

fn pairs(properties: &[Planned<Property>]) -> impl Iterator<Item = (&str, &Value)> {
    properties.iter().map(|property| (property.step.name.as_str(), &property.step.value))
}

fn transient(scope: &Scope, pid: i32) -> Body {
    let mut body = named(&scope.unit);
    body.value(&Value::Text("fail".into()));
    let pids = Value::Array("u".into(), vec![Value::Uint32(pid.unsigned_abs())]);
    body.properties(pairs(&scope.properties).chain([("PIDs", &pids)]));
    body.none_of("(sa(sv))");
    body
}

fn is(err: &anyhow::Error, name: &str) -> bool {
    let reply = err.downcast_ref::<ErrorReply>();
    reply.is_some_and(|reply| reply.name.strip_prefix("org.freedesktop.systemd1.") == Some(name))
}

/// Wait until `job` is done.
fn finish(bus: &mut Bus, job: &str) -> Result<()> {
    let result = bus.signal(|message| {
        let mut reader = message.reader();
        let ours = message.member == "JobRemoved"
            && reader.u32().is_ok()
            && reader.text().is_ok_and(|path| path == job);
        // The unit is named between.
        if ours { reader.text().and_then(|_| reader.text()).ok() } else { None }
    })?;
    if result != "done" {
        bail!("its job ended as {result:?}, see journalctl -u");
    }
    Ok(())
}

/// The error, with the field whose property systemd names.
fn denied(verb: &str, unit: &Unit, properties: &[Planned<Property>], err: &anyhow::Error) -> Fault {
    let text = format!("{err:#}");
    let is_named = |property: &&Planned<Property>| {
        text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == property.step.name)
    };
    let property = properties.iter().find(is_named).filter(|property| !property.field.is_empty());
    let field = property.map_or("linux.cgroupsPath", |property| &property.field);
    Refusal::message(format!("systemd: {verb} {}: {text}", unit.name)).of(field)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_object_of_a_unit_has_its_name_escaped() {
        assert_eq!(super::object("it-c1.scope"), "/org/freedesktop/systemd1/unit/it_2dc1_2escope");
        assert_eq!(super::object("1a.scope"), "/org/freedesktop/systemd1/unit/_31a_2escope");
    }
}
