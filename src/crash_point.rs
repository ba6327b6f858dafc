//! Places where the tests end the process at once, as a power cut would. `FAILPOINTS` names them
//! (`before-commit=3*off->return`: at the fourth pass). A release build has none: without the
//! feature `failpoints`, which only the tests turn on, the macro compiles to nothing.

/// Ends the process here, if the tests want it.
pub(crate) fn crash_point(name: &str) {
    // A release build has no use for it.
    let _ = name;
    fail::fail_point!(name, |_| std::process::abort());
}
