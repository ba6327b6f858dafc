//! Places where the tests end the process at once, as a power cut would, or let a task hang, as a fault
//! would. `FAILPOINTS` names them (`before-commit=3*off->return`: at the fourth pass). A release build
//! has none: without the feature `failpoints` of the crate `fail`, which only the tests turn on, the
//! macros compile to nothing.

/// Ends the process here, if the tests want it.
pub(crate) fn crash_point(name: &str) {
    // A release build has no use for it.
    let _ = name;
    fail::fail_point!(name, |_| std::process::abort());
}

/// The task that comes here goes no further, if the tests want it; the others continue.
pub(crate) async fn hang_point(name: &str) {
    let _ = name;
    let hangs = || {
        fail::fail_point!(name, |_| true);
        false
    };
    if hangs() {
        std::future::pending::<()>().await;
    }
}

/// The thread that comes here waits with all that it holds, if the tests want it (`pause`).
pub(crate) fn block_point(name: &str) {
    let _ = name;
    fail::fail_point!(name);
}
