//! `leadflow lead show FLOW KEY`: the proof.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use jiff::tz::TimeZone;
use leadflow::config::Loaded;
use leadflow::history::Run;
use leadflow::rows::row::{Row, RowMark};
use leadflow::store::{OutboxEntry, OutboxFilter, Provenance, Store};
use leadflow::views::leads::{LeadProofView, LeadView, ProvenanceView, RowView};

use super::{table_of, with_help, words_of};
use crate::cli::{flow_named, history, output, state_of};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// `RowKey`, or `PartitionKey/RowKey`, which also finds a lead that is no longer in the table
    key: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was done with a row: by which run, in which mail.
struct ProvenanceStep {
    run: i64,
    of_run: Option<Run>,
    mail: Option<OutboxEntry>,
    is_mailed: bool,
}

pub(super) async fn show(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let flow = flow_named(&loaded.config, &arguments.flow)?;
    let (partition, row_key) = match arguments.key.rsplit_once('/') {
        Some((partition, row_key)) => (Some(partition), row_key),
        None => (None, arguments.key.as_str()),
    };
    let mut rows = table_of(loaded, flow).await?.rows_of(partition, row_key).await.map_err(with_help)?;
    if rows.len() > 1 {
        let keys: Vec<_> = rows.iter().map(|row| format!("{}/{}", row.partition_key, row.row_key)).collect();
        bail!("{} rows have this RowKey; name one of {}", keys.len(), keys.join(", "));
    }
    let row = rows.pop();
    let mark = match (&row, partition) {
        (Some(row), _) => RowMark::new(row),
        (None, Some(partition)) => RowMark::from_keys(partition, row_key),
        (None, None) => {
            bail!("the table has no row `{row_key}`; for a deleted row, write PartitionKey/RowKey")
        }
    };
    let steps = match state_of(loaded).await? {
        Some(store) => steps(&store, &flow.name, &mark).await?,
        None => Vec::new(),
    };
    if row.is_none() && steps.is_empty() {
        bail!(
            "there is no record of `{}`: it is not in the table, and {} has not seen it",
            arguments.key,
            flow.name
        );
    }
    if arguments.json {
        let key = arguments.key.clone();
        let row = row.as_ref().map(RowView::from);
        output::print_json(&LeadProofView {
            key,
            row,
            history: steps.iter().map(ProvenanceStep::view).collect(),
        })?;
    } else {
        output::print(&text(&arguments.key, row.as_ref(), &steps, &loaded.config.settings.time_zone))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn steps(store: &Store, flow: &str, mark: &RowMark) -> anyhow::Result<Vec<ProvenanceStep>> {
    let mut steps = Vec::new();
    for Provenance { run, message: mail } in store.provenance(flow, mark.id).await? {
        let entry = match mail {
            Some(mail) => store.outbox(OutboxFilter::One(mail)).await?.pop(),
            None => None,
        };
        steps.push(ProvenanceStep {
            run,
            of_run: store.run(run).await?,
            mail: entry,
            is_mailed: mail.is_some(),
        });
    }
    Ok(steps)
}

impl ProvenanceStep {
    fn view(&self) -> ProvenanceView {
        ProvenanceView::new(self.run, self.of_run.as_ref(), self.mail.as_ref().map(|listed| &listed.message))
    }
}

fn text(key: &str, row: Option<&Row>, steps: &[ProvenanceStep], zone: &TimeZone) -> String {
    let mut text = format!("lead {key}\n");
    match row {
        Some(row) => {
            let lead = LeadView::from(row);
            let mark = |is_so: bool, words: &str| if is_so { format!(" · {words}") } else { String::new() };
            let offer = lead.offer.as_ref().map_or_else(String::new, |offer| format!(" · {offer}"));
            let _ = writeln!(
                text,
                "  {}{}{}{}",
                output::line(&words_of(&lead)),
                output::line(&offer),
                mark(lead.is_test, "test lead"),
                mark(lead.do_not_contact, "do not contact")
            );
            let written =
                row.at().map_or_else(|| output::line(&row.timestamp), |at| output::moment(at, zone));
            let _ = writeln!(
                text,
                "\nwritten {written} according to the table (a later write changes \
                 this)"
            );
        }
        None => text.push_str("  it is no longer in the table\n"),
    }
    if steps.is_empty() {
        text.push_str("\nnot read yet: the flow's next run reads it, if its filter matches\n");
    }
    for step in steps {
        let of_run = step.of_run.as_ref().map_or_else(
            || " (no longer in the history)".to_owned(),
            |run| format!(", {} ({})", output::moment(run.started, zone), run.cause),
        );
        let _ = writeln!(text, "\nread by run {}{of_run}", step.run);
        match &step.mail {
            Some(listed) => text.push_str(history::mail_text(&listed.message, zone).trim_start()),
            None if step.is_mailed => text.push_str("  its mail is no longer in the history\n"),
            None => text.push_str(
                "  not mailed: written before the flow started, hidden, or skipped by the condition\n",
            ),
        }
    }
    text
}
