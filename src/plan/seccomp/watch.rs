//! A filter that has a listener of this program's own, which answers as the filter would have.

use super::{passes, touches};
use crate::config::Invalid;
use crate::config::seccomp::{Action, Condition, Operator, Rule, Seccomp, Watch};
use crate::sys::socket::MARK;
use std::borrow::Cow;

/// What a filter answers in place of `action`. What ends a process ends it at once, and what is for
/// a tracer goes there.
pub(super) fn turned(action: Action, watch: Watch) -> Action {
    let is_told = match watch {
        Watch::Nothing => false,
        Watch::Refusals => action.refusal().is_some(),
        Watch::Calls => action.refusal().is_some() || [Action::ALLOW, Action::LOG].contains(&action),
    };
    if is_told { Action::NOTIFY } else { action }
}

/// The profile with what init needs to hand the listener over: a call that waits for the listener
/// before it is handed over would wait for ever.
pub(super) fn prepared(profile: &Seccomp) -> Result<Cow<'_, Seccomp>, Invalid> {
    let needs = |names: &[&str], why: &str| {
        if names.iter().any(|name| passes(profile, name)) {
            return Ok(());
        }
        Err(Invalid::new("linux.seccomp", format!("refuses {}, {why}", names.join(" and "))))
    };
    match profile.watch {
        Watch::Nothing => Ok(Cow::Borrowed(profile)),
        Watch::Refusals => {
            needs(&["sendmsg", "write"], "by which its listener is handed over")?;
            needs(&["read"], "by which init waits for its listener")?;
            let names = touches::names().filter(|name| passes(profile, name)).map(String::from).collect();
            Ok(Cow::Owned(told_of_files(profile.clone(), names)))
        }
        Watch::Calls => {
            needs(&["sendmsg"], "by which its listener is handed over")?;
            let mut profile = profile.clone();
            for rule in &mut profile.rules {
                rule.names.retain(|name| name != "sendmsg");
            }
            profile.rules.extend([sendmsg(Operator::Eq, Action::PASS), sendmsg(Operator::Ne, Action::ALLOW)]);
            Ok(Cow::Owned(profile))
        }
    }
}

/// With calls that name files for the listener, which says of some why the kernel refuses them.
fn told_of_files(mut profile: Seccomp, names: Vec<String>) -> Seccomp {
    for rule in &mut profile.rules {
        rule.names.retain(|name| !names.contains(name));
    }
    profile.rules.push(Rule { names, action: Action::NOTIFY, cases: vec![Vec::new()] });
    profile
}

fn sendmsg(op: Operator, action: Action) -> Rule {
    let is_marked = Condition { arg: 2, op, value: MARK as u64 };
    Rule { names: vec!["sendmsg".into()], action, cases: vec![vec![is_marked]] }
}
