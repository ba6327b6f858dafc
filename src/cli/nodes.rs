//! `leadflow nodes`.

use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use leadflow::store::Store;
use leadflow::views::nodes::NodeView;

use super::columns::{Column, Table};
use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Forget a node that is gone and does not come back
    #[arg(long, value_name = "NODE", conflicts_with = "json")]
    forget: Option<String>,
}

/// Show the machines that share the state.
pub(super) async fn nodes(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if loaded.config.settings.postgres.is_none() {
        if arguments.json {
            output::print_json(&Vec::<NodeView>::new())?;
        } else {
            let state = loaded.config.settings.state.display();
            output::print(&format!(
                "the state is on this machine alone, in {state}; several machines share one in PostgreSQL: see \
                 docs/high-availability.md"
            ))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &arguments.forget {
        return forget(loaded, name).await;
    }
    let views = match super::state_of(loaded).await? {
        Some(store) => all(loaded, &store).await?,
        None => Vec::new(),
    };
    if arguments.json {
        output::print_json(&views)?;
    } else if views.is_empty() {
        output::print("no node works on this state")?;
    } else {
        let zone = &loaded.config.settings.time_zone;
        let now = Clock::System.now();
        let width = output::width();
        let moment = |at| output::moment_within(at, zone, now, width);
        let rows = views.iter().map(|view| cells(view, moment)).collect();
        output::print(&Table::new(&columns(), rows, width).to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(loaded: &Loaded, store: &Store) -> anyhow::Result<Vec<NodeView>> {
    let digest = &loaded.config.digest;
    Ok(store.nodes().await?.into_iter().map(|node| NodeView::new(node, digest)).collect())
}

async fn forget(loaded: &Loaded, name: &str) -> anyhow::Result<ExitCode> {
    let Some(store) = super::state_to_change(loaded).await? else {
        bail!("there is no state yet: leadflow has never run")
    };
    let known = store.nodes().await?;
    match known.iter().find(|known| known.node.name == name) {
        None => {
            let names: Vec<&str> = known.iter().map(|known| known.node.name.as_str()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            bail!("{}", output::line(&format!("there is no node `{name}`; there is {names}")))
        }
        Some(node) if node.is_alive => bail!("{name} is alive; stop leadflow on that machine first"),
        Some(_) => {}
    }
    if !store.forget_node(name).await? {
        bail!("the lease of {name} has just ended; run the command again when another node has taken over");
    }
    output::print(&format!("{name} is forgotten"))?;
    Ok(ExitCode::SUCCESS)
}

fn columns() -> [Column; 6] {
    [
        Column::text("node").shrinks(8),
        Column::text("state").shrinks(4),
        Column::text("last seen"),
        Column::text("joined").if_room(2),
        Column::text("version"),
        Column::text("files"),
    ]
}

fn cells(view: &NodeView, moment: impl Fn(Timestamp) -> String) -> Vec<String> {
    vec![
        view.node.clone(),
        if view.alive { "alive" } else { "gone" }.to_owned(),
        moment(view.seen),
        moment(view.joined),
        view.version.clone(),
        if view.has_same_files { "as here" } else { "others" }.to_owned(),
    ]
}
