//! The source, read as the compiler reads it: rooms, the paths that each file uses, its functions.
//! What is `#[cfg(test)]` is left out, that item alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A source file.
pub struct File {
    /// Its path below src.
    pub name: String,
    /// The first part of that.
    pub room: String,
    /// Its text.
    pub text: String,
    /// Paths that it uses, from the crate's root or that of another crate, each with `::` between
    /// its parts.
    pub paths: BTreeSet<String>,
    /// Its functions, of every kind: the name, and how many lines it has.
    pub functions: Vec<Function>,
    /// What is unsafe: blocks, functions, impls, and lints that let it be.
    pub unsafety: usize,
    /// Macros that are called, and the text of `cfg` attributes.
    pub words: BTreeSet<String>,
    /// `pub` items without a doc, and the file itself if it has none. Fields, variants and
    /// constants may go without: a name that says all needs no sentence.
    pub undocumented: Vec<String>,
    /// Lines of code: neither blank nor comments nor tests.
    pub lines: usize,
    /// Comments: how many lines, and those of them that are wider than the house allows, by number.
    pub comments: usize,
    pub wide: Vec<usize>,
}

/// How wide a comment may be, in columns.
pub const COMMENT_COLUMNS: usize = 100;

/// A function.
pub struct Function {
    pub name: String,
    /// From the line of its name to that of its closing brace, both counted.
    pub lines: usize,
    /// Whether others may call it.
    pub is_public: bool,
    pub parameters: usize,
    /// How many of those are bool.
    pub bools: usize,
}

fn found(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(found(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// All of src, but for main.rs and lib.rs, which are in no room.
pub fn all() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let name = |path: &Path| path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
    let files = found(&src).into_iter().map(|path| (name(&path), std::fs::read_to_string(&path).unwrap()));
    files.filter(|(name, _)| !["main.rs", "lib.rs"].contains(&name.as_str())).map(read).collect()
}

/// One file, by its path below src and its text.
pub fn read((name, text): (String, String)) -> File {
    let module: Vec<String> =
        name.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(String::from).collect();
    let parsed = syn::parse_file(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
    let mut reader = Reader { module, tests: Vec::new(), file: File::empty(name, text) };
    if !is_documented(&parsed.attrs) {
        reader.file.undocumented.push("the file".to_string());
    }
    reader.visit_file(&parsed);
    let Reader { mut file, tests, .. } = reader;
    let is_code = |(number, line): &(usize, &str)| {
        let line = line.trim_start();
        let is_test = tests.iter().any(|(first, last)| (*first..=*last).contains(&(number + 1)));
        !line.is_empty() && !line.starts_with("//") && !is_test
    };
    let comments = file.text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"));
    let wide = comments.clone().filter(|(_, line)| line.chars().count() > COMMENT_COLUMNS);
    (file.comments, file.wide) = (comments.clone().count(), wide.map(|(number, _)| number + 1).collect());
    file.lines = file.text.lines().enumerate().filter(is_code).count();
    file
}

impl File {
    fn empty(name: String, text: String) -> File {
        let room = name.split(['/', '.']).next().unwrap_or_default().to_string();
        File {
            name,
            room,
            text,
            paths: BTreeSet::new(),
            functions: Vec::new(),
            unsafety: 0,
            words: BTreeSet::new(),
            undocumented: Vec::new(),
            lines: 0,
            comments: 0,
            wide: Vec::new(),
        }
    }
}

struct Reader {
    /// Where in the tree of modules.
    module: Vec<String>,
    /// First and last lines of what is for tests only.
    tests: Vec<(usize, usize)>,
    file: File,
}

impl Reader {
    /// A path as it is written, from the root on.
    fn add(&mut self, parts: &[String]) {
        let mut at = self.module.clone();
        let mut rest = parts;
        match parts.first().map(String::as_str) {
            Some("crate") => (at, rest) = (Vec::new(), &parts[1..]),
            Some("self" | "super") => {
                while let Some(first) = rest.first().filter(|part| ["self", "super"].contains(&part.as_str()))
                {
                    if first == "super" {
                        at.pop();
                    }
                    rest = &rest[1..];
                }
            }
            _ => {
                self.file.paths.insert(parts.join("::"));
                return;
            }
        }
        at.extend(rest.iter().cloned());
        self.file.paths.insert(format!("crate::{}", at.join("::")));
    }

    fn function(&mut self, signature: &syn::Signature, is_public: bool, whole: proc_macro2::Span) {
        let inputs = signature.inputs.iter();
        let is_bool = |input: &&syn::FnArg| match input {
            syn::FnArg::Typed(typed) => {
                matches!(&*typed.ty, syn::Type::Path(path) if path.path.is_ident("bool"))
            }
            syn::FnArg::Receiver(_) => false,
        };
        self.file.functions.push(Function {
            name: signature.ident.to_string(),
            lines: whole.end().line - signature.ident.span().start().line + 1,
            is_public,
            parameters: signature.inputs.len(),
            bools: inputs.filter(is_bool).count(),
        });
        self.file.unsafety += usize::from(matches!(signature.safety, syn::Safety::Unsafe(_)));
    }

    /// Paths in the words of a macro, which are not parsed.
    fn words_of(&mut self, tokens: proc_macro2::TokenStream) {
        use proc_macro2::TokenTree;
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 || path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                other => {
                    self.end_of(&mut path);
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.words_of(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.end_of(&mut path);
    }

    fn end_of(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.add(path);
        }
        if path.first().is_some_and(|word| word == "unsafe") {
            self.file.unsafety += 1;
        }
        path.clear();
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) if name.ident == "self" => self.add(before),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
        }
    }
}

/// Whether an attribute is `#[cfg(test)]`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

fn is_documented(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("doc"))
}

/// The name of an item that others can use and that has no doc.
fn undocumented(item: &syn::Item) -> Option<String> {
    let (attributes, visibility, name) = match item {
        syn::Item::Enum(item) => (&item.attrs, &item.vis, &item.ident),
        syn::Item::Fn(item) => (&item.attrs, &item.vis, &item.sig.ident),
        syn::Item::Struct(item) => (&item.attrs, &item.vis, &item.ident),
        syn::Item::Trait(item) => (&item.attrs, &item.vis, &item.ident),
        syn::Item::Type(item) => (&item.attrs, &item.vis, &item.ident),
        _ => return None,
    };
    let is_ours = matches!(visibility, syn::Visibility::Public(_)) && !is_command_line(attributes);
    (is_ours && !is_documented(attributes)).then(|| name.to_string())
}

/// clap would print a doc of such a struct in place of the command's own text.
fn is_command_line(attributes: &[syn::Attribute]) -> bool {
    attributes
        .iter()
        .filter_map(|attribute| attribute.meta.require_list().ok())
        .any(|list| list.path.is_ident("derive") && list.tokens.to_string().ends_with("Args"))
}

fn is_public(visibility: &syn::Visibility) -> bool {
    !matches!(visibility, syn::Visibility::Inherited)
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            _ => &[],
        };
        if is_for_tests(attributes) {
            self.tests.push((item.span().start().line, item.span().end().line));
            return;
        }
        self.file.undocumented.extend(undocumented(item));
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if parts.len() > 1 {
            self.add(&parts);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        let name = call.path.segments.last().map(|part| part.ident.to_string()).unwrap_or_default();
        self.file.words.insert(format!("{name}!"));
        if name == "cfg" {
            self.file.words.insert(format!("cfg!({})", call.tokens));
        }
        self.words_of(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        if let Ok(list) = attribute.meta.require_list() {
            let text = list.tokens.to_string();
            let allows = attribute.path().is_ident("allow") || attribute.path().is_ident("expect");
            self.file.unsafety += usize::from(allows && text.contains("unsafe_code"));
            self.file.words.insert(format!("#[{}({text})]", attribute.path().segments[0].ident));
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.function(&item.sig, is_public(&item.vis), item.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if matches!(item.vis, syn::Visibility::Public(_)) && !is_documented(&item.attrs) {
            self.file.undocumented.push(item.sig.ident.to_string());
        }
        self.function(&item.sig, is_public(&item.vis), item.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        self.function(&item.sig, true, item.span());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        self.file.unsafety += usize::from(item.unsafety.is_some());
        visit::visit_item_impl(self, item);
    }

    fn visit_expr_unsafe(&mut self, block: &'a syn::ExprUnsafe) {
        self.file.unsafety += 1;
        visit::visit_expr_unsafe(self, block);
    }
}
