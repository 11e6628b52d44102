//! Where verdicts go: into row groups, in order, each id once, and counted.

use crate::error::BadFile;
use crate::limits::ROW_GROUP_ROWS;
use crate::partial::Partial;
use crate::record::{SAMPLE_COLUMNS, SAMPLE_REQUIRED, sample_id};
use crate::rows::{RowReader, Rows};
use crate::summary::Summary;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_select::concat::concat_batches;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

/// Ids by their hash: 8 bytes for each, whatever its length. Equal hashes are a reason to look, not a proof.
#[derive(Default)]
pub(crate) struct Ids {
    hashes: HashTable<u64>,
    hasher: foldhash::fast::RandomState,
}

impl Ids {
    pub(crate) fn hasher(&self) -> foldhash::fast::RandomState {
        self.hasher.clone()
    }

    pub(crate) fn hash(&self, id: &[u8]) -> u64 {
        self.hasher.hash_one(id)
    }

    /// Add an id; false if it may be there already.
    fn add(&mut self, id: &[u8]) -> bool {
        let hash = self.hash(id);
        let there = self.hashes.find(hash, |&other| other == hash).is_some();
        if !there {
            self.hashes.insert_unique(hash, hash, |&hash| hash);
        }
        !there
    }

    /// Whether an id may be there.
    pub(crate) fn may_hold(&self, id: &[u8]) -> bool {
        let hash = self.hash(id);
        self.hashes.find(hash, |&other| other == hash).is_some()
    }
}

/// Verdicts of consecutive samples, with the samples' places in the benchmark.
pub(crate) struct Scored {
    pub(crate) batch: RecordBatch,
    pub(crate) numbers: Vec<u64>,
    /// Bytes of the inputs that were read when the batch was.
    pub(crate) bytes: u64,
}

/// Batches that are joined at a time.
const COMPACTED_BATCHES: usize = 16;

/// The verdicts of a run.
pub(crate) struct Sink {
    benchmark: PathBuf,
    partial: Partial,
    waiting: Vec<RecordBatch>,
    /// How many of these, the first ones, are joined already.
    compacted: usize,
    waiting_rows: usize,
    pub(crate) ids: Ids,
    pub(crate) summary: Summary,
}

impl Sink {
    /// Take over what an earlier run has left.
    pub(crate) fn open(benchmark: &Path, partial: Partial) -> Result<Self, BadFile> {
        let mut sink = Self {
            benchmark: benchmark.to_owned(),
            partial,
            waiting: Vec::new(),
            compacted: 0,
            waiting_rows: 0,
            ids: Ids::default(),
            summary: Summary::default(),
        };
        while let Some(batch) = sink.partial.next_left()? {
            sink.count(&batch, |_| None)?;
        }
        Ok(sink)
    }

    /// A place for a file that is needed until the run ends.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.partial.path(name)
    }

    /// Verdicts so far.
    pub(crate) fn rows(&self) -> u64 {
        self.summary.rows
    }

    fn count(&mut self, batch: &RecordBatch, number: impl Fn(usize) -> Option<u64>) -> Result<(), BadFile> {
        for (at, id) in batch.column(0).as_string::<i32>().iter().enumerate() {
            let id = id.unwrap_or_default();
            if self.ids.add(id.as_bytes()) {
                continue;
            }
            if let Some(line) = number(at)
                && let Some(first) = line_of(&self.benchmark, id.as_bytes())?
                && first < line
            {
                let why = format!("{id:?} is the id of line {first} too");
                return Err(BadFile::new(&self.benchmark, Some(line), Some("sample_id"), why));
            }
        }
        self.summary.add(batch);
        Ok(())
    }

    /// Take the next verdicts.
    pub(crate) fn push(&mut self, scored: &Scored) -> Result<(), BadFile> {
        self.count(&scored.batch, |at| scored.numbers.get(at).copied())?;
        let mut rest = scored.batch.clone();
        while self.waiting_rows + rest.num_rows() >= ROW_GROUP_ROWS {
            let fits = ROW_GROUP_ROWS - self.waiting_rows;
            self.wait(rest.slice(0, fits));
            rest = rest.slice(fits, rest.num_rows() - fits);
            self.write()?;
        }
        self.wait(rest);
        self.compact()
    }

    fn wait(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.waiting_rows += batch.num_rows();
            self.waiting.push(batch);
        }
    }

    /// Join the batches that came last: many small ones take several times the memory of one.
    fn compact(&mut self) -> Result<(), BadFile> {
        if self.waiting.len() - self.compacted >= COMPACTED_BATCHES {
            let joined = self.join(&self.waiting[self.compacted..])?;
            self.waiting.truncate(self.compacted);
            self.waiting.push(joined);
            self.compacted += 1;
        }
        Ok(())
    }

    fn join(&self, batches: &[RecordBatch]) -> Result<RecordBatch, BadFile> {
        concat_batches(&crate::columns::schema(), batches)
            .map_err(|error| BadFile::whole(&self.benchmark, format!("has too long ids: {error}")))
    }

    fn write(&mut self) -> Result<(), BadFile> {
        // How the rows came in must not show in the bytes that go out, so they are joined first.
        let batch = self.join(&self.waiting)?;
        self.compacted = 0;
        self.waiting.clear();
        self.waiting_rows = 0;
        self.partial.write(&batch)
    }

    /// Put the file in its place.
    pub(crate) fn finish(mut self) -> Result<Summary, BadFile> {
        if self.waiting_rows > 0 {
            self.write()?;
        }
        self.partial.finish()?;
        Ok(self.summary)
    }
}

/// The first row of a benchmark with this id.
fn line_of(benchmark: &Path, id: &[u8]) -> Result<Option<u64>, BadFile> {
    let mut reader = RowReader::open(benchmark, SAMPLE_COLUMNS, SAMPLE_REQUIRED)?;
    let mut rows = Rows::default();
    while reader.next(&mut rows)? {
        if rows.with(0, sample_id).is_ok_and(|other| other == id) {
            return Ok(Some(rows.number(0)));
        }
        rows.clear();
    }
    Ok(None)
}
