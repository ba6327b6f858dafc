//! `leadflow stats`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::SignedDuration;
use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use leadflow::stats::{DayRange, Days, Tally};
use leadflow::store::Store;
use leadflow::views::stats::{FlowStatsView, StatsView};

use super::columns::{Column, Table};
use super::output::{self, counted};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this flow
    flow: Option<String>,
    /// How many days, including today
    #[arg(long, default_value_t = 7, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=3660))]
    days: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Cells of the chart where nothing says how wide it may be, and at most.
const CHART: usize = 24;
/// Cells of the chart at least.
const LEAST_CHART: usize = 6;
/// A cell of the chart, filled from the left in eighths.
const BLOCKS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

pub(super) async fn stats(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let zone = &loaded.config.settings.time_zone;
    let range = DayRange::last(arguments.days, Clock::System.now(), zone);
    let store = super::state_of(loaded).await?;
    let flows = flows(loaded, store.as_ref(), arguments.flow.as_deref(), &range).await?;
    let mut total = Tally::default();
    for (_, days) in &flows {
        total.merge(&days.total);
    }
    let zone = zone.iana_name().unwrap_or("UTC");
    if arguments.json {
        output::print_json(&StatsView {
            days: arguments.days,
            time_zone: zone.to_owned(),
            since: range.start(),
            flows: flows.iter().map(|(flow, days)| FlowStatsView::new(flow, days)).collect(),
            total: (&total).into(),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let days =
        if arguments.days == 1 { "today".to_owned() } else { format!("the last {} days", arguments.days) };
    if total.runs == 0 {
        let of = arguments.flow.as_ref().map_or_else(String::new, |flow| format!(" of {flow}"));
        output::print(&format!("no run{of} in {days}; `leadflow list` shows what is due"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for (flow, days_of_flow) in &flows {
        let _ = writeln!(text, "{flow}, {days} ({zone})\n\n{}\n", table(days_of_flow));
    }
    if flows.len() > 1 {
        let Tally { runs, failed, rows, mails, .. } = total;
        let _ = writeln!(
            text,
            "all flows: {}, {failed} failed, {} in {}",
            counted(runs, "run"),
            counted(rows, "row"),
            counted(mails, "mail")
        );
    }
    output::print(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The flows of the file, and those that were in it and have run in these days.
async fn flows(
    loaded: &Loaded,
    store: Option<&Store>,
    asked: Option<&str>,
    range: &DayRange,
) -> anyhow::Result<Vec<(String, Days)>> {
    let in_file = &loaded.config.flows;
    let mut names: BTreeSet<String> = in_file.keys().cloned().collect();
    if let Some(store) = store {
        names.extend(store.flow_names().await?);
    }
    if let Some(asked) = asked {
        if !names.contains(asked) {
            super::is_on_in_file(loaded, asked).await?;
        }
        names.retain(|name| name == asked);
    }
    let mut counted = Vec::new();
    for name in names {
        let samples = match store {
            Some(store) => store.samples(&name, range.start()).await?,
            None => Vec::new(),
        };
        counted.push((name, range.count(&samples)));
    }
    counted.retain(|(name, days)| days.total.runs > 0 || in_file.contains_key(name));
    Ok(counted)
}

/// A line a day, with its mailed rows as a bar, and the total.
fn table(days: &Days) -> String {
    let most = days.days.iter().map(|(_, tally)| tally.rows).max().unwrap_or_default();
    let columns = |chart| {
        let [runs, failed, rows, mails, median, longest] =
            ["runs", "failed", "rows", "mails", "median", "longest"].map(Column::number);
        [Column::text("day"), runs, failed, rows, mails, median, longest, Column::text("").at_least(chart)]
    };
    let cells = |day: String, tally: &Tally, bar: String| {
        let length = |length: Option<SignedDuration>| length.map_or_else(|| "–".to_owned(), output::duration);
        let counts = [tally.runs, tally.failed, tally.rows, tally.mails].map(|count| count.to_string());
        let mut cells = vec![day];
        cells.extend(counts);
        cells.extend([length(tally.median()), length(tally.longest()), bar]);
        cells
    };
    let rows = |chart| {
        let of_day = |(day, tally): &(jiff::civil::Date, Tally)| {
            cells(day.strftime("%a %Y-%m-%d").to_string(), tally, bar(tally.rows, most, chart))
        };
        let mut rows: Vec<_> = days.days.iter().map(of_day).collect();
        rows.push(cells("total".to_owned(), &days.total, String::new()));
        rows
    };
    let width = output::width();
    let without = Table::new(&columns(0), rows(0), None).width();
    let chart = width.map_or(CHART, |width| width.saturating_sub(without).clamp(LEAST_CHART, CHART));
    Table::new(&columns(chart), rows(chart), width).to_string()
}

/// A bar of at most this many cells; the smallest count that is not 0 is seen.
fn bar(count: u64, most: u64, cells: usize) -> String {
    let eighths = u64::try_from(cells).unwrap_or_default() * 8;
    let filled = (count * eighths).checked_div(most).unwrap_or_default().max(u64::from(count > 0));
    let filled = usize::try_from(filled).unwrap_or_default();
    let mut bar = BLOCKS[7].to_string().repeat(filled / 8);
    bar.extend((filled % 8).checked_sub(1).map(|rest| BLOCKS[rest]));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_hides_a_row() {
        for (count, most, cells, expected) in [
            (0, 0, 10, ""),
            (0, 9, 10, ""),
            (9, 9, 3, "███"),
            (1, 2, 3, "█▌"),
            (1, 1_000, 3, "▏"),
            (3, 9, 0, "▏"),
        ] {
            assert_eq!(bar(count, most, cells), expected, "{count} of {most} in {cells}");
        }
    }
}
