//! Work that may block, on a thread of its own.

use tokio::task::JoinError;

/// Runs the work and waits for it.
///
/// # Errors
/// When the work panicked or the process is stopping.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    // A simulated process has one thread, and may be killed before the work and after it.
    #[cfg(feature = "simulation")]
    if let Some(world) = crate::simulation::world() {
        world.point().await;
        let result = work();
        world.point().await;
        return Ok(result);
    }
    tokio::task::spawn_blocking(work).await
}
