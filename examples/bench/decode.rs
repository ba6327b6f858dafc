//! What decoding costs beside a bare decode of the same fields, in this process.

use std::hint::black_box;
use std::time::Instant;

use anyhow::ensure;
use leadflow::rows::row::Row;
use serde::Deserialize;
use serde_json::json;

use crate::{floor, table};

/// As the table SDK reads a page.
#[derive(Deserialize)]
struct Page {
    value: Vec<Row>,
}

/// Each so often; the median counts.
const TIMES: usize = 5;
const PAGES: u64 = 100;
const ROWS: u64 = 1_000;

/// Prints the seconds of both.
pub(crate) fn run() -> anyhow::Result<()> {
    let pages: Vec<_> =
        (0..PAGES).map(|page| table::page(page * ROWS, ROWS, "2026-11-24T18:33:35.1234567Z")).collect();
    let (mut bare, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        bare.push(seconds(|| pages.iter().map(|page| Ok(floor::decode(page)?.len())).sum())?);
        rows.push(seconds(|| {
            pages.iter().map(|page| Ok(black_box(serde_json::from_slice::<Page>(page)?).value.len())).sum()
        })?);
    }
    println!("{}", json!({ "bare": median(bare), "rows": median(rows) }));
    Ok(())
}

fn seconds(mut work: impl FnMut() -> anyhow::Result<usize>) -> anyhow::Result<f64> {
    let began = Instant::now();
    ensure!(work()? as u64 == PAGES * ROWS, "rows are missing");
    Ok(began.elapsed().as_secs_f64())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
