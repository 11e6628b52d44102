//! Parquet tables as rows: the columns asked for as text, a bounded number of rows in memory at a time.

use crate::error::BadFile;
use crate::limits::{BATCH_BYTES, BATCH_ROWS};
use crate::rows::Rows;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A Parquet file, read from its first row on.
pub(crate) struct Table {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    /// For each column asked for, its place in the batches.
    places: Vec<Option<usize>>,
    batch: Option<RecordBatch>,
    at: usize,
    number: u64,
    rows: u64,
    bytes: u64,
    taken: Arc<AtomicU64>,
}

/// What the reader of a hostile file does, with its panics as errors.
fn guarded<R, E: std::fmt::Display>(path: &Path, read: impl FnOnce() -> Result<R, E>) -> Result<R, BadFile> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(BadFile::whole(path, format!("not a readable Parquet file: {error}"))),
        Err(_) => Err(BadFile::whole(path, "not a readable Parquet file")),
    }
}

impl Table {
    pub(crate) fn open(
        path: &Path,
        file: File,
        columns: &[&str],
        required: usize,
        taken: Arc<AtomicU64>,
    ) -> Result<Self, BadFile> {
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        // The embedded Arrow schema could ask for dictionaries and views; without it every text is a plain one.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = guarded(path, || ParquetRecordBatchReaderBuilder::try_new_with_options(file, options))?;
        let mut roots = Vec::new();
        for (at, name) in columns.iter().enumerate() {
            match builder.schema().fields().iter().position(|field| field.name() == name) {
                Some(root) => {
                    let kind = builder.schema().field(root).data_type();
                    if !matches!(kind, DataType::Utf8 | DataType::Binary) {
                        let why = format!("is a column of {kind}, not of text (states are JSON text)");
                        return Err(BadFile::new(path, None, Some(name), why));
                    }
                    roots.push(Some(root));
                }
                None if at < required => return Err(BadFile::new(path, None, Some(name), "is missing")),
                None => roots.push(None),
            }
        }
        // The batches list the columns in the order of the file.
        let mut kept: Vec<usize> = roots.iter().flatten().copied().collect();
        kept.sort_unstable();
        let places = roots.iter().map(|root| root.and_then(|root| kept.binary_search(&root).ok())).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), kept);
        let metadata = builder.metadata();
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let size: i64 = metadata.row_groups().iter().map(|group| group.total_byte_size()).sum();
        let average = usize::try_from(size).unwrap_or(0) / usize::try_from(rows).unwrap_or(1).max(1);
        let batch_rows = (BATCH_BYTES / average.max(1)).clamp(1, BATCH_ROWS);
        let reader = guarded(path, || builder.with_projection(mask).with_batch_size(batch_rows).build())?;
        Ok(Self { path: path.to_owned(), reader, places, batch: None, at: 0, number: 0, rows, bytes, taken })
    }

    /// Append the next row; false at the end.
    pub(crate) fn next(&mut self, into: &mut Rows) -> Result<bool, BadFile> {
        let batch = loop {
            match &self.batch {
                Some(batch) if self.at < batch.num_rows() => break batch,
                _ => {
                    let reader = &mut self.reader;
                    self.batch = guarded(&self.path, || reader.next().transpose())?;
                    self.at = 0;
                    if self.batch.is_none() {
                        self.taken.store(self.bytes, Ordering::Relaxed);
                        return Ok(false);
                    }
                }
            }
        };
        self.number += 1;
        let cells = self.places.iter().map(|place| place.and_then(|place| cell(batch.column(place), self.at)));
        into.push_cells(self.number, cells);
        self.at += 1;
        let share = u128::from(self.bytes) * u128::from(self.number) / u128::from(self.rows.max(1));
        self.taken.store(u64::try_from(share).unwrap_or(self.bytes), Ordering::Relaxed);
        Ok(true)
    }
}

fn cell(column: &ArrayRef, at: usize) -> Option<&[u8]> {
    if column.is_null(at) {
        return None;
    }
    let any = column.as_any();
    let text = any.downcast_ref::<StringArray>().map(|texts| texts.value(at).as_bytes());
    text.or_else(|| any.downcast_ref::<BinaryArray>().map(|texts| texts.value(at)))
}
