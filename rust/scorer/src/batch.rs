//! Batches: work on as many threads as asked for, results in the order of the input.

use rayon::prelude::*;

/// Stack of a worker: reading and comparing recurse as deep as a value is nested.
const STACK_BYTES: usize = 16 << 20;

/// Do `work` on every item, on `threads` threads (0: one per core), and give the results in the order of the items.
pub fn in_parallel<I: Send, R: Send>(items: Vec<I>, threads: usize, work: impl Fn(I) -> R + Sync) -> Vec<R> {
    match rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(STACK_BYTES).build() {
        Ok(pool) => pool.install(|| items.into_par_iter().map(&work).collect()),
        // No threads to be had: the caller's own thread gives the same results.
        Err(_) => items.into_iter().map(work).collect(),
    }
}
