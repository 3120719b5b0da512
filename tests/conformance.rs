//! docs/conformance.md names tests, and they must be there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::path::Path;

/// The tests that are named in backticks, as `FILE: NAME, NAME`.
fn named(page: &str) -> Vec<(String, String)> {
    let spans = page.split('`').skip(1).step_by(2);
    let of_file = spans.filter_map(|span| span.split_once(": "));
    let is_file = |name: &str| name.ends_with(".sh") || name.ends_with(".rs");
    of_file
        .filter(|(file, _)| is_file(file))
        .flat_map(|(file, names)| {
            names.split(',').map(move |name| (file.to_string(), name.trim().to_string()))
        })
        .filter(|(_, name)| !name.chars().any(char::is_uppercase))
        .collect()
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(project.join("docs/conformance.md")).unwrap();
    let named = named(&page);
    assert!(named.len() > 200, "only {} tests are found on the page", named.len());
    for (file, name) in named {
        let (folder, head) = if file.ends_with(".sh") {
            ("integration/tests", format!("\ntest_{name}() {{"))
        } else {
            ("tests", format!("\nfn {name}() {{"))
        };
        let text = std::fs::read_to_string(project.join(folder).join(&file)).unwrap_or_default();
        assert!(text.contains(&head), "docs/conformance.md: {file} has no test {name}");
    }
}
