//! Opening a file: what it is by its first bytes, and its text decompressed.

use crate::error::BadFile;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a file is by its first bytes. Its name says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Gzip,
    Zstandard,
    Parquet,
}

const BUFFER_BYTES: usize = 64 << 10;

/// Open a file and tell what it is.
pub(crate) fn open(path: &Path) -> Result<(File, Kind), BadFile> {
    let open = || -> std::io::Result<(File, Kind)> {
        let mut first = Vec::new();
        File::open(path)?.take(4).read_to_end(&mut first)?;
        let kind = match first[..] {
            [0x1F, 0x8B, ..] => Kind::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD] => Kind::Zstandard,
            [b'P', b'A', b'R', b'1'] => Kind::Parquet,
            _ => Kind::Plain,
        };
        Ok((File::open(path)?, kind))
    };
    open().map_err(|error| BadFile::io(path, "read", &error))
}

/// A file that counts the bytes that were taken from it.
struct Counted {
    file: File,
    taken: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(into)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The text of a file that is no Parquet; `taken` counts the bytes of the file, not of the text.
pub(crate) fn text(file: File, kind: Kind, taken: Arc<AtomicU64>) -> std::io::Result<Box<dyn BufRead + Send>> {
    let raw = BufReader::with_capacity(BUFFER_BYTES, Counted { file, taken });
    Ok(match kind {
        Kind::Plain | Kind::Parquet => Box::new(raw),
        Kind::Gzip => Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw))),
        Kind::Zstandard => {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::stream::read::Decoder::with_buffer(raw)?))
        }
    })
}
