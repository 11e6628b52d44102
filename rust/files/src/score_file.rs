//! A benchmark and its completions in, verdicts out: in constant memory, on many threads, in the benchmark's order.

use crate::columns::Columns;
use crate::error::{BadFile, Error};
use crate::limits::{BATCH_BYTES, BATCH_ROWS};
use crate::lookup::{Lookup, shown};
use crate::partial::{Partial, identity};
use crate::record::{
    COMPLETION_COLUMNS, SAMPLE_COLUMNS, SAMPLE_REQUIRED, Wrong, check_id, leading_id, sample_id, score_row, with_answer,
};
use crate::rows::{Row, RowReader, Rows, count};
use crate::sink::{IdHash, Scored, Sink};
use crate::summary::Summary;
use crate::{pipeline, thread_count};
use envsim_scorer::Verdict;
use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Verdicts so far, those of an earlier run included.
    pub rows_done: u64,
    /// Bytes of both inputs (as they lie on the disk) whose verdicts are done.
    pub bytes_done: u64,
    /// Bytes of both inputs.
    pub bytes_total: u64,
}

/// Why a pass over the files ended early.
enum Stop {
    Error(Error),
    /// The completions are not in the order of the benchmark, or not one for each sample.
    OutOfOrder,
}

impl From<BadFile> for Stop {
    fn from(error: BadFile) -> Self {
        Self::Error(error.into())
    }
}

/// The paths of a run.
struct Files<'p> {
    benchmark: &'p Path,
    completions: &'p Path,
}

/// A batch: samples, and their completions where these are in the same order.
struct Pairs {
    samples: Rows,
    completions: Rows,
    bytes: u64,
}

/// Score the completions of one file against the benchmark in another, and write the verdicts to a third.
///
/// `progress` is called on the calling thread again and again; where it breaks, the run is interrupted. What an
/// interrupted run has done waits in a folder beside `verdicts` (`.NAME.partial`), and the next run on the same inputs
/// goes on from there; the file itself appears only when it is whole, and its bytes depend on nothing but the inputs.
pub fn score_file(
    benchmark: &Path,
    completions: &Path,
    verdicts: &Path,
    threads: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let files = Files { benchmark, completions };
    let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    if same(benchmark, verdicts) || same(completions, verdicts) {
        return Err(BadFile::whole(verdicts, "is an input too").into());
    }
    let inputs = files.identity()?;
    let hash = IdHash::default();
    let mut sink = Sink::open(benchmark, Partial::open(verdicts, &inputs)?, hash.clone())?;
    let threads = thread_count(threads);
    match files.pass(&mut sink, None, threads, progress) {
        Ok(()) => {}
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::OutOfOrder) => {
            let lookup = Lookup::build(completions, &sink.scratch("completions.tmp"), hash)?;
            if let Err(Stop::Error(error)) = files.pass(&mut sink, Some(&lookup), threads, progress) {
                return Err(error);
            }
            if lookup.len() != sink.rows() {
                lookup.check_known(benchmark)?;
            }
        }
    }
    sink.check_unique()?;
    if files.identity()? != inputs {
        return Err(BadFile::whole(benchmark, "changed while it was read (or the completions did)").into());
    }
    Ok(sink.finish()?)
}

impl Files<'_> {
    fn identity(&self) -> Result<String, BadFile> {
        Ok(format!("benchmark {}\ncompletions {}\n", identity(self.benchmark)?, identity(self.completions)?))
    }

    fn size(&self) -> u64 {
        [self.benchmark, self.completions].iter().filter_map(|path| path.metadata().ok()).map(|m| m.len()).sum()
    }

    /// Score all samples from the first one on that the sink does not have yet.
    fn pass(
        &self,
        sink: &mut Sink,
        lookup: Option<&Lookup>,
        threads: usize,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), Stop> {
        let mut samples = RowReader::open(self.benchmark, SAMPLE_COLUMNS, SAMPLE_REQUIRED)?;
        let open = || RowReader::open(self.completions, COMPLETION_COLUMNS, COMPLETION_COLUMNS.len());
        let mut completions = if lookup.is_none() { Some(open()?) } else { None };
        let done = sink.rows();
        samples.skip(done)?;
        if let Some(completions) = &mut completions
            && completions.skip(done)? < done
        {
            return Err(Stop::OutOfOrder);
        }
        let taken = [Some(samples.taken()), completions.as_ref().map(RowReader::taken)];
        let (rows_done, bytes_done) = (AtomicU64::new(done), AtomicU64::new(0));
        let bytes_total = self.size();
        // Batches and handles that are free again; taking one from here is cheaper than new memory.
        let free: Mutex<Vec<Pairs>> = Mutex::default();
        let handles: Mutex<Vec<BufReader<File>>> = Mutex::default();
        let read = || -> Result<Option<Pairs>, Stop> {
            let mut pairs = take(&free).unwrap_or_else(Pairs::new);
            pairs.fill(&mut samples, completions.as_mut())?;
            pairs.bytes = taken.iter().flatten().map(|taken| count(taken)).sum();
            Ok((pairs.samples.len() + pairs.completions.len() > 0).then_some(pairs))
        };
        let work = |pairs: Pairs| -> Result<Scored, Stop> {
            let scored = match lookup {
                None => self.score_in_order(&pairs)?,
                Some(lookup) => {
                    let mut handle = take(&handles).map_or_else(|| lookup.open(), Ok)?;
                    let scored = self.score_by_id(&pairs, lookup, &mut handle)?;
                    give(&handles, handle);
                    scored
                }
            };
            give(&free, pairs);
            Ok(scored)
        };
        let commit = |scored: Scored| -> Result<(), Stop> {
            sink.push(&scored)?;
            rows_done.store(sink.rows(), Ordering::Relaxed);
            bytes_done.store(scored.bytes, Ordering::Relaxed);
            Ok(())
        };
        let mut report = |bytes_done| match progress(Progress { rows_done: count(&rows_done), bytes_done, bytes_total })
        {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop::Error(Error::Interrupted)),
        };
        pipeline::run(threads, read, work, commit, &mut || report(count(&bytes_done)))?;
        report(bytes_total)
    }

    fn wrong_sample(&self, pairs: &Pairs, at: usize, wrong: Wrong) -> Stop {
        BadFile::new(self.benchmark, Some(pairs.samples.number(at)), wrong.field, wrong.why).into()
    }

    fn score_in_order(&self, pairs: &Pairs) -> Result<Scored, Stop> {
        let mut columns = Columns::with_capacity(pairs.samples.len());
        for at in 0..pairs.samples.len() {
            if at >= pairs.completions.len() {
                return Err(Stop::OutOfOrder);
            }
            let verdict = pairs.completions.with(at, |answer| {
                with_answer(answer, |id, completion| {
                    let verdict = pairs.samples.with(at, |sample| score_row(sample, completion));
                    verdict.map(|verdict| (verdict.sample_id.as_deref() == Some(id), verdict))
                })
            });
            let scored = verdict.map_err(|wrong| {
                BadFile::new(self.completions, Some(pairs.completions.number(at)), wrong.field, wrong.why)
            })?;
            let (same, verdict) = scored.map_err(|wrong| self.wrong_sample(pairs, at, wrong))?;
            check_id(verdict.sample_id.as_deref()).map_err(|wrong| self.wrong_sample(pairs, at, wrong))?;
            if !same {
                return Err(Stop::OutOfOrder);
            }
            columns.push(&verdict);
        }
        if pairs.completions.len() > pairs.samples.len() {
            return Err(Stop::OutOfOrder);
        }
        Ok(pairs.scored(&mut columns))
    }

    fn score_by_id(&self, pairs: &Pairs, lookup: &Lookup, handle: &mut BufReader<File>) -> Result<Scored, Stop> {
        let mut columns = Columns::with_capacity(pairs.samples.len());
        for at in 0..pairs.samples.len() {
            let wrong = |wrong| self.wrong_sample(pairs, at, wrong);
            let mut score_as = |id: &[u8]| -> Result<Option<Verdict>, Stop> {
                let score = |completion: Option<&[u8]>| pairs.samples.with(at, |row| score_row(row, completion));
                lookup.find(handle, id, score)?.transpose().map_err(wrong)
            };
            // The id at the row's beginning is nearly always the row's id; if not, the whole row tells.
            let leading = pairs.samples.with(at, |row: Row<'_>| leading_id(row).map(<[u8]>::to_vec));
            let mut verdict = match &leading {
                Some(id) => score_as(id)?.filter(|verdict| verdict.sample_id.as_deref() == Some(id)),
                None => None,
            };
            if verdict.is_none() {
                let id = pairs.samples.with(at, sample_id).map_err(wrong)?;
                verdict = score_as(&id)?;
                if verdict.is_none() {
                    let place = format!("{}:{}", self.benchmark.display(), pairs.samples.number(at));
                    let why = format!("no row for the sample {} of {place}", shown(&id));
                    return Err(BadFile::new(self.completions, None, Some("sample_id"), why).into());
                }
            }
            if let Some(verdict) = verdict {
                check_id(verdict.sample_id.as_deref()).map_err(wrong)?;
                columns.push(&verdict);
            }
        }
        Ok(pairs.scored(&mut columns))
    }
}

impl Pairs {
    fn new() -> Self {
        Self { samples: Rows::for_a_batch(), completions: Rows::for_a_batch(), bytes: 0 }
    }

    /// Read the next samples, and as many completions.
    fn fill(&mut self, samples: &mut RowReader, mut completions: Option<&mut RowReader>) -> Result<(), BadFile> {
        self.samples.clear();
        self.completions.clear();
        while self.samples.len() < BATCH_ROWS && self.samples.bytes() + self.completions.bytes() < BATCH_BYTES {
            if !samples.next(&mut self.samples)? {
                // A completion that is left over goes into the last batch, so that it is noticed.
                if let Some(completions) = &mut completions {
                    completions.next(&mut self.completions)?;
                }
                break;
            }
            if let Some(completions) = &mut completions {
                completions.next(&mut self.completions)?;
            }
        }
        Ok(())
    }

    fn scored(&self, columns: &mut Columns) -> Scored {
        Scored { batch: columns.finish(), bytes: self.bytes }
    }
}

fn take<T>(free: &Mutex<Vec<T>>) -> Option<T> {
    free.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give<T>(free: &Mutex<Vec<T>>, thing: T) {
    free.lock().unwrap_or_else(PoisonError::into_inner).push(thing);
}
