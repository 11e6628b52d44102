//! The unfinished verdict file: row groups in a folder beside the target, so that the next run can go on after them.

use crate::columns::schema;
use crate::error::BadFile;
use crate::limits::ROW_GROUP_ROWS;
use arrow_array::RecordBatch;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Changes whenever what a run writes changes, so that no two versions share one file.
const FORMAT: u32 = 2;

/// Bytes at either end of an input that its identity is made of, next to its size and time.
const SAMPLED_BYTES: u64 = 64 << 10;

/// What tells one input from another without reading all of it: size, time of the last change, both ends.
pub(crate) fn identity(path: &Path) -> Result<String, BadFile> {
    let identify = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let mut ends = Vec::new();
        file.by_ref().take(SAMPLED_BYTES).read_to_end(&mut ends)?;
        file.seek(SeekFrom::Start(metadata.len().saturating_sub(SAMPLED_BYTES)))?;
        file.take(SAMPLED_BYTES).read_to_end(&mut ends)?;
        let mut digest = String::new();
        for byte in Sha256::digest(&ends) {
            let _ = write!(digest, "{byte:02x}");
        }
        Ok(format!("{} bytes, changed {changed}, {digest}", metadata.len()))
    };
    identify().map_err(|error| BadFile::io(path, "read", &error))
}

/// The row group that is not whole yet.
const PART_IN_WORK: &str = "part.tmp";

fn properties() -> WriterProperties {
    // Verdicts are mostly dictionaries of few words: Zstandard would save little, and takes 0.1 MB for every column.
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build()
}

/// The folder of an unfinished verdict file; no two runs hold it at a time.
pub(crate) struct Partial {
    target: PathBuf,
    folder: PathBuf,
    parts: usize,
    writer: Option<ArrowWriter<File>>,
    _lock: File,
}

impl Partial {
    /// Take the folder for `target`. Row groups of a run on the same inputs are kept, all others are removed.
    pub(crate) fn open(target: &Path, inputs: &str) -> Result<Self, BadFile> {
        let failed = |error: &io::Error| BadFile::io(target, "written", error);
        let Some(name) = target.file_name() else { return Err(BadFile::whole(target, "is no name of a file")) };
        if target.is_dir() {
            return Err(BadFile::whole(target, "is a folder"));
        }
        let mut folder_name = std::ffi::OsString::from(".");
        folder_name.push(name);
        folder_name.push(".partial");
        let folder = target.with_file_name(folder_name);
        fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
        let lock = File::create(folder.join("lock")).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BadFile::whole(target, "another run is writing this file")),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let inputs = format!("format {FORMAT}, envsim {}\n{inputs}", env!("CARGO_PKG_VERSION"));
        let mut partial = Self { target: target.to_owned(), folder, parts: 0, writer: None, _lock: lock };
        partial.take_over(&inputs).map_err(|error| failed(&error))?;
        Ok(partial)
    }

    fn take_over(&mut self, inputs: &str) -> io::Result<()> {
        let manifest = self.folder.join("inputs");
        let same = fs::read_to_string(&manifest).is_ok_and(|text| text == inputs);
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_part = path.extension().is_some_and(|extension| extension == "parquet");
            if path.file_name().is_some_and(|name| name != "lock") && !(same && (is_part || path == manifest)) {
                fs::remove_file(path)?;
            }
        }
        if same { Ok(()) } else { fs::write(manifest, inputs) }
    }

    /// A place in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn part(&self, number: usize) -> PathBuf {
        self.folder.join(format!("part-{number:05}.parquet"))
    }

    /// The next whole row group that an earlier run has left; from the first one on that is not whole, none is kept.
    pub(crate) fn next_left(&mut self) -> Result<Option<RecordBatch>, BadFile> {
        let path = self.part(self.parts);
        if let Ok(Some(batch)) = read_part(&path) {
            self.parts += 1;
            return Ok(Some(batch));
        }
        for number in self.parts.. {
            match fs::remove_file(self.part(number)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(BadFile::io(&self.target, "written", &error)),
            }
        }
        Ok(None)
    }

    /// Write rows of the current row group. How they are cut into calls shows in the bytes.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), BadFile> {
        let write = |writer: &mut Option<ArrowWriter<File>>| -> Result<(), ParquetError> {
            if writer.is_none() {
                let options = ArrowWriterOptions::new().with_properties(properties()).with_skip_arrow_metadata(true);
                let file = File::create(self.folder.join(PART_IN_WORK))?;
                *writer = Some(ArrowWriter::try_new_with_options(file, schema(), options)?);
            }
            writer.as_mut().map_or(Ok(()), |writer| writer.write(batch))
        };
        write(&mut self.writer).map_err(|error| self.not_written(&error))
    }

    /// End the current row group, if there is one: from now on it is kept.
    pub(crate) fn end_group(&mut self) -> Result<(), BadFile> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let end = || -> Result<(), ParquetError> {
            writer.close()?;
            fs::rename(self.folder.join(PART_IN_WORK), self.part(self.parts))?;
            Ok(())
        };
        end().map_err(|error| self.not_written(&error))?;
        self.parts += 1;
        Ok(())
    }

    fn not_written(&self, error: &ParquetError) -> BadFile {
        BadFile::whole(&self.target, format!("cannot be written: {error}"))
    }

    /// Join the row groups, put the file in its place, and remove the folder.
    pub(crate) fn finish(self) -> Result<(), BadFile> {
        let whole = self.folder.join("whole.tmp");
        let join = || -> Result<(), ParquetError> {
            let root = ArrowSchemaConverter::new().convert(&schema())?.root_schema_ptr();
            let mut writer = SerializedFileWriter::new(File::create(&whole)?, root, properties().into())?;
            for number in 0..self.parts {
                append(&mut writer, &File::open(self.part(number))?)?;
            }
            let file = writer.into_inner()?;
            file.sync_all()?;
            fs::rename(&whole, &self.target)?;
            fs::remove_dir_all(&self.folder)?;
            Ok(())
        };
        join().map_err(|error| self.not_written(&error))
    }
}

fn read_part(path: &Path) -> Result<Option<RecordBatch>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mut reader = builder.with_batch_size(ROW_GROUP_ROWS).build()?;
    let batch = reader.next().transpose()?;
    Ok(batch.filter(|batch| batch.num_rows() == ROW_GROUP_ROWS))
}

/// Append the row groups of a file as they are.
fn append(writer: &mut SerializedFileWriter<File>, part: &File) -> Result<(), ParquetError> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(part)?;
    for group in metadata.row_groups() {
        let mut into = writer.next_row_group()?;
        for column in group.columns() {
            let close = ColumnCloseResult {
                bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
                rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            into.append_column(part, close)?;
        }
        into.close()?;
    }
    Ok(())
}
