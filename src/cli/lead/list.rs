//! `leadflow lead list FLOW`.

use std::collections::HashMap;
use std::process::ExitCode;

use jiff::tz::TimeZone;
use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use leadflow::rows::row::Row;
use leadflow::tasks::leads::{LeadList, LeadState, NOT_KEPT, NOT_MAILED};
use leadflow::views::leads::{LeadRowView, LeadView};

use super::{explained, table_of, words_of};
use crate::cli::columns::{Column, Table};
use crate::cli::{ask, flow_named, output, state_of};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// How many of the newest leads to show
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT")]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let flow = flow_named(&loaded.config, &arguments.flow)?;
    let table = table_of(loaded, flow).await?;
    let progress = ask::spinner("reading the table");
    let store = state_of(loaded).await?;
    let progress_of =
        |rows| progress.set_message(format!("reading the table: {}", output::counted(rows as u64, "row")));
    let read = LeadList::read(&table, flow, store.as_ref(), arguments.limit, |_| true, progress_of).await;
    progress.finish_and_clear();
    let LeadList { leads, all } = read.map_err(explained)?;
    if arguments.json {
        let rows = leads.iter().map(|(row, state)| LeadRowView::new(row, state));
        output::print_json(&rows.collect::<Vec<_>>())?;
    } else if leads.is_empty() {
        output::print(&format!(
            "the table {} has no row that the filter matches; `leadflow lead add {} --test` writes a test \
             lead",
            flow.table.name, flow.name
        ))?;
    } else {
        output::print(&text(&leads, &loaded.config.settings.time_zone))?;
        if all > leads.len() {
            output::print(&format!("{all} rows in all; -n shows more"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows as a table that fits the terminal, and what its words leave open.
fn text(leads: &[(Row, LeadState)], zone: &TimeZone) -> String {
    let now = Clock::System.now();
    let width = output::width();
    let mut seen = HashMap::new();
    for (row, _) in leads {
        *seen.entry(&row.row_key).or_insert(0) += 1;
    }
    let cells = leads.iter().map(|(row, state)| {
        let lead = LeadView::from(row);
        let written = row.at().map(|at| output::moment_within(at, zone, now, width));
        // `lead show` finds a row by its RowKey alone, where no other row has it.
        let is_shared = seen.get(&row.row_key).is_some_and(|count| *count > 1);
        let whole = || format!("{}/{}", row.partition_key, row.row_key);
        vec![
            written.unwrap_or_else(|| row.timestamp.clone()),
            state.word.clone(),
            state.mail.map_or_else(|| "–".to_owned(), |mail| mail.to_string()),
            words_of(&lead),
            lead.offer.unwrap_or_else(|| "–".to_owned()),
            if is_shared { whole() } else { row.row_key.clone() },
        ]
    });
    let mut text = Table::new(&columns(), cells.collect(), width).to_string();
    let mut note = |words: &str| text.extend(["\n\n", &output::wrapped(words, "")]);
    if leads.iter().any(|(_, state)| state.word == NOT_MAILED) {
        note(
            "not mailed: written before the flow started, a hidden test lead, or skipped by the condition; for \
             details: leadflow lead show",
        );
    }
    if leads.iter().any(|(_, state)| state.word == NOT_KEPT) {
        note("no longer kept: the mail was sent or dropped, and is older than the history");
    }
    if leads.iter().any(|(_, state)| state.is_open) {
        note("`leadflow outbox list` shows the waiting, held and uncertain mails");
    }
    text
}

fn columns() -> [Column; 6] {
    [
        Column::text("written").if_room(2),
        Column::text("state"),
        Column::number("mail").if_room(3),
        Column::text("lead").shrinks(12).if_room(1),
        Column::text("offer").shrinks(8).if_room(4),
        Column::text("key").shrinks(12),
    ]
}
