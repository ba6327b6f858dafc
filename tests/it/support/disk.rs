//! A disk that misbehaves for one process: `tests/faults/disk.c`, compiled on first use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library, for `LD_PRELOAD`.
pub(crate) fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/disk.c");
        let library: PathBuf = tempfile::tempdir().unwrap().keep().join("disk.so");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ldl");
        let needs = "the tests compile tests/faults/disk.c; install a C compiler (Debian: build-essential)";
        let output = compiler.output().unwrap_or_else(|error| panic!("{needs}: {error}"));
        assert!(output.status.success(), "{needs}: {}", String::from_utf8_lossy(&output.stderr));
        library.display().to_string()
    })
}
