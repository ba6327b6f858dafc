//! The flows.toml of a history, whose connections are those of the simulated world.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;

use super::servers::SERVERS;
use super::services::{mail_connection, table_connection};
use super::story::{Definition, Plan, Rule, SECOND, Story};
use super::table::name_of;
use super::world::World;
use super::{Break, Kind, Violation};
use leadflow::config;
use leadflow::flow::{Config, Flow};

/// One version of the file.
pub(super) fn text(story: &Story, file: usize) -> String {
    let mut text = String::new();
    for server in 0..SERVERS {
        let _ = write!(
            text,
            "[connections.{}.mail_folder]\npath = \"none\"\nfrom = \"leads@sim.example\"\n",
            mail_connection(server)
        );
    }
    for (plan, definition) in story.plans.iter().zip(&story.files[file]) {
        let _ = write!(
            text,
            "[connections.{}.embedded_table]\nfile = \"{file}\"\n",
            table_connection(&plan.name)
        );
        flow(&mut text, plan, definition);
    }
    text
}

fn flow(text: &mut String, plan: &Plan, definition: &Definition) {
    let name = &plan.name;
    let condition = match definition.rule {
        Rule::AtLeast(1) => "length > 0".to_owned(),
        Rule::AtLeast(number) => format!("length >= {number}"),
        Rule::Nothing => "length == 0".to_owned(),
    };
    let filter = if definition.is_wide { "" } else { " and Kind eq 'plain'" };
    let to: Vec<_> = definition.to.iter().map(|r| format!("r{r}@sim.example")).collect();
    let connections: Vec<_> =
        definition.connections.iter().map(|c| format!("\"{}\"", mail_connection(*c))).collect();
    let _ = write!(
        text,
        r#"[flows.{name}]
enabled = {}
condition = "{condition}"
recurrence = {{ frequency = "minute", interval = {}, catch_up = {} }}
window = {{ unit = "second", interval = {}, overlap = "{} seconds", look_back = "{} seconds" }}
[flows.{name}.table]
connection = "{}"
name = "{}"
filter = "Timestamp gt datetime'{{{{past_time}}}}'{filter}"
notify_on = "{}"
[flows.{name}.email]
connection = [{}]
to = "{}"
each = "{}"
per_hour = {}
body = "{{{{#each rows}}}}v={{{{V}}}};\n{{{{/each}}}}"
"#,
        definition.enabled,
        definition.minutes,
        plan.catch_up,
        plan.window / SECOND,
        plan.overlap / SECOND,
        plan.look_back / SECOND,
        table_connection(name),
        name_of(definition.table),
        if plan.is_change { "change" } else { "new" },
        connections.join(", "),
        to.join("; "),
        if plan.each_row { "row" } else { "run" },
        // More heartbeats than may be sent would wait for ever.
        if definition.rule == Rule::Nothing { 1_000 } else { definition.per_hour },
    );
}

/// Reads every version of the file, as leadflow does.
pub(super) fn configs(world: &World) -> Result<Vec<Arc<Config>>, Violation> {
    let mut configs: Vec<Arc<Config>> = Vec::new();
    for file in 0..world.story.files.len() {
        let same = (0..file).find(|other| world.story.files[*other] == world.story.files[file]);
        let config = match same {
            Some(other) => Arc::clone(&configs[other]),
            None => config(world, &text(&world.story, file))?,
        };
        configs.push(config);
    }
    Ok(configs)
}

fn config(world: &World, text: &str) -> Result<Arc<Config>, Violation> {
    let parsed = config::parse(Path::new("/simulation/flows.toml"), "flows.toml", text);
    let mut config =
        parsed.map_err(|report| Violation::new(Kind::Broken, format!("no flows.toml: {report:?}")))?.config;
    if world.break_it == Some(Break::NoOverlap) {
        Arc::make_mut(&mut config).flows.values_mut().filter_map(Arc::get_mut).for_each(without_overlap);
    }
    Ok(config)
}

fn without_overlap(flow: &mut Flow) {
    flow.window.overlap = SignedDuration::ZERO;
}
