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

/// Whether a source file with something of this name is there.
fn is_source(project: &Path, file: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(project.join("src").join(file)).unwrap_or_default();
    ["fn ", "const ", "struct ", "enum "].iter().any(|kind| text.contains(&format!("{kind}{name}")))
}

fn page(project: &Path, name: &str) -> String {
    // What is named may go on in the next line.
    let text = std::fs::read_to_string(project.join("docs").join(name)).unwrap();
    text.replace("\n  ", " ")
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, least) in
        [("conformance.md", 200), ("security.md", 200), ("reliability.md", 25), ("migrating.md", 35)]
    {
        let named = named(&page(project, name));
        assert!(named.len() >= least, "docs/{name}: only {} tests are found on the page", named.len());
        for (file, test) in named {
            let is_there = is_there(project, &file, &test) || is_source(project, &file, &test);
            assert!(is_there, "docs/{name}: {file} has no {test}");
        }
    }
}

#[test]
fn every_claim_of_security_names_a_test_and_files_that_are_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = page(project, "security.md");
    let defended = page.split("## What is defended").nth(1).unwrap();
    let defended = defended.split("## What is not defended yet").next().unwrap();
    // What is said of trust is no claim.
    const TRUST: [&str; 1] = ["CRIU runs as root"];
    let mut claims = 0;
    for claim in defended.split("\n- **").skip(1) {
        let title = claim.split("**").next().unwrap();
        let has_test = named(claim).iter().any(|(file, test)| is_there(project, file, test));
        assert!(has_test || TRUST.iter().any(|trust| title.starts_with(trust)), "{title:?} names no test");
        for span in
            claim.split('`').skip(1).step_by(2).filter(|span| span.ends_with(".rs") && span.contains('/'))
        {
            assert!(project.join("src").join(span).exists(), "{title:?}: there is no src/{span}");
        }
        claims += 1;
    }
    assert!(claims > 80, "only {claims} claims are found on the page");
}
