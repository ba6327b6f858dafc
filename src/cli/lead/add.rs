//! `leadflow lead add FLOW --test`.

use std::process::ExitCode;

use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use leadflow::tasks::made_up_leads::MadeUpLead;

use super::{table_of, with_help};
use crate::cli::{Usage, flow_named, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// Mark it as a test; required, since only the marketplace writes real leads
    #[arg(long)]
    test: bool,
}

pub(super) async fn add(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if !arguments.test {
        return Err(Usage("only test leads can be written; add --test".to_owned()).into());
    }
    let flow = flow_named(&loaded.config, &arguments.flow)?;
    let MadeUpLead { partition_key, row_key, columns } = MadeUpLead::from_validate(Clock::System.now());
    table_of(loaded, flow).await?.insert(&columns).await.map_err(with_help)?;
    output::print(&format!(
        "the test lead {partition_key}/{row_key} is written to {}; `leadflow trigger {1}` mails it, `leadflow lead \
         show {1} {row_key}` shows what happens to it",
        flow.table.name, flow.name,
    ))?;
    Ok(ExitCode::SUCCESS)
}
