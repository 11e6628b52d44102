//! Batches through many threads, results in order.
//!
//! Every thread does all of the work: it reads the next batch (one at a time), works on it alone, and hands the result
//! in; whoever hands in the result that is due commits it and all that wait behind it. So nothing is shared while a
//! batch is worked on, and no thread only waits.

use crate::limits::{BATCHES_AHEAD, STACK_BYTES};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Order<R, E> {
    waiting: BTreeMap<usize, Result<R, E>>,
    committed: usize,
    committing: bool,
    stopped: bool,
    error: Option<E>,
}

struct Shared<R, E> {
    order: Mutex<Order<R, E>>,
    moved: Condvar,
}

impl<R, E> Shared<R, E> {
    fn stop(&self, error: Option<E>) {
        let mut order = lock(&self.order);
        order.stopped = true;
        order.error = order.error.take().or(error);
        self.moved.notify_all();
    }
}

/// A panic must not leave the other threads waiting.
struct StopOnPanic<'s, R, E>(&'s Shared<R, E>);

impl<R, E> Drop for StopOnPanic<'_, R, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(None);
        }
    }
}

/// Read batches until there are none, work on them on `threads` threads, and commit the results in order.
///
/// `tick` runs on the calling thread after each of its batches. The error is the first one in the order of the batches
/// (or that of `tick`); everything before it has been committed.
pub(crate) fn run<J: Send, R: Send, E: Send>(
    threads: usize,
    read: impl FnMut() -> Result<Option<J>, E> + Send,
    work: impl Fn(J) -> Result<R, E> + Sync,
    commit: impl FnMut(R) -> Result<(), E> + Send,
    tick: &mut dyn FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let source = Mutex::new((read, 0, false));
    let sink = Mutex::new(commit);
    let order = Order { waiting: BTreeMap::new(), committed: 0, committing: false, stopped: false, error: None };
    let shared = Shared { order: Mutex::new(order), moved: Condvar::new() };
    let next = || {
        let mut source = lock(&source);
        let (read, handed_out, ended) = &mut *source;
        // All others would have to wait too, so waiting with the source in hand blocks nobody.
        let mut order = lock(&shared.order);
        while !order.stopped && *handed_out >= order.committed + BATCHES_AHEAD * threads {
            order = shared.moved.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
        if order.stopped || *ended {
            return None;
        }
        drop(order);
        let batch = read().transpose();
        *ended = !matches!(batch, Some(Ok(_)));
        *handed_out += 1;
        batch.map(|batch| (*handed_out - 1, batch))
    };
    let hand_in = |index, result| {
        let mut order = lock(&shared.order);
        order.waiting.insert(index, result);
        if order.committing {
            return;
        }
        order.committing = true;
        while !order.stopped {
            let due = order.committed;
            let Some(result) = order.waiting.remove(&due) else { break };
            drop(order);
            let done = result.and_then(|result| lock(&sink)(result));
            order = lock(&shared.order);
            match done {
                Ok(()) => order.committed += 1,
                Err(error) => {
                    order.stopped = true;
                    order.error = order.error.take().or(Some(error));
                }
            }
            shared.moved.notify_all();
        }
        order.committing = false;
    };
    let step = || {
        let Some((index, batch)) = next() else { return false };
        hand_in(index, batch.and_then(&work));
        true
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let worker = || {
                let _guard = StopOnPanic(&shared);
                while step() {}
            };
            // Where no thread is to be had, those that are there do the work.
            if std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        let _guard = StopOnPanic(&shared);
        while step() {
            if let Err(error) = tick() {
                shared.stop(Some(error));
            }
        }
    });
    match lock(&shared.order).error.take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
