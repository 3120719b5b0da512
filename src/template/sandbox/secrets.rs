//! What a sandbox does not see of the machine's files unless it is shown: `secrets.txt`.

use super::places::{Kind, Placed, below};

/// The list.
const LIST: &str = include_str!("secrets.txt");

/// Its paths, with each of `homes` for `~`. The last name may hold a `*`.
pub fn patterns<'a>(homes: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(move |line| match line.strip_prefix('~') {
        Some(rest) => homes.iter().map(|home| format!("{}{rest}", home.trim_end_matches('/'))).collect(),
        None => vec![line.to_string()],
    })
}

/// Whether a name is one that a pattern with at most one `*` stands for.
pub fn is_like(name: &str, pattern: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else { return name == pattern };
    name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
}

/// What becomes of the secrets of this machine with these to be shown.
#[derive(Debug, Default)]
pub struct Hidden {
    /// Paths that are hidden.
    pub paths: Vec<String>,
    /// Those of `shown` that lie in one that is hidden.
    pub inside: Vec<String>,
    /// Those of `shown` that are not hidden at all.
    pub idle: Vec<String>,
}

/// Take what is shown out of the secrets that are there.
pub fn hidden(mut secrets: Vec<String>, shown: &[String]) -> Hidden {
    secrets.sort();
    secrets.dedup();
    // What lies in another one is hidden with it.
    let mut paths: Vec<String> = Vec::new();
    for secret in secrets {
        if paths.last().is_none_or(|last| below(&secret, last).is_none()) {
            paths.push(secret);
        }
    }
    let mut hidden = Hidden::default();
    for shown in shown {
        if paths.iter().any(|path| below(shown, path).is_some_and(|rest| !rest.is_empty())) {
            hidden.inside.push(shown.clone());
        } else if !paths.iter().any(|path| below(path, shown).is_some()) {
            hidden.idle.push(shown.clone());
        }
    }
    paths.retain(|path| !shown.iter().any(|shown| below(path, shown).is_some()));
    hidden.paths = paths;
    hidden
}

/// The same secrets where something bound shows them by another name. What is bound itself, and
/// what lies in a secret, was named by the caller.
pub fn also_at(secrets: &[String], placed: &[Placed]) -> Vec<String> {
    let mut others = Vec::new();
    for place in placed {
        let Kind::Bind { source, .. } = &place.kind else { continue };
        for secret in secrets {
            if let Some(rest @ [_, ..]) = below(secret, source).map(str::as_bytes)
                && *source != place.path
            {
                others.push(format!("{}/{}", place.path, String::from_utf8_lossy(rest)));
            }
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn homes_stand_for_a_tilde() {
        let all: Vec<String> = patterns(&strings(&["/root", "/home/a/"])).collect();
        for path in ["/root/.ssh", "/home/a/.ssh", "/etc/shadow*", "/home/a/.config/gcloud"] {
            assert!(all.iter().any(|known| known == path), "{path}");
        }
        assert!(all.iter().all(|path| path.starts_with('/') && !path.contains("//")));
        let is_last = |path: &str| path.rfind('*').is_none_or(|at| !path[at..].contains('/'));
        assert!(all.iter().all(|path| is_last(path) && path.matches('*').count() < 2));
    }

    #[test]
    fn a_star_stands_for_any_part() {
        assert!(is_like("ssh_host_rsa_key", "ssh_host_*_key") && is_like("shadow", "shadow*"));
        assert!(!is_like("ssh_host_rsa_key.pub", "ssh_host_*_key") && !is_like("sha", "shadow*"));
        assert!(!is_like("aa", "aa*aa") && is_like("x", "x") && !is_like("xy", "x"));
    }

    #[test]
    fn what_is_shown_is_not_hidden() {
        let secrets = || strings(&["/h/.ssh", "/etc/shadow", "/h/.ssh/agent", "/h/.aws"]);
        let of = |shown: &[&str]| hidden(secrets(), &strings(shown));
        assert_eq!(of(&[]).paths, ["/etc/shadow", "/h/.aws", "/h/.ssh"]);
        assert_eq!(of(&["/h"]).paths, ["/etc/shadow"]);
        let inside = of(&["/h/.ssh/known_hosts", "/usr"]);
        assert_eq!(inside.paths.len(), 3);
        assert_eq!(inside.inside, ["/h/.ssh/known_hosts"]);
        assert_eq!(inside.idle, ["/usr"]);
    }
}
