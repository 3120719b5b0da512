//! How long the sentences of comments and documents are.

/// How many words a sentence may have.
pub const WORDS: usize = 25;

/// The sentences of a text that are longer, each with the number of the line where its paragraph
/// begins. `prose` is what of a line is prose; none ends a paragraph.
pub fn long_sentences<'a>(text: &'a str, prose: impl Fn(&'a str) -> Option<&'a str>) -> Vec<(usize, String)> {
    let mut long = Vec::new();
    let (mut paragraph, mut begin) = (String::new(), 0);
    for (number, line) in text.lines().enumerate().chain([(0, "")]) {
        let said = prose(line).map(str::trim).filter(|said| !said.is_empty());
        let begins_item = said.is_some_and(|said| ["- ", "* "].iter().any(|mark| said.starts_with(mark)));
        if said.is_none() || begins_item {
            let sentences = sentences(&paragraph).into_iter();
            long.extend(sentences.filter(|s| s.split_whitespace().count() > WORDS).map(|s| (begin, s)));
            paragraph.clear();
        }
        if let Some(said) = said {
            if paragraph.is_empty() {
                begin = number + 1;
            }
            paragraph.push_str(said);
            paragraph.push(' ');
        }
    }
    long
}

/// Its sentences. Names of code and the targets of links are a word each, whatever they hold; a
/// colon or semicolon ends a sentence as well.
fn sentences(paragraph: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    let without_code =
        paragraph.split('`').enumerate().map(|(n, part)| if n % 2 == 0 { part } else { "code" });
    let text: String = without_code.collect();
    for word in text.split_whitespace() {
        if let Some(last) = sentences.last_mut() {
            last.push_str(word);
            last.push(' ');
        }
        if word.trim_end_matches([')', '*', '"']).ends_with(['.', ':', ';', '?', '!']) {
            sentences.push(String::new());
        }
    }
    sentences
}
