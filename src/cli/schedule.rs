//! `leadflow schedule FLOW`.

use std::process::ExitCode;

use jiff::Timestamp;
use leadflow::config::Loaded;
use leadflow::flow::Flow;
use leadflow::platform::clock::Clock;
use leadflow::schedule::window::Mode;
use leadflow::views::schedule::SlotView;

use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// How many slots to show
    #[arg(long, short = 'n', default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

struct Slot {
    at: Timestamp,
    /// The run reads rows that were written after this, if the run before it came on time.
    reads_from: Timestamp,
}

pub(super) async fn schedule(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let flow = super::flow_named(&loaded.config, &arguments.flow)?;
    let now = Clock::System.now();
    let anchor = match super::state_of(loaded).await? {
        Some(store) => store.seen(&flow.name).await?,
        None => None,
    };
    let slots = slots(flow, anchor.unwrap_or(now), now, arguments.count.into());
    let zone = flow.recurrence.time_zone();
    if arguments.json {
        let view = |Slot { at, reads_from }: &Slot| SlotView {
            at: *at,
            local: at.to_zoned(zone.clone()).to_string(),
            reads_from: *reads_from,
        };
        output::print_json(&slots.iter().map(view).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("{}: {}", flow.name, flow.recurrence);
    if anchor.is_none() {
        text.push_str("; it has never run, so its slots count from now");
    }
    let head = ["local", "utc", "reads rows later than"];
    let local = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string();
    let rows = slots.iter().map(|slot| {
        vec![local(slot.at), slot.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(), local(slot.reads_from)]
    });
    output::print(&format!("{text}\n\n{}", output::table(&head, rows)))?;
    Ok(ExitCode::SUCCESS)
}

fn slots(flow: &Flow, anchor: Timestamp, now: Timestamp, count: usize) -> Vec<Slot> {
    let mut before: Option<Timestamp> = None;
    let mut after = now;
    let mut found = Vec::new();
    while found.len() < count
        && let Some(at) = flow.recurrence.next(anchor, after)
    {
        let by_window = flow.window.length_before(at);
        let by_overlap = before.and_then(|before| before.checked_sub(flow.window.overlap).ok());
        let is_covering = flow.window.mode == Mode::Covering;
        let reads_from = by_overlap.filter(|_| is_covering).map_or(by_window, |at| at.min(by_window));
        found.push(Slot { at, reads_from });
        (before, after) = (Some(at), at);
    }
    found
}
