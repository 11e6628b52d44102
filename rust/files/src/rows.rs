//! Rows: lines of JSON and rows of tables, one batch at a time, each with its place in the file.

use crate::compressed::{self, Kind};
use crate::error::BadFile;
use crate::limits::{BATCH_BYTES, BATCH_ROWS, MAX_LINE_BYTES};
use crate::tables::Table;
use std::io::BufRead;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One row, as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row<'b> {
    /// The text of a JSON object.
    Line(&'b [u8]),
    /// The texts of the columns that were asked for, in that order; `None` where null or absent.
    Cells(&'b Cells<'b>),
}

/// The cells of a table's row.
#[derive(Debug)]
pub(crate) struct Cells<'b> {
    text: &'b [u8],
    ranges: [Option<Range<usize>>; MAX_COLUMNS],
}

/// Columns that a table may be asked for.
pub(crate) const MAX_COLUMNS: usize = 5;

impl<'b> Cells<'b> {
    pub(crate) fn get(&self, column: usize) -> Option<&'b [u8]> {
        self.ranges[column].clone().map(|range| &self.text[range])
    }
}

#[derive(Clone, Debug)]
enum Span {
    Line(Range<usize>),
    Cells([Option<Range<usize>>; MAX_COLUMNS]),
}

/// A batch of rows. Emptied and filled again, it needs no new memory.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    text: Vec<u8>,
    spans: Vec<(u64, Span)>,
}

impl Rows {
    /// No rows yet, and room for a batch.
    pub(crate) fn for_a_batch() -> Self {
        Self { text: Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 2), spans: Vec::with_capacity(BATCH_ROWS) }
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// The number of a row in its file, from 1.
    pub(crate) fn number(&self, at: usize) -> u64 {
        self.spans[at].0
    }

    /// Hand one row to `then`.
    pub(crate) fn with<R>(&self, at: usize, then: impl FnOnce(Row<'_>) -> R) -> R {
        match &self.spans[at].1 {
            Span::Line(range) => then(Row::Line(&self.text[range.clone()])),
            Span::Cells(ranges) => then(Row::Cells(&Cells { text: &self.text, ranges: ranges.clone() })),
        }
    }

    /// Append the row of a table.
    pub(crate) fn push_cells<'c>(&mut self, number: u64, cells: impl Iterator<Item = Option<&'c [u8]>>) {
        let mut ranges = [const { None }; MAX_COLUMNS];
        for (range, cell) in ranges.iter_mut().zip(cells) {
            if let Some(cell) = cell {
                *range = Some(self.text.len()..self.text.len() + cell.len());
                self.text.extend_from_slice(cell);
            }
        }
        self.spans.push((number, Span::Cells(ranges)));
    }
}

enum Form {
    Lines { text: Box<dyn BufRead + Send>, number: u64 },
    Table(Box<Table>),
}

/// The rows of a file, in order.
pub(crate) struct RowReader {
    path: PathBuf,
    form: Form,
    taken: Arc<AtomicU64>,
}

impl RowReader {
    /// Open a file of rows; of a table only these columns are read, and those that are `required` must be there.
    pub(crate) fn open(path: &Path, columns: &'static [&'static str], required: usize) -> Result<Self, BadFile> {
        let taken = Arc::new(AtomicU64::new(0));
        let (file, kind) = compressed::open(path)?;
        let form = match kind {
            Kind::Parquet => Form::Table(Box::new(Table::open(path, file, columns, required, Arc::clone(&taken))?)),
            _ => {
                let text = compressed::text(file, kind, Arc::clone(&taken));
                Form::Lines { text: text.map_err(|error| BadFile::io(path, "read", &error))?, number: 0 }
            }
        };
        Ok(Self { path: path.to_owned(), form, taken })
    }

    /// Counts the bytes of the file that were taken so far.
    pub(crate) fn taken(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.taken)
    }

    /// Append the next row; false at the end of the file. Blank lines are no rows.
    pub(crate) fn next(&mut self, into: &mut Rows) -> Result<bool, BadFile> {
        match &mut self.form {
            Form::Table(table) => table.next(into),
            Form::Lines { text, number } => loop {
                let start = into.text.len();
                *number += 1;
                let failed = |error: &std::io::Error| {
                    let why = match error.kind() {
                        std::io::ErrorKind::UnexpectedEof => "the compressed data ends too early".to_owned(),
                        _ => format!("cannot be read: {error}"),
                    };
                    BadFile::new(&self.path, Some(*number), None, why)
                };
                if !read_line(text.as_mut(), &mut into.text).map_err(|error| failed(&error))? {
                    return Ok(false);
                }
                if into.text.len() - start > MAX_LINE_BYTES {
                    let why = format!("a line of more than {MAX_LINE_BYTES} bytes");
                    return Err(BadFile::new(&self.path, Some(*number), None, why));
                }
                if *number == 1 && into.text[start..].starts_with(b"\xEF\xBB\xBF") {
                    into.text.drain(start..start + 3);
                }
                if into.text[start..].iter().all(u8::is_ascii_whitespace) {
                    into.text.truncate(start);
                    continue;
                }
                into.spans.push((*number, Span::Line(start..into.text.len())));
                return Ok(true);
            },
        }
    }

    /// Pass over rows, and tell how many there were.
    pub(crate) fn skip(&mut self, count: u64) -> Result<u64, BadFile> {
        let mut rows = Rows::default();
        for done in 0..count {
            rows.clear();
            if !self.next(&mut rows)? {
                return Ok(done);
            }
        }
        Ok(count)
    }
}

/// Append a line without its end; false at the end of the file. Gives up soon after `MAX_LINE_BYTES`.
fn read_line(text: &mut dyn BufRead, into: &mut Vec<u8>) -> std::io::Result<bool> {
    let start = into.len();
    let mut any = false;
    loop {
        let ready = match text.fill_buf() {
            Ok(ready) => ready,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if ready.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = memchr::memchr(b'\n', ready);
        into.extend_from_slice(&ready[..end.unwrap_or(ready.len())]);
        let used = end.map_or(ready.len(), |end| end + 1);
        text.consume(used);
        if end.is_some() || into.len() - start > MAX_LINE_BYTES {
            return Ok(true);
        }
    }
}

/// The bytes that a counter has seen.
pub(crate) fn count(taken: &AtomicU64) -> u64 {
    taken.load(Ordering::Relaxed)
}
