//! Work that may block: on other threads, or in place where a process is played.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::task::JoinError;

/// Runs the work and waits for it.
///
/// # Errors
/// When the work panicked or the process is stopping.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// Where a process does its work that may block.
#[derive(Debug, Clone, Default)]
pub enum Runner {
    /// On other threads.
    #[default]
    Threads,
    /// In place, for a process that is played on one thread.
    Inline(Arc<dyn Interruption>),
}

/// What may befall a process that is played, at its work.
#[async_trait]
pub trait Interruption: fmt::Debug + Send + Sync {
    /// Before a piece of work and after it. It does not return where the process is killed there.
    async fn point(&self);

    /// Whether a piece of work on the state finds the state held by another process.
    fn is_state_busy(&self) -> bool;

    /// Whether a piece of work on the state is done, and its process does not hear of it.
    fn is_answer_lost(&self) -> bool {
        false
    }
}

impl Runner {
    /// Runs the work and waits for it; `None` when it panicked or the process is stopping.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match self {
            Self::Threads => blocking(work).await.ok(),
            Self::Inline(interruption) => Some(inline(&**interruption, work).await),
        }
    }

    /// Whether work on the state would find it held by another process.
    pub(crate) fn is_state_busy(&self) -> bool {
        match self {
            Self::Threads => false,
            Self::Inline(interruption) => interruption.is_state_busy(),
        }
    }

    /// Whether the answer to work on the state does not arrive.
    pub(crate) fn is_answer_lost(&self) -> bool {
        match self {
            Self::Threads => false,
            Self::Inline(interruption) => interruption.is_answer_lost(),
        }
    }
}

async fn inline<T>(interruption: &dyn Interruption, work: impl FnOnce() -> T) -> T {
    interruption.point().await;
    let result = work();
    interruption.point().await;
    result
}

/// A thread for work that is done one after the other, begun with the first of it. Large pieces of
/// memory that are used over and over are so taken from one place; many threads would each keep
/// some of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Worker {
    runner: Runner,
    thread: Arc<OnceLock<Running>>,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
struct Running {
    jobs: Option<mpsc::Sender<Job>>,
    /// Closed once the thread has ended.
    end: Mutex<mpsc::Receiver<()>>,
}

/// How long what was begun may continue when nobody needs the thread any more: a disk that hangs must not
/// keep the process from ending.
const TO_END: Duration = Duration::from_secs(3);

impl Worker {
    /// One that does its work on a thread only where the runner does.
    pub(crate) fn by(runner: Runner) -> Self {
        Self { runner, thread: Arc::default() }
    }

    /// Where the work is done.
    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Runs the work and waits for it; `None` when it panicked. Work that was begun is done, also when
    /// nobody waits any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if let Runner::Inline(interruption) = &self.runner {
            return Some(inline(&**interruption, work).await);
        }
        let (answer, answered) = oneshot::channel();
        let job = move || drop(answer.send(work()));
        self.thread.get_or_init(Running::start).jobs.as_ref()?.send(Box::new(job)).ok()?;
        answered.await.ok()
    }
}

impl Running {
    fn start() -> Self {
        let ((jobs, todo), (ended, end)) = (mpsc::channel::<Job>(), mpsc::channel());
        let work = move || {
            let _ended: mpsc::Sender<()> = ended;
            for job in todo {
                // A job that panics has not answered, which says it all.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        // Without a thread no job can be sent.
        let _ = thread::Builder::new().name("state".to_owned()).spawn(work);
        Self { jobs: Some(jobs), end: Mutex::new(end) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.jobs = None;
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = end.recv_timeout(TO_END);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_survives_a_panic_and_ends_what_it_has_begun() {
        let worker = Worker::default();
        assert_eq!(worker.run(|| 1).await, Some(1));
        assert_eq!(worker.run(|| -> u32 { panic!("a test's own") }).await, None);
        let ((go_on, wait), (done, is_done)) = (mpsc::channel(), mpsc::channel());
        let slow = worker.run(move || {
            wait.recv().unwrap();
            done.send(2)
        });
        assert!(tokio::time::timeout(Duration::ZERO, slow).await.is_err());
        go_on.send(()).unwrap();
        drop(worker);
        assert_eq!(is_done.try_recv(), Ok(2));
    }
}
