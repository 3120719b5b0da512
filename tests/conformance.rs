//! Pages of docs/ name tests, and they must be there.
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

/// Whether a test of this name is in the file.
fn is_there(project: &Path, file: &str, name: &str) -> bool {
    let text = |folder: &str| std::fs::read_to_string(project.join(folder).join(file)).unwrap_or_default();
    if file.ends_with(".sh") {
        let head = format!("\ntest_{name}() {{");
        ["integration/tests", "integration/attacks"].iter().any(|folder| text(folder).contains(&head))
    } else {
        text("tests").contains(&format!("\nfn {name}() {{"))
    }
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (page, least) in [("conformance", 200), ("security", 100), ("reliability", 25)] {
        let text = std::fs::read_to_string(project.join(format!("docs/{page}.md"))).unwrap();
        // Names may go on in the next line.
        let named = named(&text.replace("\n  ", " "));
        assert!(named.len() >= least, "docs/{page}.md: only {} tests are found on the page", named.len());
        for (file, name) in named {
            // A claim may name what keeps it in the same form.
            let source = std::fs::read_to_string(project.join("src").join(&file)).unwrap_or_default();
            let is_source = ["fn ", "const ", "struct ", "enum "]
                .iter()
                .any(|kind| source.contains(&format!("{kind}{name}")));
            assert!(
                is_source || is_there(project, &file, &name),
                "docs/{page}.md: {file} has no test {name}"
            );
        }
    }
}
