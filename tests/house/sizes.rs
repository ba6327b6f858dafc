//! How large files are. `clippy.toml` has the limit of functions.

use super::sources;

/// Lines of the largest file.
const LARGEST: usize = 400;
/// Of ten files nine have no more.
const NINE_OF_TEN: usize = 350;
/// Half of the files have no more.
const HALF: usize = 150;

#[test]
fn files_are_small() {
    let mut lengths: Vec<_> =
        sources().into_iter().map(|source| (source.text.lines().count(), source.path)).collect();
    lengths.sort_unstable();
    let too_large: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > LARGEST).collect();
    assert!(too_large.is_empty(), "split these: {too_large:?}");
    let at = |part: usize| lengths[(lengths.len() - 1) * part / 10].0;
    assert!(at(5) <= HALF, "half of the files have more than {} lines", at(5));
    assert!(at(9) <= NINE_OF_TEN, "one file of ten has more than {} lines", at(9));
}
