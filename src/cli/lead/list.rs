//! `leadflow lead list FLOW`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::process::ExitCode;

use jiff::tz::TimeZone;
use leadflow::config::Loaded;
use leadflow::outbox::{self, Recipient};
use leadflow::platform::clock::Clock;
use leadflow::rows::newest::Newest;
use leadflow::rows::row::{Row, RowMark};
use leadflow::schedule::window::EVER;
use leadflow::store::{OutboxFilter, Provenance, Store};
use leadflow::views::leads::{LeadRowView, LeadView};

use super::{table_of, with_help, words_of};
use crate::cli::columns::{Column, Table};
use crate::cli::outbox::worst_state;
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
    let mut scan = table.scan(flow.table.query(EVER).all_columns());
    let mut newest = Newest::new(arguments.limit);
    let mut all = 0;
    while let Some(page) = scan.next().await.map_err(with_help)? {
        all += page.rows.len();
        newest.extend(page.rows);
        progress.set_message(format!("reading the table: {}", output::counted(all as u64, "row")));
    }
    progress.finish_and_clear();
    let newest = newest.into_rows();
    let store = state_of(loaded).await?;
    let states = states(&flow.name, &newest, store.as_ref()).await?;
    if arguments.json {
        let rows = newest.iter().zip(&states).map(|(row, state)| view_of(row, state));
        output::print_json(&rows.collect::<Vec<_>>())?;
    } else if newest.is_empty() {
        output::print(&format!(
            "the table {} has no row that the filter matches; `leadflow lead add {} --test` writes a test \
             lead",
            flow.table.name, flow.name
        ))?;
    } else {
        output::print(&text(&newest, &states, &loaded.config.settings.time_zone))?;
        if all > newest.len() {
            output::print(&format!("{all} rows in all; -n shows more"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows as a table that fits the terminal, and what its words leave open.
fn text(rows: &[Row], states: &[State], zone: &TimeZone) -> String {
    let now = Clock::System.now();
    let width = output::width();
    let mut seen = HashMap::new();
    for row in rows {
        *seen.entry(&row.row_key).or_insert(0) += 1;
    }
    let cells = rows.iter().zip(states).map(|(row, state)| {
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
    if states.iter().any(|state| state.word == NOT_MAILED) {
        note(
            "not mailed: written before the flow started, a hidden test lead, or skipped by the condition; for \
             details: leadflow lead show",
        );
    }
    if states.iter().any(|state| state.word == NOT_KEPT) {
        note("no longer kept: the mail was sent or dropped, and is older than the history");
    }
    if states.iter().any(|state| state.is_open) {
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

/// Of a row that no run has read.
const NOT_READ: &str = "not read yet";
/// Of a row that a run has read and put into no mail.
const NOT_MAILED: &str = "not mailed";
/// Of a row whose mail is older than the history: sent, or dropped by a person.
const NOT_KEPT: &str = "no longer kept";

/// What became of a row.
struct State {
    word: String,
    run: Option<i64>,
    mail: Option<i64>,
    /// Its mail waits, is held or uncertain.
    is_open: bool,
}

async fn states(flow: &str, rows: &[Row], store: Option<&Store>) -> anyhow::Result<Vec<State>> {
    let plain = |word: &str, run| State { word: word.to_owned(), run, mail: None, is_open: false };
    let Some(store) = store else { return Ok(rows.iter().map(|_| plain(NOT_READ, None)).collect()) };
    let ids: Vec<_> = rows.iter().map(|row| RowMark::new(row).id).collect();
    let mut mails = HashMap::new();
    let mut states = Vec::new();
    for known in store.last_provenance(flow, ids).await? {
        states.push(match known {
            None => plain(NOT_READ, None),
            Some(Provenance { run, message: None }) => plain(NOT_MAILED, Some(run)),
            Some(Provenance { run, message: Some(mail) }) => {
                let (word, is_open) = match mails.entry(mail) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(vacant) => vacant.insert(state_of_mail(store, mail).await?),
                };
                State { word: word.clone(), run: Some(run), mail: Some(mail), is_open: *is_open }
            }
        });
    }
    Ok(states)
}

/// The mail's state, and whether `outbox list` has it.
async fn state_of_mail(store: &Store, mail: i64) -> anyhow::Result<(String, bool)> {
    let Some(listed) = store.outbox(OutboxFilter::One(mail)).await?.pop() else {
        return Ok((NOT_KEPT.to_owned(), false));
    };
    let recipients = &listed.message.recipients;
    let is_open = |recipient: &Recipient| {
        recipient.uncertain > 0
            || !matches!(recipient.state, outbox::RecipientState::Sent | outbox::RecipientState::Dropped)
    };
    Ok((worst_state(recipients), recipients.iter().any(is_open)))
}

fn view_of(row: &Row, state: &State) -> LeadRowView {
    LeadRowView {
        partition_key: row.partition_key.clone(),
        row_key: row.row_key.clone(),
        timestamp: row.timestamp.clone(),
        state: state.word.clone(),
        run: state.run,
        mail: state.mail,
        lead: row.into(),
    }
}
