//! Files: samples and completions in, verdicts out, as fast as the bytes come. No Python.
//!
//! Two ways to score: [`score_file`] streams two files into a third in constant memory, and [`Benchmark`] keeps its
//! samples read, so that only completions come in.
#![forbid(unsafe_code)]

mod benchmark;
mod columns;
mod compressed;
mod error;
mod limits;
mod lookup;
mod partial;
mod pipeline;
mod record;
mod rows;
mod score_file;
mod sink;
mod summary;
mod tables;
mod words;

pub use benchmark::Benchmark;
pub use columns::{Columns, schema};
pub use error::{BadFile, Error};
pub use limits::{MAX_LINE_BYTES, MAX_MISMATCH_BYTES, ROW_GROUP_ROWS};
pub use score_file::{Progress, score_file};
pub use summary::Summary;
pub use words::{failure_text, outcome_text};

/// As many threads as asked for; 0 is one per core.
pub(crate) fn thread_count(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        asked => asked,
    }
}
