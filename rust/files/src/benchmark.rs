//! A benchmark in memory: samples read once, scored again and again.

use crate::columns::Columns;
use crate::error::{BadFile, Error};
use crate::limits::{BATCH_BYTES, BATCH_ROWS};
use crate::lookup::shown;
use crate::record::{SAMPLE_COLUMNS, SAMPLE_REQUIRED, check_id, read_sample};
use crate::rows::{RowReader, Rows};
use crate::{pipeline, thread_count};
use arrow_array::RecordBatch;
use envsim_scorer::{Prepared, Verdict};
use hashbrown::HashMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;

fn go_on(tick: &mut dyn FnMut() -> ControlFlow<()>) -> Result<(), Error> {
    if tick().is_break() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Rows that a thread takes at a time, at most and at least.
const MOST_ROWS: usize = 1024;
const LEAST_ROWS: usize = 16;

/// The samples of a file, ready to be scored against.
#[derive(Debug)]
pub struct Benchmark {
    samples: Vec<Prepared>,
    places: HashMap<Vec<u8>, usize, foldhash::fast::RandomState>,
}

impl Benchmark {
    /// Read a file of samples (JSONL, plain or compressed, or Parquet). Every sample has an id of its own.
    ///
    /// `tick` is called on the calling thread between batches; where it breaks, the reading is interrupted.
    pub fn load(path: &Path, threads: usize, tick: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Self, Error> {
        let mut reader = RowReader::open(path, SAMPLE_COLUMNS, SAMPLE_REQUIRED)?;
        let mut samples = Vec::new();
        let mut places: HashMap<Vec<u8>, usize, _> = HashMap::default();
        let mut lines: Vec<u64> = Vec::new();
        let read = || -> Result<Option<Rows>, Error> {
            let mut rows = Rows::for_a_batch();
            while rows.len() < BATCH_ROWS && rows.bytes() < BATCH_BYTES && reader.next(&mut rows)? {}
            Ok((rows.len() > 0).then_some(rows))
        };
        let work = |rows: Rows| -> Result<Vec<(u64, Prepared)>, Error> {
            let read = |at| {
                let sample = rows.with(at, read_sample);
                let sample = sample.map_err(|wrong| BadFile::new(path, Some(rows.number(at)), wrong.field, wrong.why));
                sample.map(|sample| (rows.number(at), sample)).map_err(Error::from)
            };
            (0..rows.len()).map(read).collect()
        };
        let commit = |read: Vec<(u64, Prepared)>| -> Result<(), Error> {
            for (line, sample) in read {
                let bad = |why: String| BadFile::new(path, Some(line), Some("sample_id"), why);
                check_id(sample.id()).map_err(|wrong| bad(wrong.why))?;
                let id = sample.id().unwrap_or_default().to_vec();
                if let Some(&first) = places.get(&id) {
                    return Err(bad(format!("{} is the id of line {} too", shown(&id), lines[first])).into());
                }
                places.insert(id, samples.len());
                lines.push(line);
                samples.push(sample);
            }
            Ok(())
        };
        pipeline::run(thread_count(threads), read, work, commit, &mut || go_on(tick))?;
        Ok(Self { samples, places })
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = &[u8]> {
        self.samples.iter().filter_map(Prepared::id)
    }

    /// The place of the sample with this id.
    pub fn position(&self, id: &[u8]) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// Score one completion per sample, in order (`None`: no answer because of infrastructure).
    ///
    /// Verdicts beyond the shorter of the two are not given. `tick` as in [`Self::load`].
    pub fn score<C: AsRef<[u8]> + Sync>(
        &self,
        completions: &[Option<C>],
        threads: usize,
        tick: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Verdict>, Error> {
        let chunks = self.in_chunks(completions, threads, |scored| scored.collect::<Vec<_>>(), tick)?;
        Ok(chunks.into_iter().flatten().collect())
    }

    /// As [`Self::score`], as a table in some batches.
    pub fn score_arrow<C: AsRef<[u8]> + Sync>(
        &self,
        completions: &[Option<C>],
        threads: usize,
        tick: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<RecordBatch>, Error> {
        let gather = |scored: &mut dyn Iterator<Item = Verdict>| {
            let mut columns = Columns::with_capacity(scored.size_hint().0);
            scored.for_each(|verdict| columns.push(&verdict));
            columns.finish()
        };
        self.in_chunks(completions, threads, gather, tick)
    }

    fn in_chunks<C: AsRef<[u8]> + Sync, R: Send>(
        &self,
        completions: &[Option<C>],
        threads: usize,
        gather: impl Fn(&mut dyn Iterator<Item = Verdict>) -> R + Sync,
        tick: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<R>, Error> {
        let rows = self.samples.len().min(completions.len());
        let threads = thread_count(threads).min(rows.div_ceil(LEAST_ROWS)).max(1);
        let chunk = (rows / (8 * threads)).clamp(LEAST_ROWS, MOST_ROWS);
        let (mut start, mut all) = (0, Vec::new());
        let read = || -> Result<Option<Range<usize>>, Error> {
            let chunk = start..(start + chunk).min(rows);
            start = chunk.end;
            Ok((!chunk.is_empty()).then_some(chunk))
        };
        let work = |chunk: Range<usize>| -> Result<R, Error> {
            let pairs = self.samples[chunk.clone()].iter().zip(&completions[chunk]);
            Ok(gather(&mut pairs.map(|(sample, completion)| sample.score(completion.as_ref().map(AsRef::as_ref)))))
        };
        let commit = |result: R| -> Result<(), Error> {
            all.push(result);
            Ok(())
        };
        pipeline::run(threads, read, work, commit, &mut || go_on(tick))?;
        Ok(all)
    }
}
