//! Places where the tests let the daemon hang, as a fault would. `FAILPOINTS` names them
//! (`planner=4*off->return`: at the fifth pass). A release build has none: without the feature
//! `failpoints` of the crate `fail`, which only the tests turn on, the macros compile to nothing.

/// The task that comes here goes no further, if the tests want it; the others go on.
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
