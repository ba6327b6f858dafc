//! Work that may block, on other threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinError;

/// Runs the work and waits for it.
///
/// # Errors
/// When the work panicked or the process is stopping.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    #[cfg(feature = "simulation")]
    if let Some(world) = crate::simulation::world() {
        return Ok(in_simulation(&world, work).await);
    }
    tokio::task::spawn_blocking(work).await
}

/// A simulated process has one thread, and may be killed before the work and after it.
#[cfg(feature = "simulation")]
async fn in_simulation<T>(world: &crate::simulation::World, work: impl FnOnce() -> T) -> T {
    world.point().await;
    let result = work();
    world.point().await;
    result
}

/// A thread for work that is done one after the other, begun with the first of it. Large pieces of
/// memory that are used over and over are so taken from one place; many threads would each keep
/// some of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Worker(Arc<OnceLock<Running>>);

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
struct Running {
    jobs: Option<mpsc::Sender<Job>>,
    /// Closed once the thread has ended.
    end: Mutex<mpsc::Receiver<()>>,
}

/// How long what was begun may go on when nobody needs the thread any more: a disk that hangs must not
/// keep the process from ending.
const TO_END: Duration = Duration::from_secs(3);

impl Worker {
    /// Runs the work and waits for it; `None` when it panicked. Work that was begun is done, also when
    /// nobody waits any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        #[cfg(feature = "simulation")]
        if let Some(world) = crate::simulation::world() {
            return Some(in_simulation(&world, work).await);
        }
        let (answer, answered) = oneshot::channel();
        let job = move || drop(answer.send(work()));
        self.0.get_or_init(Running::start).jobs.as_ref()?.send(Box::new(job)).ok()?;
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
