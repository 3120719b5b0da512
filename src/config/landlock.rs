//! The annotation `org.knarr.landlock`: `true`, or rules in JSON.

use super::{Invalid, annotation};
use crate::nearest::nearest;
use crate::sys::landlock::{access, port, scope};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// What landlock(7) keeps the process from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landlock {
    /// Writing outside of the root, as far as the kernel knows how.
    Outside,
    /// What the rules say, all of it.
    Rules(Rules),
}

/// Rules, with the bits of landlock(7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is denied to files wherever no path allows it.
    pub denied: u64,
    /// Paths in the container, and what is allowed there and below.
    pub paths: Vec<(String, u64)>,
    /// What is denied to ports that none of these allows.
    pub ports_denied: u64,
    pub ports: Vec<(u16, u64)>,
    /// What outside of the process and what comes of it cannot be reached.
    pub scoped: u64,
    /// The version of Landlock that all this takes.
    pub version: u32,
}

/// Rights to files: name, bits, the version that knows them. A later one of a bit is a group.
const RIGHTS: [(&str, u64, u32); 20] = [
    ("execute", access::EXECUTE, 1),
    ("write-file", access::WRITE_FILE, 1),
    ("read-file", access::READ_FILE, 1),
    ("read-dir", access::READ_DIR, 1),
    ("remove-dir", 1 << 4, 1),
    ("remove-file", 1 << 5, 1),
    ("make-char", 1 << 6, 1),
    ("make-dir", 1 << 7, 1),
    ("make-reg", 1 << 8, 1),
    ("make-sock", 1 << 9, 1),
    ("make-fifo", 1 << 10, 1),
    ("make-block", 1 << 11, 1),
    ("make-sym", 1 << 12, 1),
    ("refer", access::REFER, 2),
    ("truncate", access::TRUNCATE, 3),
    ("ioctl-dev", access::IOCTL_DEV, 5),
    ("read", access::READ_FILE | access::READ_DIR, 1),
    ("make", access::ENTRIES & !(0b11 << 4), 1),
    ("remove", 0b11 << 4, 1),
    ("write", access::WRITE_FILE | access::ENTRIES | access::REFER | access::TRUNCATE, 3),
];

/// What is denied unless the rules say what is: all that Landlock 3 knows.
const DENIED: (u64, u32) = (
    access::EXECUTE
        | access::READ_FILE
        | access::READ_DIR
        | access::WRITE_FILE
        | access::ENTRIES
        | access::REFER
        | access::TRUNCATE,
    3,
);

const SCOPES: [(&str, u64, u32); 2] =
    [("abstract-unix-socket", scope::ABSTRACT_UNIX_SOCKET, 6), ("signal", scope::SIGNAL, 6)];

/// The version that knows ports.
const PORTS: u32 = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    deny: Option<Vec<String>>,
    paths: Option<Vec<Path>>,
    ports: Option<Ports>,
    scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Path {
    path: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ports {
    bind: Option<Vec<u16>>,
    connect: Option<Vec<u16>>,
}

/// What the annotation asks for.
pub(super) fn resolve(annotations: &BTreeMap<String, String>) -> Result<Option<Landlock>, Invalid> {
    let field = format!("annotations.{}", annotation::LANDLOCK);
    match annotations.get(annotation::LANDLOCK).map(|text| text.trim()) {
        None | Some("false") => Ok(None),
        Some("true") => Ok(Some(Landlock::Outside)),
        Some(text) if text.starts_with('{') => rules(text, &field).map(|rules| Some(Landlock::Rules(rules))),
        Some(other) => {
            Err(Invalid::new(field, format!("{other:?} is neither \"true\", \"false\" nor rules in JSON")))
        }
    }
}

fn rules(text: &str, field: &str) -> Result<Rules, Invalid> {
    let written: Written = serde_json::from_str(text).map_err(|err| Invalid::new(field, err.to_string()))?;
    let mut rules = Rules { version: 1, ..Rules::default() };
    let asked = written.deny.is_some() || written.paths.is_some();
    if let Some(names) = &written.deny {
        rules.denied = bits(&RIGHTS, names, &format!("{field}: deny"), &mut rules.version)?;
    } else if asked {
        (rules.denied, rules.version) = DENIED;
    }
    for (index, Path { path, allow }) in written.paths.into_iter().flatten().enumerate() {
        if !path.starts_with('/') {
            let reason = format!("{path:?} is not an absolute path");
            return Err(Invalid::new(format!("{field}: paths[{index}].path"), reason));
        }
        let place = format!("{field}: paths[{index}].allow");
        let allowed = bits(&RIGHTS, &allow, &place, &mut 0)?;
        // What is allowed everywhere is not a rule's.
        rules.paths.push((path, allowed & rules.denied));
    }
    let Ports { bind, connect } = written.ports.unwrap_or(Ports { bind: None, connect: None });
    for (ports, right) in [(bind, port::BIND_TCP), (connect, port::CONNECT_TCP)] {
        let Some(ports) = ports else { continue };
        rules.version = rules.version.max(PORTS);
        rules.ports_denied |= right;
        rules.ports.extend(ports.into_iter().map(|port| (port, right)));
    }
    let scopes = written.scopes.unwrap_or_default();
    rules.scoped = bits(&SCOPES, &scopes, &format!("{field}: scopes"), &mut rules.version)?;
    Ok(rules)
}

/// The bits of `names`; `version` becomes the least that knows them.
fn bits(
    table: &[(&str, u64, u32)],
    names: &[String],
    field: &str,
    version: &mut u32,
) -> Result<u64, Invalid> {
    names.iter().try_fold(0, |bits, name| match table.iter().find(|(known, ..)| known == name) {
        Some((_, bit, since)) => {
            *version = (*version).max(*since);
            Ok(bits | bit)
        }
        None => {
            let meant = nearest(name, table.iter().map(|(known, ..)| *known));
            let hint = meant.map(|known| format!("; is {known} meant?")).unwrap_or_default();
            Err(Invalid::new(field, format!("there is no {name:?}{hint}")))
        }
    })
}

/// The names of rights to files, those that are no group.
fn names(bits: u64) -> String {
    let single = RIGHTS.iter().filter(|(_, bit, _)| bit.count_ones() == 1 && bits & bit != 0);
    single.map(|(name, ..)| *name).collect::<Vec<_>>().join(" ")
}

impl Display for Rules {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Rules { denied, paths, ports_denied, ports, scoped, version } = self;
        write!(f, "{version}: denied {}", names(*denied))?;
        for (path, allowed) in paths {
            write!(f, "; {path}: {}", names(*allowed))?;
        }
        for (right, name) in [(port::BIND_TCP, "bind"), (port::CONNECT_TCP, "connect")] {
            if ports_denied & right != 0 {
                let allowed = ports.iter().filter(|(_, rights)| rights & right != 0);
                let allowed: Vec<String> = allowed.map(|(port, _)| port.to_string()).collect();
                write!(
                    f,
                    "; {name} to {} alone",
                    if allowed.is_empty() { "none".into() } else { allowed.join(" ") }
                )?;
            }
        }
        for (bit, name) in [(scope::ABSTRACT_UNIX_SOCKET, "abstract names"), (scope::SIGNAL, "signals")] {
            if scoped & bit != 0 {
                write!(f, "; no {name} of others")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<Landlock>, String> {
        resolve(&BTreeMap::from([(annotation::LANDLOCK.into(), text.into())])).map_err(|err| err.to_string())
    }

    fn rules_of(text: &str) -> Rules {
        match of(text) {
            Ok(Some(Landlock::Rules(rules))) => rules,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_version_is_the_least_that_knows_all() {
        for (text, version) in [
            ("{}", 1),
            (r#"{"paths": []}"#, 3),
            (r#"{"deny": ["read-file"]}"#, 1),
            (r#"{"deny": ["refer"]}"#, 2),
            (r#"{"deny": ["ioctl-dev"]}"#, 5),
            (r#"{"ports": {"bind": []}}"#, 4),
            (r#"{"ports": {}}"#, 1),
            (r#"{"scopes": ["signal"]}"#, 6),
        ] {
            assert_eq!(rules_of(text).version, version, "{text}");
        }
    }

    #[test]
    fn what_no_rule_denies_is_no_rules_to_allow() {
        let rules =
            rules_of(r#"{"deny": ["write"], "paths": [{"path": "/a", "allow": ["read", "write-file"]}]}"#);
        assert_eq!(rules.paths, [("/a".into(), access::WRITE_FILE)]);
        assert_eq!(names(rules.denied & access::ENTRIES).split(' ').count(), 9);
    }

    #[test]
    fn the_plan_says_all_of_it() {
        let text = r#"{"deny": ["read-file", "execute"], "paths": [{"path": "/a", "allow": ["execute"]}],
            "ports": {"bind": [], "connect": [443, 80]}, "scopes": ["signal"]}"#;
        let said = "6: denied execute read-file; /a: execute; bind to none alone; \
                    connect to 443 80 alone; no signals of others";
        assert_eq!(rules_of(text).to_string(), said);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(of("true"), Ok(Some(Landlock::Outside)));
        assert_eq!(of("false"), Ok(None));
        for (text, says) in [
            ("yes", "neither"),
            ("{", "EOF"),
            (r#"{"pathes": []}"#, "pathes"),
            (
                r#"{"paths": [{"path": "/", "allow": ["reed"]}]}"#,
                "paths[0].allow: there is no \"reed\"; is read",
            ),
            (r#"{"ports": {"bind": [70000]}}"#, "70000"),
        ] {
            let said = of(text).err().unwrap_or_default();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
