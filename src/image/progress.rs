//! A bar on standard error, if that is a terminal.

use super::files::Section;
use super::source::Layer;
use indicatif::{ProgressBar, ProgressBarIter, ProgressStyle};

/// How much of the blobs was read.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(layers: &[&Layer]) -> Progress {
        let bar = ProgressBar::new(layers.iter().map(|layer| layer.blob.size()).sum());
        let style = ProgressStyle::with_template("unpacking {wide_bar} {bytes} of {total_bytes}, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// The blob, counted as it is read.
    pub(crate) fn counted(&self, blob: Section) -> ProgressBarIter<Section> {
        self.0.wrap_read(blob)
    }

    /// Somebody else has unpacked it.
    pub(crate) fn skipped(&self, layer: &Layer) {
        self.0.inc(layer.blob.size());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
