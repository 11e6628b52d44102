//! Where verdicts go: into row groups, in order, each id once, and counted.

use crate::error::BadFile;
use crate::limits::{ROW_GROUP_ROWS, SLICE_ROWS};
use crate::lookup::shown;
use crate::partial::Partial;
use crate::record::{SAMPLE_COLUMNS, SAMPLE_REQUIRED, sample_id};
use crate::rows::{RowReader, Rows};
use crate::summary::Summary;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_select::concat::concat_batches;
use hashbrown::HashMap;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// A hash of ids. Equal hashes are a reason to look, not a proof.
pub(crate) type IdHash = foldhash::fast::RandomState;

/// Hashes of the ids so far, on the disk, so that they can be compared in the end without holding them all.
struct Ids {
    path: PathBuf,
    hashes: BufWriter<File>,
    hash: IdHash,
    count: u64,
}

/// Hashes that are compared at a time, and how often at most all of them are read for that.
const COMPARED_HASHES: u64 = 1 << 16;
const MOST_READS: u64 = 64;

impl Ids {
    fn create(path: PathBuf, hash: IdHash) -> io::Result<Self> {
        let hashes = BufWriter::new(File::create(&path)?);
        Ok(Self { path, hashes, hash, count: 0 })
    }

    fn add(&mut self, id: &[u8]) -> io::Result<()> {
        self.count += 1;
        self.hashes.write_all(&self.hash.hash_one(id).to_le_bytes())
    }

    /// The hashes that stand there more than once.
    fn repeated(&mut self) -> io::Result<Vec<u64>> {
        self.hashes.flush()?;
        let mut repeated = Vec::new();
        let reads = self.count.div_ceil(COMPARED_HASHES).clamp(1, MOST_READS);
        let mut some = Vec::new();
        for turn in 0..reads {
            some.clear();
            let mut file = BufReader::new(File::open(&self.path)?);
            let mut bytes = [0; 8];
            for _ in 0..self.count {
                file.read_exact(&mut bytes)?;
                let hash = u64::from_le_bytes(bytes);
                // The upper half tells the turn: as evenly as the hash, whatever the number of turns.
                if ((hash >> 32) * reads) >> 32 == turn {
                    some.push(hash);
                }
            }
            some.sort_unstable();
            repeated.extend(some.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]));
        }
        Ok(repeated)
    }
}

/// Verdicts of consecutive samples.
pub(crate) struct Scored {
    pub(crate) batch: RecordBatch,
    /// Bytes of the inputs that were read when the batch was.
    pub(crate) bytes: u64,
}

/// The verdicts of a run.
pub(crate) struct Sink {
    benchmark: PathBuf,
    partial: Partial,
    /// The last rows, fewer than a slice.
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    group_rows: usize,
    ids: Ids,
    summary: Summary,
}

impl Sink {
    /// Take over what an earlier run has left.
    pub(crate) fn open(benchmark: &Path, partial: Partial, hash: IdHash) -> Result<Self, BadFile> {
        let path = partial.path("ids.tmp");
        let ids = Ids::create(path.clone(), hash).map_err(|error| BadFile::io(&path, "written", &error))?;
        let mut sink = Self {
            benchmark: benchmark.to_owned(),
            partial,
            waiting: Vec::new(),
            waiting_rows: 0,
            group_rows: 0,
            ids,
            summary: Summary::default(),
        };
        while let Some(batch) = sink.partial.next_left()? {
            sink.count(&batch)?;
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

    fn count(&mut self, batch: &RecordBatch) -> Result<(), BadFile> {
        let mut ids = batch.column(0).as_string::<i32>().iter();
        ids.try_for_each(|id| self.ids.add(id.unwrap_or_default().as_bytes()))
            .map_err(|error| BadFile::io(&self.ids.path, "written", &error))?;
        self.summary.add(batch);
        Ok(())
    }

    /// Take the next verdicts.
    pub(crate) fn push(&mut self, scored: &Scored) -> Result<(), BadFile> {
        self.count(&scored.batch)?;
        let mut rest = scored.batch.clone();
        while self.waiting_rows + rest.num_rows() >= SLICE_ROWS {
            let fits = SLICE_ROWS - self.waiting_rows;
            self.wait(rest.slice(0, fits));
            rest = rest.slice(fits, rest.num_rows() - fits);
            self.write()?;
        }
        self.wait(rest);
        Ok(())
    }

    fn wait(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.waiting_rows += batch.num_rows();
            self.waiting.push(batch);
        }
    }

    /// Write what waits. How the rows came in must not show in the bytes that go out, so they go out in even slices.
    fn write(&mut self) -> Result<(), BadFile> {
        let batch = concat_batches(&crate::columns::schema(), &self.waiting)
            .map_err(|error| BadFile::whole(&self.benchmark, format!("has too long ids: {error}")))?;
        self.waiting.clear();
        self.group_rows += std::mem::take(&mut self.waiting_rows);
        self.partial.write(&batch)?;
        if self.group_rows >= ROW_GROUP_ROWS {
            self.group_rows = 0;
            self.partial.end_group()?;
        }
        Ok(())
    }

    /// Check that no two samples share an id.
    pub(crate) fn check_unique(&mut self) -> Result<(), BadFile> {
        let repeated = self.ids.repeated().map_err(|error| BadFile::io(&self.ids.path, "read", &error))?;
        if repeated.is_empty() {
            return Ok(());
        }
        let mut lines: HashMap<Vec<u8>, u64, IdHash> = HashMap::with_hasher(self.ids.hash.clone());
        each_id(&self.benchmark, |id, line| {
            if repeated.contains(&self.ids.hash.hash_one(&*id)) {
                if let Some(first) = lines.get(&id) {
                    let why = format!("{} is the id of line {first} too", shown(&id));
                    return Err(BadFile::new(&self.benchmark, Some(line), Some("sample_id"), why));
                }
                lines.insert(id, line);
            }
            Ok(())
        })
    }

    /// Put the file in its place.
    pub(crate) fn finish(mut self) -> Result<Summary, BadFile> {
        if self.waiting_rows > 0 {
            self.write()?;
        }
        self.partial.end_group()?;
        self.partial.finish()?;
        Ok(self.summary)
    }
}

/// Hand every id of a benchmark to `then`, with its line.
pub(crate) fn each_id(
    benchmark: &Path,
    mut then: impl FnMut(Vec<u8>, u64) -> Result<(), BadFile>,
) -> Result<(), BadFile> {
    let mut reader = RowReader::open(benchmark, SAMPLE_COLUMNS, SAMPLE_REQUIRED)?;
    let mut rows = Rows::default();
    while reader.next(&mut rows)? {
        let number = rows.number(0);
        let id = rows.with(0, sample_id);
        then(id.map_err(|wrong| BadFile::new(benchmark, Some(number), wrong.field, wrong.why))?, number)?;
        rows.clear();
    }
    Ok(())
}
