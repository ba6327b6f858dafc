//! `leadflow on FLOW` and `leadflow off FLOW`.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use leadflow::clock::Clock;
use leadflow::config::Loaded;
use leadflow::state;
use leadflow::store::{Lock, Request, Store, StoreError};

use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
}

/// How long the daemon may take to do what it is asked.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn turn(loaded: &Loaded, arguments: &Arguments, on: bool) -> anyhow::Result<ExitCode> {
    let name = &arguments.flow;
    let flow = super::flow_named(&loaded.config, name)?;
    let request = if on { Request::On(name.clone()) } else { Request::Off(name.clone()) };
    let folder = &loaded.config.settings.state;
    let now = Clock::System.now();
    match Lock::take(folder) {
        Ok(_lock) => {
            let mut store = state::open(&loaded.config, now)?;
            store.fulfil_all(now)?;
            store.set_off(name, (!on).then_some(now), now)?;
        }
        Err(StoreError::Busy(_)) => ask_daemon(&mut Store::open(folder)?, &request)?,
        Err(other) => return Err(other.into()),
    }
    if on && !flow.enabled {
        let path = loaded.config.path.display();
        output::print(&format!(
            "{name} stays off: {path} says enabled = false, which this command cannot override"
        ))?;
        return Ok(ExitCode::FAILURE);
    }
    output::print(&format!("{name} is {}", if on { "on" } else { "off; its waiting mails still leave" }))?;
    Ok(ExitCode::SUCCESS)
}

fn ask_daemon(store: &mut Store, request: &Request) -> anyhow::Result<()> {
    let id = store.leave_request(request, Clock::System.now())?;
    let asked = Instant::now();
    while store.request_waits(id)? {
        if asked.elapsed() > PATIENCE {
            bail!("the daemon has not answered yet; it does what was asked as soon as it can");
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
