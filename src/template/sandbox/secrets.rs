//! What a sandbox does not see of the machine's files unless it is shown: `secrets.txt`.

use super::places::{Kind, Placed, below};
use std::collections::BTreeMap;

/// The list.
const LIST: &str = include_str!("secrets.txt");

/// Its folders, with each of `homes` for `~`, and what in them is secret.
pub fn by_folder(homes: &[String]) -> impl Iterator<Item = (String, Names)> + '_ {
    let mut folders: BTreeMap<&'static str, Names> = BTreeMap::new();
    let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (folder, name) in lines.filter_map(|line| line.rsplit_once('/')) {
        let names = folders.entry(folder).or_default();
        if name.contains('*') {
            names.like.push(name);
        } else {
            names.plain.push(name);
        }
    }
    folders.into_iter().flat_map(move |(folder, mut names)| {
        names.plain.sort_unstable();
        let expanded: Vec<String> = match folder.strip_prefix('~') {
            Some(rest) => homes.iter().map(|home| format!("{}{rest}", home.trim_end_matches('/'))).collect(),
            None => vec![folder.to_string()],
        };
        expanded.into_iter().map(move |folder| (folder, names.clone()))
    })
}

/// Names of secrets in one folder.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// As they are, sorted.
    pub plain: Vec<&'static str>,
    /// With a `*`, which stands for any part.
    pub like: Vec<&'static str>,
}

impl Names {
    /// Whether a name is among them.
    pub fn have(&self, name: &str) -> bool {
        self.plain.binary_search(&name).is_ok() || self.like.iter().any(|pattern| is_like(name, pattern))
    }

    /// Whether the folder need not be listed to find them: it may be large, and they are few.
    pub fn are_few(&self) -> bool {
        self.like.is_empty() && self.plain.len() < 4
    }
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
    fn each_folder_is_there_once_with_all_of_its_names() {
        let homes = strings(&["/root", "/home/a/"]);
        let folders: Vec<(String, Names)> = by_folder(&homes).collect();
        let has = |path: &str| {
            let (folder, name) = path.rsplit_once('/').unwrap();
            folders.iter().any(|(other, names)| other == folder && names.have(name))
        };
        for path in
            ["/root/.ssh", "/home/a/.ssh", "/etc/shadow-", "/home/a/.config/gcloud", "/root/.zsh_history"]
        {
            assert!(has(path), "{path}");
        }
        assert!(!has("/root/.profile") && !has("/home/b/.ssh"));
        let mut names: Vec<&String> = folders.iter().map(|(folder, _)| folder).collect();
        names.sort();
        assert!(names.windows(2).all(|two| two[0] != two[1]));
        assert!(
            names
                .iter()
                .all(|folder| folder.starts_with('/') && !folder.contains("//") && !folder.contains('*'))
        );
        let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let expected: usize = lines.map(|line| if line.starts_with('~') { 2 } else { 1 }).sum();
        let count = |(_, names): &(String, Names)| names.plain.len() + names.like.len();
        assert_eq!(folders.iter().map(count).sum::<usize>(), expected);
        assert!(
            folders.iter().all(|(_, names)| names.like.iter().all(|name| name.matches('*').count() == 1))
        );
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
