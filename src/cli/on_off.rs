//! `leadflow on FLOW` and `leadflow off FLOW`.

use std::process::ExitCode;

use leadflow::config::Loaded;
use leadflow::store::Request;

use super::{ask, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
}

pub(super) async fn set_on(loaded: &Loaded, arguments: &Arguments, on: bool) -> anyhow::Result<ExitCode> {
    let name = &arguments.flow;
    super::state_to_change(loaded).await?;
    let is_on_in_file = super::is_on_in_file(loaded, name).await?;
    let request = if on { Request::On(name.clone()) } else { Request::Off(name.clone()) };
    ask::ask(loaded, request).await?;
    if on && !is_on_in_file {
        let path = loaded.config.path.display();
        output::print(&format!(
            "{name} stays off: {path} says enabled = false, which this command cannot override"
        ))?;
        return Ok(ExitCode::FAILURE);
    }
    output::print(&format!("{name} is {}", if on { "on" } else { "off; its waiting mails are still sent" }))?;
    Ok(ExitCode::SUCCESS)
}
