//! Timed work on threads that stay where they are.
//!
//! Every sample runs on threads of its own, each bound to one processor. They prepare and warm up by
//! themselves, wait for each other without sleeping, and only then look at the clock. A sample is
//! taken again when a thread did not have its processor to itself, or when the threads did not run at
//! the same time: two that ran one after the other, because the machine had something else to do, had
//! nothing to do with each other. Lock-based contenders that put threads to sleep use up all attempts.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often a disturbed sample is taken before the least disturbed one counts.
const ATTEMPTS: usize = 5;

/// The part of its time a thread must have had a processor for, and company.
const UNDISTURBED: f64 = 0.9;

/// Samples that were taken, and those of them that were disturbed every time.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static DISTURBED: AtomicUsize = AtomicUsize::new(0);

/// How long something took a thread: on the clock, and on the processor.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    began: Instant,
    pub wall: Duration,
    pub cpu: Duration,
}

impl Sample {
    /// Nanoseconds for each of so many operations.
    pub fn per(self, operations: usize) -> f64 {
        self.wall.as_nanos() as f64 / operations as f64
    }
}

/// The least part of its time that a thread had its processor, and that all of them ran.
fn quality(samples: &[Sample]) -> f64 {
    let longest = samples.iter().map(|sample| sample.wall).max();
    let last_begin = samples.iter().map(|sample| sample.began).max();
    let first_end = samples
        .iter()
        .map(|sample| sample.began + sample.wall)
        .min();
    let (Some(longest), Some(begin), Some(end)) = (longest, last_begin, first_end) else {
        return 0.0;
    };
    let together = end.saturating_duration_since(begin);
    samples
        .iter()
        .map(|sample| sample.cpu.as_secs_f64() / sample.wall.as_secs_f64())
        .fold(together.as_secs_f64() / longest.as_secs_f64(), f64::min)
}

/// How many samples were taken, and how many of them were disturbed whenever they were.
pub fn disturbed() -> (usize, usize) {
    // Relaxed: no sample is being taken.
    (
        TAKEN.load(Ordering::Relaxed),
        DISTURBED.load(Ordering::Relaxed),
    )
}

/// Where the threads of a sample meet.
#[derive(Debug)]
pub struct Gate {
    missing: AtomicUsize,
    finished: AtomicBool,
}

impl Gate {
    /// Waits for the other threads, then times `run`.
    pub fn time(&self, run: impl FnOnce()) -> Sample {
        // AcqRel and Acquire: what the threads prepared is there for all of them.
        self.missing.fetch_sub(1, Ordering::AcqRel);
        while self.missing.load(Ordering::Acquire) > 0 {
            std::hint::spin_loop();
        }
        let (wall, cpu) = (Instant::now(), cpu_time());
        run();
        let sample = Sample {
            began: wall,
            wall: wall.elapsed(),
            cpu: cpu_time().saturating_sub(cpu),
        };
        // Relaxed: it only ends a loop.
        self.finished.store(true, Ordering::Relaxed);
        sample
    }

    /// Whether one of the threads is through.
    pub fn is_over(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }
}

/// Runs `work` on so many threads, and again if they were disturbed. `work` is told which thread it
/// is, and calls [`Gate::time`] once.
pub fn sample<T, W>(threads: usize, work: W) -> io::Result<Vec<(Sample, T)>>
where
    T: Send,
    W: Fn(usize, &Gate) -> (Sample, T) + Sync,
{
    least_disturbed(|| {
        let results = once(threads, &work)?;
        let samples: Vec<_> = results.iter().map(|(sample, _)| *sample).collect();
        Ok((quality(&samples), results))
    })
}

/// Takes a sample until it is undisturbed, but not for ever; the best one. `take` says how much of its
/// time it had, of 1, and what it gave.
pub fn least_disturbed<T>(mut take: impl FnMut() -> io::Result<(f64, T)>) -> io::Result<T> {
    let mut best = take()?;
    for _ in 1..ATTEMPTS {
        if best.0 >= UNDISTURBED {
            break;
        }
        let another = take()?;
        if another.0 > best.0 {
            best = another;
        }
    }
    let (quality, taken) = best;
    // Relaxed: they are read when all is over.
    TAKEN.fetch_add(1, Ordering::Relaxed);
    DISTURBED.fetch_add(usize::from(quality < UNDISTURBED), Ordering::Relaxed);
    Ok(taken)
}

/// The mean, over threads, of nanoseconds for each of so many operations.
pub fn mean<W>(threads: usize, operations: usize, work: W) -> io::Result<f64>
where
    W: Fn(usize, &Gate) -> Sample + Sync,
{
    let samples = sample(threads, |thread, gate| (work(thread, gate), ()))?;
    let total: f64 = samples.iter().map(|(it, ())| it.per(operations)).sum();
    Ok(total / threads as f64)
}

/// How many threads can run at once.
pub fn processors() -> io::Result<usize> {
    Ok(allowed()?.len())
}

fn once<T, W>(threads: usize, work: &W) -> io::Result<Vec<(Sample, T)>>
where
    T: Send,
    W: Fn(usize, &Gate) -> (Sample, T) + Sync,
{
    let processors = allowed()?;
    let gate = Gate {
        missing: AtomicUsize::new(threads),
        finished: AtomicBool::new(false),
    };
    let gate = &gate;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let processor = processors[thread % processors.len()];
                scope.spawn(move || {
                    // Where binding is refused the samples are only noisier.
                    let mut only = CpuSet::new();
                    only.set(processor);
                    let _ = sched_setaffinity(None, &only);
                    work(thread, gate)
                })
            })
            .collect();
        let results = running.into_iter().map(|thread| thread.join());
        Ok(results
            .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect())
    })
}

fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&processor| set.is_set(processor))
        .collect())
}

/// What the calling thread had of its processor.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_as_good_as_its_threads_ran_together_and_undisturbed() {
        let now = Instant::now();
        let at = |began, wall, cpu| Sample {
            began: now + Duration::from_millis(began),
            wall: Duration::from_millis(wall),
            cpu: Duration::from_millis(cpu),
        };
        let percent = |samples: &[Sample]| (100.0 * quality(samples)).round();
        assert_eq!(percent(&[at(0, 100, 100)]), 100.0);
        assert_eq!(percent(&[at(0, 100, 50)]), 50.0);
        assert_eq!(percent(&[at(0, 100, 100), at(25, 100, 100)]), 75.0);
        assert_eq!(percent(&[at(0, 100, 100), at(100, 100, 100)]), 0.0);
    }

    #[test]
    fn a_disturbed_sample_is_taken_again_and_the_best_one_counts() {
        let best_of = |qualities: &[f64]| {
            let mut left = qualities.iter();
            let best = least_disturbed(|| {
                let quality = *left.next().expect("not more attempts than that");
                Ok((quality, quality))
            });
            (best.expect("nothing fails"), left.len())
        };
        assert_eq!(best_of(&[0.95, 1.0]), (0.95, 1));
        assert_eq!(best_of(&[0.5, 0.9, 1.0]), (0.9, 1));
        assert_eq!(best_of(&[0.2, 0.4, 0.3, 0.1, 0.2]), (0.4, 0));
    }

    #[test]
    fn every_thread_is_sampled() {
        let nanoseconds = mean(2, 1_000, |_, gate| {
            gate.time(|| {
                (0..1_000).for_each(|number| {
                    std::hint::black_box(number);
                });
            })
        });
        assert!(nanoseconds.expect("threads can be started") > 0.0);
    }
}
