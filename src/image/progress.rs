//! What is said of layers while they are unpacked, on standard error: a bar, a line each, or
//! nothing.

use super::files::Section;
use super::source::Layer;
use crate::sys;
use indicatif::{HumanBytes, ProgressBar, ProgressBarIter, ProgressStyle};
use std::cell::Cell;

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A bar, if standard error is a terminal, otherwise nothing.
    Auto,
    /// A line a layer.
    Plain,
    None,
}

/// How much of the blobs was read.
pub(crate) struct Progress {
    bar: ProgressBar,
    kind: Kind,
    expected: Cell<usize>,
    begun: Cell<usize>,
    unpacked: Cell<usize>,
}

impl Progress {
    pub(crate) fn new(kind: Kind) -> Progress {
        let bar = if kind == Kind::Auto { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let template = "unpacking layer {prefix} {wide_bar} {bytes} of {total_bytes}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar, kind, expected: Cell::default(), begun: Cell::default(), unpacked: Cell::default() }
    }

    /// These are going to be unpacked.
    pub(crate) fn expect(&self, layers: &[&Layer]) {
        self.bar.set_length(layers.iter().map(|layer| layer.blob.size()).sum());
        self.expected.set(layers.len());
    }

    /// How many were.
    pub(crate) fn unpacked(&self) -> usize {
        self.unpacked.get()
    }

    /// The blob of a layer that is unpacked now, counted as it is read.
    pub(crate) fn counted(&self, layer: &Layer) -> ProgressBarIter<Section> {
        self.begin(layer, "unpacking");
        self.unpacked.set(self.unpacked.get() + 1);
        self.bar.wrap_read(layer.blob.clone())
    }

    /// It is there once more, and need not be unpacked again.
    pub(crate) fn skipped(&self, layer: &Layer) {
        self.begin(layer, "passing over");
        self.bar.inc(layer.blob.size());
    }

    fn begin(&self, layer: &Layer, what: &str) {
        self.begun.set(self.begun.get() + 1);
        let number = format!("{} of {}", self.begun.get(), self.expected.get());
        if self.kind == Kind::Plain {
            let size = HumanBytes(layer.blob.size());
            sys::to_stderr(&format!("{what} layer {number}: sha256:{}, {size}\n", layer.expected.diff_id));
        }
        self.bar.set_prefix(number);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
