//! `leadflow lead list FLOW`.

use std::process::ExitCode;

use leadflow::config::Loaded;
use leadflow::filter;
use leadflow::lead;
use leadflow::row::{Mark, Row};
use leadflow::store::Store;
use leadflow::table::Query;
use leadflow::window::EVER;
use serde_json::{Value, json};

use super::{table_of, with_help, words_of};
use crate::cli::{ask, flow_named, output, state_of};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// How many of the newest
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT")]
    limit: usize,
    /// For scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let flow = flow_named(&loaded.config, &arguments.flow)?;
    let table = table_of(loaded, flow)?;
    let text = flow.table.filter.as_ref().map(|text| filter::fill(text, EVER));
    let progress = ask::spinner("reading the table");
    let mut scan = table.scan(Query { filter: text, select: None });
    let (mut newest, mut all): (Vec<Row>, usize) = (Vec::new(), 0);
    while let Some(page) = scan.next().await.map_err(with_help)? {
        all += page.rows.len();
        newest.extend(page.rows);
        newest.sort_by(|a, b| b.timestamp.cmp(&a.timestamp));
        newest.truncate(arguments.limit);
        progress.set_message(format!("reading the table: {all} rows"));
    }
    progress.finish_and_clear();
    let store = state_of(loaded)?;
    let states = states(&flow.name, &newest, store.as_ref())?;
    if arguments.json {
        let rows = newest.iter().zip(&states).map(|(row, state)| json_of(row, state));
        output::print_json(&rows.collect())?;
    } else if newest.is_empty() {
        output::print(&format!(
            "the table {} has no row that the filter matches; `leadflow lead add {} --test` writes a test lead",
            flow.table.name, flow.name
        ))?;
    } else {
        let zone = &loaded.config.settings.time_zone;
        let head = ["written", "key", "lead", "offer", "state"];
        let rows = newest.iter().zip(&states).map(|(row, state)| {
            let lead = lead::of_row(row);
            let written =
                row.timestamp.parse().map_or_else(|_| row.timestamp.clone(), |at| output::moment(at, zone));
            let offer = lead["offer"].as_str().unwrap_or("–").to_owned();
            vec![
                written,
                format!("{}/{}", row.partition_key, row.row_key),
                words_of(&lead),
                offer,
                state.words.clone(),
            ]
        });
        output::print(&output::table(&head, rows))?;
        if all > newest.len() {
            output::print(&format!("{all} rows in all; -n shows more"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct State {
    words: String,
    run: Option<i64>,
    mail: Option<i64>,
}

fn states(flow: &str, rows: &[Row], store: Option<&Store>) -> anyhow::Result<Vec<State>> {
    let keys: Vec<_> = rows.iter().map(|row| Mark::of(row).key).collect();
    let known = store.map(|store| store.handed_on(flow, &keys)).transpose()?;
    let known = known.unwrap_or_else(|| vec![None; rows.len()]);
    let state = |known: Option<(i64, Option<i64>)>| match known {
        None => State { words: "not seen yet".to_owned(), run: None, mail: None },
        Some((run, None)) => State {
            words: format!("not mailed: before begin, hidden or passed over (run {run})"),
            run: Some(run),
            mail: None,
        },
        Some((run, Some(mail))) => {
            State { words: format!("mail {mail} (run {run})"), run: Some(run), mail: Some(mail) }
        }
    };
    Ok(known.into_iter().map(state).collect())
}

fn json_of(row: &Row, state: &State) -> Value {
    let lead = lead::of_row(row);
    json!({
        "partition_key": row.partition_key, "row_key": row.row_key, "timestamp": row.timestamp,
        "run": state.run, "mail": state.mail, "lead": lead,
    })
}
