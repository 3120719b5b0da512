//! Which containers `list` prints, and in which order.

use crate::nearest::nearest;
use crate::state::Status;
use std::collections::BTreeMap;
use std::str::FromStr;

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Key {
    /// By id
    Id,
    /// The one that was made first
    Created,
    /// The one whose process was let go first, after those that wait
    Started,
    /// In the order of a container's life
    Status,
}

/// What must be so of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    Status(Status),
    /// There is such an annotation; with this value, if one is given.
    Annotation(String, Option<String>),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        match text.split_once('=') {
            Some(("status", name)) => status(name).map(Filter::Status),
            Some(("annotation", value)) => Ok(match value.split_once('=') {
                Some((key, value)) => Filter::Annotation(key.into(), Some(value.into())),
                None => Filter::Annotation(value.into(), None),
            }),
            _ => Err("neither status=STATUS nor annotation=KEY[=VALUE]".into()),
        }
    }
}

fn status(name: &str) -> Result<Status, String> {
    let all = [Status::Creating, Status::Created, Status::Running, Status::Paused, Status::Stopped];
    all.into_iter().find(|status| status.to_string() == name).ok_or_else(|| {
        let names = all.map(|status| status.to_string());
        let meant = nearest(name, names.iter().map(String::as_str));
        let hint = meant.map(|name| format!("; is {name} meant?")).unwrap_or_default();
        format!("{name:?} is no status{hint}")
    })
}

/// Whether a container is chosen: of each kind of filter that is given, one holds.
pub(super) fn all(filters: &[Filter], status: Status, annotations: &BTreeMap<String, String>) -> bool {
    let holds = |filter: &Filter| match filter {
        Filter::Status(wanted) => *wanted == status,
        Filter::Annotation(key, value) => {
            annotations.get(key).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        }
    };
    let (of_status, others): (Vec<&Filter>, Vec<&Filter>) =
        filters.iter().partition(|filter| matches!(filter, Filter::Status(_)));
    [of_status, others].iter().all(|kind| kind.is_empty() || kind.iter().any(|filter| holds(filter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_kind_one_must_hold() {
        let annotations = BTreeMap::from([("team".to_string(), "red".to_string())]);
        let is = |filters: &[&str]| {
            let filters: Vec<Filter> = filters.iter().filter_map(|text| text.parse().ok()).collect();
            all(&filters, Status::Paused, &annotations)
        };
        assert!(is(&[]) && is(&["status=paused"]) && is(&["status=running", "status=paused"]));
        assert!(is(&["annotation=team"]) && is(&["annotation=team=red", "status=paused"]));
        assert!(!is(&["status=running"]) && !is(&["annotation=team=blue"]) && !is(&["annotation=x"]));
        assert!(!is(&["annotation=team", "status=stopped"]));
    }

    #[test]
    fn a_filter_that_there_is_not_is_refused() {
        let refused = |text: &str| text.parse::<Filter>().err().unwrap_or_default();
        assert_eq!(refused("state=x"), "neither status=STATUS nor annotation=KEY[=VALUE]");
        assert_eq!(refused("status=runing"), "\"runing\" is no status; is running meant?");
    }
}
