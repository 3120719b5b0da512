//! The name that somebody may have meant by another.

/// The most alike of `names`, if one is alike enough to be meant by `word`.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // As alike as a typing error leaves a word; two letters in a short one are another word.
    const ALIKE: f64 = 0.75;
    let word = word.to_lowercase();
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&word, &name.to_lowercase());
    let rated = names.into_iter().map(|name| (likeness(name), name));
    rated.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_alike_and_another_word_is_not() {
        let near = |word: &str| nearest(word, ["namespaces", "maskedPaths", "args", "type"]);
        assert_eq!(near("namespace"), Some("namespaces"));
        assert_eq!(near("maskedpaths"), Some("maskedPaths"));
        assert_eq!(near("argz"), Some("args"));
        assert_eq!(near("tpye"), Some("type"));
        assert_eq!(near("resources"), None);
        assert_eq!(near("as"), None);
    }
}
