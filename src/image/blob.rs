//! A layer's blob as a stream: hashed as it is, decompressed, hashed again.

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, BufReader, Read};

const BUFFER: usize = 256 << 10;

/// What a blob and the archive in it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The SHA-256 digest of the blob, where a manifest says it.
    pub blob: Option<String>,
    /// The SHA-256 digest of the archive, uncompressed.
    pub diff_id: String,
}

/// A reader that hashes what is read through it.
#[derive(Debug)]
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R) -> Self {
        Hashed { inner, hash: Sha256::new() }
    }

    /// The digest of all, after what remains is read too.
    fn finish(mut self) -> io::Result<(R, String)> {
        let mut buffer = vec![0; BUFFER];
        while self.read(&mut buffer)? > 0 {}
        Ok((self.inner, hex(&self.hash.finalize())))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

/// The SHA-256 digest of `data`, in hexadecimal digits.
pub(crate) fn digest(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The archive in a blob.
pub(crate) type Archive<R> = BufReader<Hashed<Decoder<BufReader<Hashed<R>>>>>;

/// Begin to read the archive in `blob`. What it is compressed with, its first bytes tell.
pub(crate) fn open<R: Read>(blob: R) -> io::Result<Archive<R>> {
    let blob = BufReader::with_capacity(BUFFER, Hashed::new(blob));
    Ok(BufReader::with_capacity(BUFFER, Hashed::new(Decoder::new(blob)?)))
}

/// Read both to their ends and compare them with what they must be.
pub(crate) fn finish<R: Read>(archive: Archive<R>, expected: &Expected) -> Result<()> {
    let (decoder, diff_id) = archive.into_inner().finish()?;
    let (_, blob) = decoder.into_inner().into_inner().finish()?;
    if expected.blob.as_ref().is_some_and(|digest| *digest != blob) {
        bail!("the blob's digest is sha256:{blob}");
    }
    if diff_id != expected.diff_id {
        bail!("its content's digest is sha256:{diff_id}, not sha256:{} (diff_id)", expected.diff_id);
    }
    Ok(())
}

/// What decompresses.
pub(crate) enum Decoder<R> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<Zstd<R>>),
}

impl<R: BufRead> Decoder<R> {
    fn new(mut source: R) -> io::Result<Self> {
        let start = source.fill_buf()?;
        // Frames of zstd that are skipped are 0x184D2A50 to 5F.
        let skipped = start.len() > 3 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18];
        Ok(if start.starts_with(&[0x1f, 0x8b]) {
            Decoder::Gzip(Box::new(MultiGzDecoder::new(source)))
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || skipped {
            Decoder::Zstd(Box::new(Zstd { source, frame: FrameDecoder::new() }))
        } else {
            Decoder::Plain(source)
        })
    }

    fn into_inner(self) -> R {
        match self {
            Decoder::Plain(source) => source,
            Decoder::Gzip(decoder) => decoder.into_inner(),
            Decoder::Zstd(decoder) => decoder.source,
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Decoder::Plain(source) => source.read(buffer),
            Decoder::Gzip(decoder) => decoder.read(buffer),
            Decoder::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// Frames of zstd one after another, as archives for lazy pulling have them.
pub(crate) struct Zstd<R> {
    source: R,
    frame: FrameDecoder,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.frame.can_collect() == 0 {
            if self.frame.is_finished() {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.next_frame()?;
            } else {
                let decoded =
                    self.frame.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBytes(BUFFER));
                decoded.map_err(|err| io::Error::new(io::ErrorKind::InvalidData, err.to_string()))?;
            }
        }
        self.frame.read(buffer)
    }
}

impl<R: BufRead> Zstd<R> {
    fn next_frame(&mut self) -> io::Result<()> {
        match self.frame.reset(&mut self.source) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = u64::from(length);
                if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(())
            }
            Err(err) => Err(io::Error::new(io::ErrorKind::InvalidData, err.to_string())),
            Ok(()) => Ok(()),
        }
    }
}

/// All of a small blob, checked against its digest and size.
pub(crate) fn read_small(blob: impl Read, digest: &str, size: u64, limit: u64) -> Result<Vec<u8>> {
    if size > limit {
        bail!("the blob has {size} bytes, more than {limit}");
    }
    let mut data = Vec::new();
    blob.take(size + 1).read_to_end(&mut data).context("read")?;
    if self::digest(&data) != digest {
        bail!("the blob's digest is sha256:{}", self::digest(&data));
    }
    Ok(data)
}
