//! Batches through many threads, results in order.
//!
//! Every thread does all of the work: it reads the next batch (one at a time), works on it alone, and hands the result
//! in. Only the calling thread commits: between its own batches, what is due by then. So nothing is shared while a
//! batch is worked on, no thread only waits, and what a commit needs in memory it needs once.

use crate::limits::{BATCHES_AHEAD, STACK_BYTES};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Order<R, E> {
    waiting: BTreeMap<usize, Result<R, E>>,
    /// Batches that were promised to a thread, and those whose results are committed.
    reserved: usize,
    committed: usize,
    /// How many batches there are, once that is known.
    total: Option<usize>,
    stopped: bool,
}

struct Shared<R, E> {
    order: Mutex<Order<R, E>>,
    moved: Condvar,
    ahead: usize,
}

impl<R, E> Shared<R, E> {
    fn change(&self, change: impl FnOnce(&mut Order<R, E>)) {
        change(&mut lock(&self.order));
        self.moved.notify_all();
    }

    /// Reserve a batch, once the commits have come near enough; false if there is nothing left to do.
    fn reserve(&self) -> bool {
        let mut order = lock(&self.order);
        while !order.is_over() && order.reserved >= order.committed + self.ahead {
            order = self.moved.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
        order.reserved += 1;
        !order.is_over()
    }

    /// The result that is due. If the calling thread has something else to do, it does not wait for it.
    fn due(&self) -> Due<R, E> {
        let mut order = lock(&self.order);
        loop {
            let next = order.committed;
            if let Some(result) = order.waiting.remove(&next) {
                return Due::Result(result);
            }
            if order.stopped || order.total.is_some_and(|total| next >= total) {
                return Due::Nothing;
            }
            if order.total.is_none() && order.reserved < next + self.ahead {
                order.reserved += 1;
                return Due::Later;
            }
            order = self.moved.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<R, E> Order<R, E> {
    fn is_over(&self) -> bool {
        self.stopped || self.total.is_some()
    }
}

enum Due<R, E> {
    Result(Result<R, E>),
    /// It is not there yet; a batch is reserved for the caller meanwhile.
    Later,
    Nothing,
}

/// Whatever ends a thread, a panic included, must not leave the others waiting.
struct StopOnDrop<'s, R, E>(&'s Shared<R, E>);

impl<R, E> Drop for StopOnDrop<'_, R, E> {
    fn drop(&mut self) {
        self.0.change(|order| order.stopped = true);
    }
}

/// Read batches until there are none, work on them on `threads` threads, and commit the results in order.
///
/// `commit` and `tick` run on the calling thread, `tick` after each of its batches. The error is the first one in the
/// order of the batches (or that of `tick`); everything before it has been committed.
pub(crate) fn run<J: Send, R: Send, E: Send>(
    threads: usize,
    read: impl FnMut() -> Result<Option<J>, E> + Send,
    work: impl Fn(J) -> Result<R, E> + Sync,
    mut commit: impl FnMut(R) -> Result<(), E>,
    tick: &mut dyn FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let source = Mutex::new((read, 0, false));
    let order = Order { waiting: BTreeMap::new(), reserved: 0, committed: 0, total: None, stopped: false };
    let shared = Shared { order: Mutex::new(order), moved: Condvar::new(), ahead: BATCHES_AHEAD * threads };
    // Read a batch that was reserved, work on it, and hand the result in.
    let step = || {
        let mut source = lock(&source);
        let (read, number, ended) = &mut *source;
        if *ended {
            return;
        }
        let index = *number;
        let batch = read();
        *ended = !matches!(batch, Ok(Some(_)));
        *number += usize::from(!matches!(batch, Ok(None)));
        let total = ended.then_some(*number);
        drop(source);
        if total.is_some() {
            shared.change(|order| order.total = total);
        }
        if let Some(batch) = batch.transpose() {
            let result = batch.and_then(&work);
            shared.change(|order| drop(order.waiting.insert(index, result)));
        }
    };
    std::thread::scope(|scope| {
        let _guard = StopOnDrop(&shared);
        for _ in 1..threads {
            let worker = || {
                let guard = StopOnDrop(&shared);
                while shared.reserve() {
                    step();
                }
                std::mem::forget(guard);
            };
            // Where no thread is to be had, those that are there do the work.
            if std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        loop {
            match shared.due() {
                Due::Result(result) => {
                    commit(result?)?;
                    shared.change(|order| order.committed += 1);
                }
                Due::Later => {
                    step();
                    tick()?;
                }
                Due::Nothing => return Ok(()),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::run;

    fn numbers(until: usize) -> impl FnMut() -> Result<Option<usize>, String> {
        let mut next = 0..until;
        move || Ok(next.next())
    }

    /// Work that takes unevenly long.
    fn busy(number: usize) -> usize {
        (0..(number * 7919) % 5000).fold(number, |sum, i| std::hint::black_box(sum ^ i ^ i))
    }

    #[test]
    fn results_are_committed_in_order_whatever_the_threads() {
        for threads in [1, 2, 3, 16] {
            let (mut seen, mut ticks) = (Vec::new(), 0);
            let commit = |number| -> Result<(), String> {
                seen.push(number);
                Ok(())
            };
            let done = run(threads, numbers(1000), |number| Ok(busy(number)), commit, &mut || {
                ticks += 1;
                Ok(())
            });
            assert_eq!(done, Ok(()));
            assert!(seen.into_iter().eq(0..1000));
            assert!(threads > 1 || ticks >= 1000);
        }
    }

    #[test]
    fn the_first_error_wins_and_all_before_it_is_committed() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let work = |number| if number % 100 == 57 { Err(format!("bad {number}")) } else { Ok(busy(number)) };
            let done = run(
                threads,
                numbers(1000),
                work,
                |number| {
                    seen.push(number);
                    Ok(())
                },
                &mut || Ok(()),
            );
            assert_eq!(done, Err("bad 57".to_owned()));
            assert!(seen.into_iter().eq(0..57));
        }
    }

    #[test]
    fn errors_of_reading_committing_and_ticking_end_a_run() {
        for threads in [1, 4] {
            let mut left = 5;
            let read = || {
                left -= 1;
                if left == 0 { Err("unreadable".to_owned()) } else { Ok(Some(left)) }
            };
            assert_eq!(run(threads, read, Ok, |_| Ok(()), &mut || Ok(())), Err("unreadable".to_owned()));
            let full = |number| if number == 3 { Err("full".to_owned()) } else { Ok(()) };
            assert_eq!(run(threads, numbers(99), Ok, full, &mut || Ok(())), Err("full".to_owned()));
            let stop = &mut || Err("stop".to_owned());
            assert_eq!(run(threads, numbers(99), Ok, |_| Ok(()), stop), Err("stop".to_owned()));
        }
    }

    #[test]
    fn a_panic_in_a_worker_is_passed_on_and_nobody_waits_for_ever() {
        let work = |number: usize| {
            assert!(number != 40, "a bug");
            Ok(number)
        };
        let run = || run(4, numbers(1000), work, |_| Ok(()), &mut || Ok(()));
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
