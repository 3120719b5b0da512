//! Images, unpacked: what layers become, and what hostile ones do not become. Without root too, as
//! far as ordinary users go.
#![cfg(feature = "image")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

#[path = "support/image.rs"]
mod support;

use knarr::image::progress::Kind;
use knarr::image::{Request, Unpack, bundle};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use support::{Layer, Layout, Type, folder, gzip, sha256};

fn make(at: &Path, source: &str, unpack: Unpack) -> Result<Vec<String>, String> {
    let args = ["sh".to_string()];
    let request = Request {
        source,
        bundle: &at.join("bundle"),
        unpack,
        terminal: false,
        args: &args,
        progress: Kind::None,
    };
    bundle(&request).map(|made| made.warnings).map_err(|err| knarr::log::message(&err))
}

/// Unpack one image into a store; the folder of its only layer.
fn layer_of(at: &Path, archive: Vec<u8>) -> Result<PathBuf, String> {
    let digest = sha256(&archive);
    Layout::new(&at.join("img")).plain("t", &[archive], &json!({}));
    make(at, &format!("oci:{}:t", at.join("img").display()), Unpack::Store(at.join("store")))?;
    Ok(in_store(at, &digest))
}

/// The folder of a layer: one that takes something from those below it is known by them too.
fn in_store(at: &Path, digest: &str) -> PathBuf {
    let mut found = fs::read_dir(at.join("store/layers/sha256")).unwrap().map(|entry| entry.unwrap().path());
    found.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(digest)).unwrap()
}

/// Unpack an image into one folder.
fn copy_of(at: &Path, archives: &[Vec<u8>]) -> Result<PathBuf, String> {
    Layout::new(&at.join("img")).plain("t", archives, &json!({}));
    make(at, &format!("oci:{}:t", at.join("img").display()), Unpack::Copy)?;
    Ok(at.join("bundle/rootfs"))
}

/// All paths below, sorted.
fn tree(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            found.extend(tree(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        }
        found.push(name);
    }
    found.sort();
    found
}

fn is_whiteout(path: &Path) -> bool {
    let found = fs::symlink_metadata(path).unwrap();
    found.file_type().is_char_device() && found.rdev() == 0
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let file = fs::File::open(path).unwrap();
    knarr::sys::xattr::get(std::os::fd::AsFd::as_fd(&file), name).unwrap()
}

fn is_opaque(path: &Path) -> bool {
    let names = ["trusted.overlay.opaque", "user.overlay.opaque"];
    // In the eyes of an ordinary user there are no trusted ones.
    let names = if support::ids().0 == 0 { &names[..] } else { &names[1..] };
    names.iter().all(|name| attribute(path, name).as_deref() == Some(b"y"))
}

/// What an entry could reach if it left its layer.
fn outside(at: &Path) -> String {
    let path = at.join("outside");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("canary"), "alive").unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn no_entry_leaves_its_layer() {
    // Each makes a layer, given a folder outside; then the error, or what is in the layer.
    type Case = (&'static str, fn(&str) -> Layer, Result<&'static [&'static str], &'static str>);
    let table: [Case; 19] = [
        ("dots", |_| Layer::new().file("../x", ""), Err("leads out of the layer")),
        ("inner-dots", |_| Layer::new().file("a/../../x", ""), Err("leads out of the layer")),
        ("dots-at-the-end", |_| Layer::new().dir("a/.."), Err("leads out of the layer")),
        ("absolute", |_| Layer::new().file("/a//./x", ""), Ok(&["a", "a/x"])),
        ("through-link", |o| Layer::new().symlink("l", o).file("l/canary", "dead"), Ok(&[])),
        ("folder-through-link", |o| Layer::new().symlink("l", o).dir("l/x"), Ok(&[])),
        ("up-through-link", |_| Layer::new().symlink("l", "../../../..").file("l/x", ""), Ok(&["l", "x"])),
        (
            "links-through-links",
            |_| Layer::new().dir("d").symlink("d/up", "../..").symlink("k", "d/up/..").file("k/x", ""),
            Ok(&["d", "d/up", "k", "x"]),
        ),
        ("over-link", |o| Layer::new().symlink("f", &format!("{o}/canary")).file("f", "new"), Ok(&["f"])),
        ("folder-over-link", |o| Layer::new().symlink("d", o).dir("d").file("d/x", ""), Ok(&["d", "d/x"])),
        (
            "hard-link-up",
            |_| Layer::new().hard_link("h", "../../outside/canary"),
            Err("leads out of the layer"),
        ),
        ("hard-link-absolute", |o| Layer::new().hard_link("h", &format!("{o}/canary")), Err("ENOENT")),
        (
            "hard-link-through-link",
            |o| Layer::new().symlink("l", o).hard_link("h", "l/canary"),
            Err("ENOENT"),
        ),
        (
            "hard-link-to-link",
            |o| Layer::new().symlink("l", &format!("{o}/canary")).hard_link("h", "l").file("h", "new"),
            Ok(&["h", "l"]),
        ),
        (
            "whiteout-of-the-parent",
            |_| Layer::new().dir("a").file("a/.wh...", ""),
            Err("a whiteout of no name"),
        ),
        ("whiteout-of-itself", |_| Layer::new().dir("a").file("a/.wh..", ""), Err("a whiteout of no name")),
        ("whiteout-of-nothing", |_| Layer::new().file(".wh.", ""), Err("a whiteout of no name")),
        ("whiteout-through-link", |o| Layer::new().symlink("l", o).file("l/.wh.canary", ""), Ok(&[])),
        ("link-loop", |_| Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", ""), Err("ELOOP")),
    ];
    for (name, layer, expected) in table {
        for mode in ["store", "copy"] {
            let at = folder(&format!("image-leave-{name}-{mode}"));
            let beyond = outside(&at);
            let archive = layer(&beyond).bytes();
            let made = if mode == "store" { layer_of(&at, archive) } else { copy_of(&at, &[archive]) };
            assert_eq!(tree(Path::new(&beyond)), ["canary"], "{name}");
            assert_eq!(fs::read_to_string(at.join("outside/canary")).unwrap(), "alive", "{name}");
            match (made, expected) {
                (Ok(root), Ok(inside)) => {
                    // Without a list: what a link names is made inside.
                    assert!(inside.is_empty() || tree(&root) == inside, "{name}: {:?}", tree(&root));
                }
                (Err(err), Err(part)) => {
                    assert!(err.contains(part) && err.contains("entry \""), "{name}: {err}");
                    assert!(!at.join("bundle").exists(), "{name}: a bundle is left");
                    if mode == "store" {
                        assert_eq!(tree(&at.join("store")), ["layers", "layers/sha256", "tmp"], "{name}");
                    }
                }
                (made, _) => panic!("{name}: {made:?}"),
            }
        }
    }
}

#[test]
fn whoever_renames_meanwhile_changes_nothing_outside() {
    let at = folder("image-race");
    let beyond = outside(&at);
    let mut layer = Layer::new().dir("d");
    for n in 0..3000 {
        layer = layer.file(&format!("d/e/f{n}"), "x").file(&format!("d/e/.wh.f{}", n / 2), "");
    }
    let archive = layer.bytes();
    Layout::new(&at.join("img")).plain("t", &[Layer::new().file("d/e/z", "").bytes(), archive], &json!({}));
    let done = std::sync::atomic::AtomicBool::new(false);
    #[allow(clippy::disallowed_methods, reason = "a test, with the allocator of the C library")]
    let swapped = std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let (folder, link) = (at.join("bundle/rootfs/d/e"), at.join("bundle/rootfs/link"));
            let mut swapped = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::os::unix::fs::symlink(&beyond, &link);
                let exchange = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
                let here = nix::fcntl::AT_FDCWD;
                swapped += u32::from(nix::fcntl::renameat2(here, &folder, here, &link, exchange).is_ok());
            }
            swapped
        });
        // That it succeeds is not asked.
        let _ = make(&at, at.join("img").to_str().unwrap(), Unpack::Copy);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        swapper.join().unwrap()
    });
    assert!(swapped > 10, "only {swapped} times");
    assert_eq!(tree(Path::new(&beyond)), ["canary"]);
}

#[test]
fn whiteouts_are_kept_as_overlayfs_knows_them() {
    let layer = Layer::new()
        .dir("d/")
        .file("d/.wh.before", "")
        .file("d/.wh..wh..opq", "")
        .file("d/.wh.after", "")
        .dir("e")
        .file("e/.wh.gone", "")
        .file("d/new", "")
        .file(".wh.first", "")
        .dir("first")
        .file(".wh.second", "")
        .file("second/x", "")
        .dir("third")
        .file(".wh.third", "")
        .file("own", "")
        .file(".wh.own", "")
        .file(".wh..wh.plnk", "")
        .symlink("moved", "d")
        .file("moved/.wh.x", "")
        .file("own/.wh.x", "")
        .raw(Type::Symlink, b".wh.link", b"x", 0o777, b"");
    let root = layer_of(&folder("image-whiteouts"), layer.bytes()).unwrap();
    let names = ["d", "d/new", "e", "e/gone", "first", "link", "moved", "own", "second", "second/x", "third"];
    assert_eq!(tree(&root), names);
    assert!(is_whiteout(&root.join("e/gone")) && is_whiteout(&root.join("link")));
    // A folder in place of what was deleted does not show what lower layers have in it.
    for opaque in ["d", "first", "second", "third"] {
        assert!(is_opaque(&root.join(opaque)), "{opaque}");
    }
    assert!(!is_opaque(&root) && root.join("own").is_file());
}

#[test]
fn whiteouts_are_done_where_layers_are_copied() {
    let lower = Layer::new()
        .dir("d")
        .file("d/a", "")
        .file("d/b", "")
        .file("d/sub/c", "")
        .file("gone/x/y", "")
        .file("becomes", "file")
        .dir("was-dir/sub")
        .file("was-dir/sub/x", "")
        .dir("merged")
        .file("merged/lower", "")
        .file("kept/x", "");
    let upper = Layer::new()
        .file("d/b", "new")
        .file("d/sub/e", "")
        .file("d/.wh..wh..opq", "")
        .file(".wh.gone", "")
        .file(".wh.never", "")
        .dir("becomes")
        .file("becomes/x", "")
        .symlink("was-dir", "d")
        .dir("merged")
        .file(".wh.merged", "")
        .file("merged/upper", "")
        .symlink("moved", "kept")
        .file("moved/.wh.x", "")
        .file("none/.wh.x", "");
    let root = copy_of(&folder("image-copied"), &[lower.bytes(), upper.bytes()]).unwrap();
    let names = [
        "becomes",
        "becomes/x",
        "d",
        "d/b",
        "d/sub",
        "d/sub/e",
        "kept",
        "kept/x",
        "merged",
        "merged/upper",
        "moved",
        "was-dir",
    ];
    assert_eq!(tree(&root), names);
    assert_eq!(fs::read_to_string(root.join("d/b")).unwrap(), "new");
}

/// What a container sees of layers, top first: each path with all that stat(2) says but inode and
/// times, and what is in it.
fn seen(layers: &[PathBuf]) -> std::collections::BTreeMap<String, String> {
    fn walk(layers: &[PathBuf], at: &str, found: &mut std::collections::BTreeMap<String, String>) {
        let mut names = std::collections::BTreeSet::new();
        for layer in layers {
            names.extend(fs::read_dir(layer).unwrap().map(|entry| entry.unwrap().file_name()));
        }
        for name in names {
            let mut folders = Vec::new();
            for path in layers.iter().map(|layer| layer.join(&name)) {
                let Ok(stat) = fs::symlink_metadata(&path) else { continue };
                if !stat.is_dir() && !folders.is_empty() || is_whiteout(&path) {
                    break;
                }
                let (kind, mode) = (stat.mode() & nix::libc::S_IFMT, stat.mode() & 0o7777);
                let content = match kind {
                    nix::libc::S_IFREG => format!("{:?} {}", fs::read(&path).unwrap(), stat.nlink()),
                    nix::libc::S_IFLNK => format!("{:?}", fs::read_link(&path).unwrap()),
                    _ => stat.rdev().to_string(),
                };
                let shown = format!("{kind:o} {mode:o} {}:{} {content}", stat.uid(), stat.gid());
                let name = format!("{at}/{}", name.to_string_lossy());
                found.entry(name).or_insert(shown);
                if !stat.is_dir() {
                    break;
                }
                let opaque = is_opaque(&path);
                folders.push(path);
                if opaque {
                    break;
                }
            }
            walk(&folders, &format!("{at}/{}", name.to_string_lossy()), found);
        }
    }
    let mut found = std::collections::BTreeMap::new();
    walk(layers, "", &mut found);
    found
}

#[test]
fn the_store_and_a_copy_show_the_same() {
    let (uid, gid) = support::ids();
    let id = |name: &str, own: u64| if uid == 0 { name.to_string() } else { own.to_string() };
    let (other, group) = (id("1234", uid), id("4321", gid));
    let owned = |layer: Layer, name: &str, mode: u32| {
        let records: [(&str, &[u8]); 2] = [("uid", other.as_bytes()), ("gid", group.as_bytes())];
        layer.pax(&records).raw(Type::Directory, name.as_bytes(), b"", mode, b"")
    };
    let base = || {
        let layer =
            Layer::new().dir("usr").dir("usr/lib").file("usr/lib/old", "old").symlink("lib", "usr/lib");
        let layer = owned(layer, "home", 0o750)
            .file("home/f", "f")
            .symlink("abs", "/usr/lib")
            .symlink("l", "nowhere");
        let layer = owned(layer, "home/closed", 0o700)
            .file("home/closed/g", "g")
            .dir("d")
            .file("d/f", "f")
            .file("file", "");
        layer.raw(Type::Regular, b"d/setuid", b"", 0o4711, b"program").symlink("d/link", "f").dir("d/sub")
    };
    // Each is what lies on the base, and whether it is an error.
    type Case = (&'static str, Vec<Layer>, Result<(), &'static str>);
    let table: Vec<Case> = vec![
        ("through-symlink", vec![Layer::new().file("lib/new", "new")], Ok(())),
        ("through-absolute-symlink", vec![Layer::new().file("abs/x/new", "new")], Ok(())),
        ("through-dangling-symlink", vec![Layer::new().file("l/new", "new")], Ok(())),
        (
            "two-layers-through",
            vec![Layer::new().file("lib/a", "a"), Layer::new().file("lib/b", "b")],
            Ok(()),
        ),
        (
            "symlink-of-the-second",
            vec![Layer::new().symlink("k", "home/closed"), Layer::new().file("k/b", "b")],
            Ok(()),
        ),
        ("implied-folders", vec![Layer::new().file("home/closed/new", "")], Ok(())),
        (
            "implied-twice",
            vec![Layer::new().file("home/a", ""), Layer::new().file("home/closed/b", "")],
            Ok(()),
        ),
        (
            "implied-then-said",
            vec![Layer::new().file("home/a", "").raw(Type::Directory, b"home", b"", 0o711, b"")],
            Ok(()),
        ),
        (
            "said-then-implied",
            vec![
                Layer::new().raw(Type::Directory, b"home", b"", 0o711, b""),
                Layer::new().file("home/a", ""),
            ],
            Ok(()),
        ),
        ("below-a-file", vec![Layer::new().file("file/x", "")], Err("ENOTDIR")),
        ("folder-over-symlink", vec![Layer::new().dir("lib").file("lib/new", "new")], Ok(())),
        ("hard-link-below", vec![Layer::new().hard_link("d/second", "d/f")], Ok(())),
        ("hard-link-of-setuid", vec![Layer::new().hard_link("d/sub/second", "d/setuid")], Ok(())),
        ("hard-link-of-symlink", vec![Layer::new().hard_link("second", "d/link")], Ok(())),
        ("hard-link-through-symlink", vec![Layer::new().hard_link("second", "lib/old")], Ok(())),
        ("hard-link-of-a-folder", vec![Layer::new().hard_link("second", "d/sub")], Err("EPERM")),
        ("hard-link-of-nothing", vec![Layer::new().hard_link("second", "d/none")], Err("ENOENT")),
        (
            "hard-link-of-what-is-deleted",
            vec![Layer::new().file("d/.wh.f", "").hard_link("x", "d/f")],
            Err("ENOENT"),
        ),
        (
            "hard-link-in-the-third",
            vec![Layer::new().file("d/f", "new"), Layer::new().hard_link("x", "d/f")],
            Ok(()),
        ),
        ("whiteout-in-implied", vec![Layer::new().file("home/.wh.f", "")], Ok(())),
        ("whiteout-in-nothing", vec![Layer::new().file("none/at/.wh.f", "")], Ok(())),
        ("whiteout-through-symlink", vec![Layer::new().file("lib/.wh.old", "")], Ok(())),
        ("whiteout-then-through", vec![Layer::new().file(".wh.lib", "").file("lib/new", "new")], Ok(())),
        (
            "opaque-then-implied",
            vec![Layer::new().file("home/.wh..wh..opq", "").file("home/closed/x", "")],
            Ok(()),
        ),
        ("opaque-root-then-implied", vec![Layer::new().file(".wh..wh..opq", "").file("lib/x", "")], Ok(())),
        (
            "the-same-twice",
            vec![
                Layer::new().file("lib/x", ""),
                Layer::new().file(".wh.lib", ""),
                Layer::new().file("lib/x", ""),
            ],
            Ok(()),
        ),
    ];
    for (name, upper, expected) in table {
        let at = folder(&format!("image-agree-{name}"));
        let archives: Vec<Vec<u8>> = [base()].into_iter().chain(upper).map(Layer::bytes).collect();
        let copy = copy_of(&at, &archives);
        fs::rename(at.join("bundle"), at.join("copied")).ok();
        let _ = fs::remove_dir_all(at.join("img"));
        Layout::new(&at.join("img")).plain("t", &archives, &json!({}));
        let store =
            make(&at, &format!("oci:{}:t", at.join("img").display()), Unpack::Store(at.join("store")));
        match (copy, store, expected) {
            (Ok(_), Ok(_), Ok(())) => {
                let text = fs::read(at.join("bundle/config.json")).unwrap();
                let config: Value = serde_json::from_slice(&text).unwrap();
                let lower = config["annotations"]["org.knarr.overlay.lowerdir"].as_str().unwrap();
                let layers: Vec<PathBuf> = lower.split(':').map(PathBuf::from).collect();
                assert_eq!(seen(&layers), seen(&[at.join("copied/rootfs")]), "{name}");
            }
            (Err(copy), Err(store), Err(part)) => {
                assert!(copy.contains(part) && store.contains(part), "{name}: {copy}; {store}");
            }
            (copy, store, _) => panic!("{name}: {copy:?}; {store:?}"),
        }
    }
}

#[test]
fn attributes_of_files_are_those_of_the_layer() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(130));
    let layer = Layer::new()
        .raw(Type::Directory, b"./", b"", 0o711, b"")
        .raw(Type::Regular, b"setuid", b"", 0o4755, b"#!")
        .raw(Type::Directory, b"sticky", b"", 0o1777, b"")
        .file("sticky/later", "")
        .raw(Type::Directory, b"closed", b"", 0o500, b"")
        .file("closed/in", "")
        .raw(Type::Regular, b"not-\xff\xfe-utf8", b"", 0o600, b"")
        .raw(Type::Fifo, b"fifo", b"", 0o622, b"")
        .long(&long, "long")
        .pax(&[
            ("path", b"from pax\nwith a newline"),
            ("mtime", b"1234567890.987654321"),
            ("SCHILY.xattr.user.lines", b"a\nb\0c\n"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ])
        .file("short", "pax")
        .hard_link("second", "setuid")
        .file("twice", "one")
        .file("twice", "two")
        .dir("turns/sub")
        .file("turns/sub/x", "")
        .symlink("turns", "nowhere");
    let root = layer_of(&folder("image-attributes"), layer.bytes()).unwrap();
    let of = |name: &str| fs::symlink_metadata(root.join(name)).unwrap();
    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o7777, 0o711);
    assert_eq!(of("setuid").mode() & 0o7777, 0o4755);
    assert_eq!((of("sticky").mode() & 0o7777, of("sticky").mtime()), (0o1777, 1_000_000));
    assert_eq!((of("closed").mode() & 0o7777, of("closed").mtime()), (0o500, 1_000_000));
    assert_eq!(of("fifo").mode() & 0o7777, 0o622);
    assert_eq!((of("second").ino(), of("setuid").nlink()), (of("setuid").ino(), 2));
    assert_eq!(fs::read_to_string(root.join("twice")).unwrap(), "two");
    assert!(of("turns").is_symlink());
    assert_eq!(fs::read_to_string(root.join(long)).unwrap(), "long");
    assert!(root.join(std::ffi::OsStr::from_bytes(b"not-\xff\xfe-utf8")).is_file());
    let pax = root.join("from pax\nwith a newline");
    let found = fs::metadata(&pax).unwrap();
    assert_eq!((found.mtime(), found.mtime_nsec()), (1_234_567_890, 987_654_321));
    assert_eq!(attribute(&pax, "user.lines").unwrap(), b"a\nb\0c\n");
    // What tells overlayfs something is not for an image to say.
    assert_eq!(attribute(&pax, "user.overlay.opaque"), None);
    assert_eq!(attribute(&pax, "trusted.overlay.redirect"), None);
}

#[test]
fn names_of_their_own_entries_count_although_records_follow() {
    let (name, target) = ("n".repeat(150), "t".repeat(150));
    let own = |layer: Layer| {
        let link = format!("{target}\0");
        layer.raw(Type::GNULongLink, b"././@LongLink", b"", 0, link.as_bytes()).raw(
            Type::GNULongName,
            b"././@LongLink",
            b"",
            0,
            format!("{name}\0").as_bytes(),
        )
    };
    let before = own(Layer::new()).pax(&[("mtime", b"5"), ("path", b"other")]);
    let after = own(Layer::new().pax(&[("mtime", b"5"), ("path", b"other")]));
    for (number, layer) in [before, after].into_iter().enumerate() {
        let archive = layer.raw(Type::Symlink, b"short", b"short", 0o777, b"").bytes();
        let root = layer_of(&folder(&format!("image-own-names-{number}")), archive).unwrap();
        assert_eq!(tree(&root), [name.as_str()], "{number}");
        assert_eq!(fs::read_link(root.join(&name)).unwrap().as_os_str(), target.as_str());
        assert_eq!(fs::symlink_metadata(root.join(&name)).unwrap().mtime(), 5);
    }
}

#[test]
fn only_root_gets_devices_and_owners() {
    let at = folder("image-devices");
    let archive = Layer::new()
        .raw(Type::Char, b"null", b"", 0o666, b"")
        .raw(Type::Block, b"disk", b"", 0o660, b"")
        .pax(&[("uid", b"4000000000"), ("gid", b"123456")])
        .file("owned", "")
        .bytes();
    let digest = sha256(&archive);
    Layout::new(&at.join("img")).plain("t", &[archive], &json!({}));
    let warnings = make(&at, at.join("img").to_str().unwrap(), Unpack::Store(at.join("store"))).unwrap();
    let root = at.join("store/layers/sha256").join(digest);
    if support::ids().0 != 0 {
        assert_eq!(warnings, ["2 devices left out, as only root can make them"]);
        assert_eq!(tree(&root), ["owned"]);
        return;
    }
    let of = |name: &str| fs::symlink_metadata(root.join(name)).unwrap();
    assert!(of("null").file_type().is_char_device() && of("disk").file_type().is_block_device());
    assert_eq!((of("null").rdev(), of("null").mode() & 0o7777), (nix::libc::makedev(1, 3), 0o666));
    assert_eq!((of("owned").uid(), of("owned").gid()), (4_000_000_000, 123_456));
}

/// A header of the old GNU form, by hand: a piece of 5 bytes at 1 MiB of a file of 2 MiB.
fn gnu_sparse() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("old").unwrap();
    header.set_entry_type(Type::GNUSparse);
    header.set_mode(0o644);
    header.set_size(5);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.sparse[0].offset.copy_from_slice(b"00004000000\0");
    gnu.sparse[0].numbytes.copy_from_slice(b"00000000005\0");
    gnu.realsize.copy_from_slice(b"00010000000\0");
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, b"piece".as_slice()).unwrap();
    let mut bytes = archive.into_inner().unwrap();
    bytes.truncate(1024);
    bytes
}

#[test]
fn sparse_files_keep_their_holes() {
    let mut map = b"2\n1048576\n5\n2097152\n0\n".to_vec();
    map.resize(512, 0);
    map.extend(b"piece");
    let one: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"one"),
        ("GNU.sparse.realsize", b"2097152"),
    ];
    let zero: &[(&str, &[u8])] =
        &[("GNU.sparse.size", b"2097152"), ("GNU.sparse.map", b"1048576,5,2097152,0")];
    let zeroes = "\0".repeat(2 << 20);
    let rest = Layer::new()
        .pax(one)
        .raw(Type::Regular, b"GNUSparseFile.1/one", b"", 0o644, &map)
        .pax(zero)
        .file("zero", "piece")
        .file("zeroes", &zeroes);
    let archive = [gnu_sparse(), rest.bytes()].concat();
    let root = layer_of(&folder("image-sparse"), archive).unwrap();
    assert_eq!(tree(&root), ["old", "one", "zero", "zeroes"]);
    for name in ["old", "one", "zero", "zeroes"] {
        let data = fs::read(root.join(name)).unwrap();
        assert_eq!(data.len(), 2 << 20, "{name}");
        assert!(name == "zeroes" || &data[1 << 20..(1 << 20) + 5] == b"piece", "{name}");
        assert!(fs::metadata(root.join(name)).unwrap().blocks() < 256, "{name}: no hole");
    }
}

#[test]
fn what_is_damaged_is_refused_and_leaves_nothing() {
    let archive = Layer::new().file("a", &"data ".repeat(20_000)).bytes();
    let (good, packed) = (sha256(&archive), gzip(&archive));
    let cut = &packed[..packed.len() - 20];
    let mut flipped = packed.clone();
    flipped[40] ^= 1;
    let garbage = [archive.as_slice(), b"more"].concat();
    let other = sha256(b"other");
    // The blob, the digest of the archive, a change to the descriptor, the error.
    type Change = fn(&mut Value);
    let table: [(&[u8], &str, Change, &str); 9] = [
        (&packed, &good, |_| {}, ""),
        (cut, &good, |_| {}, "layer sha256:"),
        (&flipped, &good, |_| {}, "layer sha256:"),
        (&packed, &other, |_| {}, "(diff_id)"),
        (&garbage, &good, |_| {}, "(diff_id)"),
        (&archive[..archive.len() / 2], &good, |_| {}, "it ends in the middle of a file"),
        (b"not an archive", &good, |_| {}, "it ends in the middle of a header"),
        (&packed, &good, |blob| blob["size"] = json!(7), "bytes, not 7 as its descriptor says"),
        (&packed, &good, |blob| blob["digest"] = json!(format!("sha512:{}", "0".repeat(128))), "only sha256"),
    ];
    for (number, (blob, diff_id, change, error)) in table.into_iter().enumerate() {
        let at = folder(&format!("image-damaged-{number}"));
        let mut layout = Layout::new(&at.join("img"));
        let mut descriptor = layout.blob("layer.v1.tar+gzip", blob);
        change(&mut descriptor);
        layout.image("t", &[descriptor], &[diff_id.to_string()], &json!({}));
        let made = make(&at, at.join("img").to_str().unwrap(), Unpack::Store(at.join("store")));
        if error.is_empty() {
            made.unwrap();
            continue;
        }
        let err = made.unwrap_err();
        assert!(err.contains(error), "{number}: {err}");
        assert!(!at.join("bundle").exists(), "{number}");
        assert!(!at.join("store").exists() || tree(&at.join("store")).len() == 3, "{number}");
    }
}

#[test]
fn a_blob_with_another_digest_is_refused() {
    let at = folder("image-digest");
    let mut layout = Layout::new(&at.join("img"));
    let archive = Layer::new().file("a", "1").bytes();
    let descriptor = layout.blob("layer.v1.tar", &archive);
    let other = Layer::new().file("a", "2").bytes();
    let digest = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:").to_string();
    fs::write(at.join("img/blobs/sha256").join(digest), &other).unwrap();
    layout.image("t", &[descriptor], &[sha256(&other)], &json!({}));
    let err = make(&at, at.join("img").to_str().unwrap(), Unpack::Copy).unwrap_err();
    assert!(err.contains("the blob's digest is sha256:"), "{err}");
    assert!(!at.join("bundle").exists());
}

#[test]
fn sources_that_are_no_image_are_named() {
    let at = folder("image-sources");
    let mut layout = Layout::new(&at.join("img"));
    for tag in ["a", "b"] {
        layout.plain(tag, &[Layer::new().file(tag, "").bytes()], &json!({}));
    }
    fs::create_dir(at.join("empty")).unwrap();
    fs::write(at.join("packed"), gzip(b"x")).unwrap();
    fs::write(at.join("text"), "x".repeat(600)).unwrap();
    let table = [
        ("oci:img", "there is more than one image; name a tag: a, b"),
        ("oci:img:c", "there is no tag \"c\"; there are: a, b"),
        ("docker-archive:img", "manifest.json is missing: not of docker save"),
        ("empty", "neither an OCI layout (no index.json) nor of docker save (no manifest.json)"),
        ("none", "no such file or directory (ENOENT)"),
        ("/dev/null", "neither a folder nor a file"),
        ("packed", "the archive is compressed; decompress it first"),
        ("text", "not a valid tar archive"),
    ];
    for (source, error) in table {
        let (form, path) = source.split_once(':').map_or(("", source), |(form, path)| (form, path));
        let form = if form.is_empty() { String::new() } else { format!("{form}:") };
        let source = format!("{form}{}", at.join(path).display());
        let err = make(&at, &source, Unpack::Copy).unwrap_err();
        assert!(err.starts_with(&source) && err.contains(error), "{source}: {err}");
        assert!(!at.join("bundle").exists());
    }
    make(&at, &format!("{}:b", at.join("img").display()), Unpack::Copy).unwrap();
    let err = make(&at, &format!("{}:b", at.join("img").display()), Unpack::Copy).unwrap_err();
    assert!(err.contains("config.json exists; remove it first"), "{err}");
}

#[test]
fn one_tag_for_several_machines_and_artifacts() {
    let at = folder("image-machines");
    let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let mut layout = Layout::new(&at.join("img"));
    for name in ["other", "own"] {
        layout.plain("latest", &[Layer::new().file(name, "").bytes()], &json!({}));
    }
    let path = at.join("img/index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["manifests"][0]["platform"] = json!({ "os": "linux", "architecture": "s390x" });
    index["manifests"][1]["platform"] = json!({ "os": "linux", "architecture": here });
    fs::write(&path, index.to_string()).unwrap();
    for source in ["oci:img", "oci:img:latest"] {
        let source = source.replace("img", at.join("img").to_str().unwrap());
        make(&at, &source, Unpack::Copy).unwrap();
        assert_eq!(tree(&at.join("bundle/rootfs")), ["own"], "{source}");
        fs::remove_dir_all(at.join("bundle")).unwrap();
    }
    let layout = Layout::new(&at.join("artifact"));
    let config = layout.blob("empty.v1+json", b"{}");
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [] });
    let descriptor = layout.blob("manifest.v1+json", manifest.to_string().as_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(at.join("artifact/index.json"), index.to_string()).unwrap();
    let err = make(&at, at.join("artifact").to_str().unwrap(), Unpack::Copy).unwrap_err();
    assert!(err.contains("it is an artifact, not an image"), "{err}");
    let err = make(&at, "docker://debian", Unpack::Copy).unwrap_err();
    assert!(
        err.contains("knarr does not pull images: skopeo copy docker://debian:latest oci:debian:latest"),
        "{err}"
    );
}

/// The `process.user` of an image with these layers.
fn user_of(name: &str, layers: &[Vec<u8>], user: &str) -> Result<Value, String> {
    let at = folder(name);
    Layout::new(&at.join("img")).plain("t", layers, &json!({ "User": user }));
    make(&at, at.join("img").to_str().unwrap(), Unpack::Store(at.join("store")))?;
    let config: Value = serde_json::from_slice(&fs::read(at.join("bundle/config.json")).unwrap()).unwrap();
    Ok(config["process"]["user"].clone())
}

#[test]
fn users_are_looked_up_across_the_layers() {
    let base = Layer::new()
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:7:8::/:/bin/sh\n")
        .file("etc/group", "root:x:0:\nweb:x:8:\nlogs:x:9:web\n")
        .bytes();
    let more = Layer::new().dir("opt").bytes();
    let web = user_of("image-users-1", &[base.clone(), more.clone()], "web").unwrap();
    assert_eq!(web, json!({ "uid": 7, "gid": 8, "additionalGids": [9] }));
    // A link into another layer, and one that leads nowhere outside.
    let linked = Layer::new().dir("etc").symlink("etc/passwd", "../../opt/accounts").bytes();
    let accounts = Layer::new().dir("opt").file("opt/accounts", "web:x:70:80::/:/bin/sh\n").bytes();
    let web = user_of("image-users-2", &[base.clone(), accounts, linked], "web").unwrap();
    assert_eq!(web, json!({ "uid": 70, "gid": 80, "additionalGids": [9] }));
    let host = Layer::new().dir("etc").symlink("etc/passwd", "/proc/self/../../../etc/passwd").bytes();
    let err = user_of("image-users-3", &[base.clone(), host], "root").unwrap_err();
    assert!(err.contains("user \"root\" is not in the image's /etc/passwd"), "{err}");
    // Deleted, hidden, or no file.
    for (number, hiding) in [
        Layer::new().file("etc/.wh.passwd", ""),
        Layer::new().dir("etc").file("etc/.wh..wh..opq", ""),
        Layer::new().file(".wh.etc", ""),
        Layer::new().file(".wh..wh..opq", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let layers = [base.clone(), hiding.bytes(), more.clone()];
        let err = user_of(&format!("image-users-hidden-{number}"), &layers, "web").unwrap_err();
        assert!(err.contains("user \"web\" is not in the image's /etc/passwd"), "{number}: {err}");
    }
    let fifo = Layer::new().raw(Type::Fifo, b"etc/passwd", b"", 0o644, b"").bytes();
    let err = user_of("image-users-4", &[base, fifo], "web").unwrap_err();
    assert!(err.contains("the image's /etc/passwd"), "{err}");
}

#[test]
fn layers_are_unpacked_once_and_stores_are_the_owners_alone() {
    let at = folder("image-store");
    let (a, b) = (Layer::new().file("a", "").bytes(), Layer::new().file("b", "").bytes());
    let source = at.join("img");
    Layout::new(&source).plain("t", &[a.clone(), b.clone(), a.clone()], &json!({}));
    let store = at.join("store:with\\marks");
    let make = |name: &str| {
        let args = ["sh".to_string()];
        let (source, unpack) = (source.to_str().unwrap(), Unpack::Store(store.clone()));
        let request = Request {
            source,
            bundle: &at.join(name),
            unpack,
            terminal: false,
            args: &args,
            progress: Kind::None,
        };
        bundle(&request).map(|made| made.warnings).map_err(|err| knarr::log::message(&err))
    };
    // What somebody left who was killed.
    fs::create_dir_all(store.join("tmp").join(sha256(&a)).join("half/way")).unwrap();
    fs::create_dir_all(store.join("tmp/of-another")).unwrap();
    for folder in [&store, &store.join("tmp")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    make("one").unwrap();
    assert_eq!(tree(&store.join("tmp")), [""; 0]);
    let layer = store.join("layers/sha256").join(sha256(&a));
    let inode = fs::metadata(&layer).unwrap().ino();
    assert_eq!(tree(&layer), ["a"]);
    make("two").unwrap();
    assert_eq!(fs::metadata(&layer).unwrap().ino(), inode);
    // The upper of two equal ones, and the marks of the syntax escaped.
    let config: Value = serde_json::from_slice(&fs::read(at.join("two/config.json")).unwrap()).unwrap();
    let prefix = at.to_str().unwrap().to_string() + "/store\\:with\\\\marks/layers/sha256/";
    let lowerdir = format!("{prefix}{}:{prefix}{}", sha256(&a), sha256(&b));
    assert_eq!(config["annotations"]["org.knarr.overlay.lowerdir"], lowerdir);
    fs::set_permissions(&store, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(make("three").unwrap_err().contains("the store must be yours and have mode 0700"));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the program under test is a child")]
fn many_at_once_unpack_a_layer_once() {
    let at = folder("image-at-once");
    let layers: Vec<Vec<u8>> = (0..6)
        .map(|n| {
            let add = |layer: Layer, m: u32| layer.file(&format!("d{n}/f{m}"), &m.to_string().repeat(500));
            (0..200).fold(Layer::new().dir(&format!("d{n}")), add).bytes()
        })
        .collect();
    let mut layout = Layout::new(&at.join("img"));
    layout.plain("up", &layers, &json!({ "Cmd": ["sh"] }));
    let reversed: Vec<Vec<u8>> = layers.iter().rev().cloned().collect();
    layout.plain("down", &reversed, &json!({ "Cmd": ["sh"] }));
    let start = |n: usize| {
        let tag = ["up", "down"][n % 2];
        std::process::Command::new(env!("CARGO_BIN_EXE_knarr"))
            .args(["bundle", "--image", &format!("oci:{}:{tag}", at.join("img").display())])
            .args(["--store", at.join("store").to_str().unwrap(), at.join(format!("b{n}")).to_str().unwrap()])
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..8).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_dir(at.join("store/layers/sha256")).unwrap().count(), 6);
    assert_eq!(tree(&at.join("store/tmp")), [""; 0]);
    for layer in &layers {
        assert_eq!(tree(&at.join("store/layers/sha256").join(sha256(layer))).len(), 201);
    }
}

/// Numbers that look random and are the same each time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// Give each block that looks like a header the sum that it should have.
fn sum_up(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

#[test]
fn damaged_archives_are_errors_or_files_inside() {
    let layer = Layer::new()
        .dir("d")
        .file("d/f", "data")
        .symlink("l", "d")
        .file("l/g", "more")
        .hard_link("h", "d/f")
        .pax(&[("mtime", b"-9.5"), ("size", b"4"), ("SCHILY.xattr.user.x", b"y")])
        .file("p", "four")
        .pax(&[("GNU.sparse.size", b"9000"), ("GNU.sparse.map", b"0,2,4096,2")])
        .file("s", "data")
        .long(&"n".repeat(150), "")
        .file("d/.wh.x", "")
        .file(".wh..wh..opq", "");
    let archive = [gnu_sparse(), layer.bytes()].concat();
    let at = folder("image-mutated");
    let beyond = outside(&at);
    let mut numbers = Numbers(1);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..200 {
        let mut damaged = archive.clone();
        for _ in 0..=numbers.below(4) {
            let block = numbers.below(damaged.len() / 512) * 512;
            // Where names, numbers and types are, more often than elsewhere.
            let place = [numbers.below(16), 100 + numbers.below(65), numbers.below(512)][numbers.below(3)];
            let value = [b'0', b'7', b'/', b'.', 0x80, 0xff, 0, numbers.below(256) as u8][numbers.below(8)];
            damaged[block + place] = value;
        }
        sum_up(&mut damaged);
        match copy_of(&at, &[damaged]) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
        assert_eq!(tree(Path::new(&beyond)), ["canary"]);
        for made in ["bundle", "img"] {
            let _ = fs::remove_dir_all(at.join(made));
        }
    }
    assert!(good > 10 && bad > 10, "{good} unpacked, {bad} refused");
}
