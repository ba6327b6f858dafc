//! `leadflow lead show FLOW KEY`: the proof.

use std::fmt::Write as _;
use std::process::ExitCode;

use jiff::tz::TimeZone;
use leadflow::config::Loaded;
use leadflow::tasks::leads::{LeadProof, NoProof};
use leadflow::views::leads::{LeadProofView, LeadView};

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

pub(super) async fn show(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let flow = flow_named(&loaded.config, &arguments.flow)?;
    let table = table_of(loaded, flow).await?;
    let store = state_of(loaded).await?;
    let proof = LeadProof::find(&table, flow, store.as_ref(), &arguments.key).await;
    let proof = proof.map_err(|error| match error {
        NoProof::Table(error) => with_help(error),
        other => other.into(),
    })?;
    if arguments.json {
        output::print_json(&LeadProofView::new(&arguments.key, &proof))?;
    } else {
        output::print(&text(&arguments.key, &proof, &loaded.config.settings.time_zone))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(key: &str, LeadProof { row, steps }: &LeadProof, zone: &TimeZone) -> String {
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
