//! `[flows.NAME]`, its window and its table.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use toml::de::{DeTable, DeValue};

use super::connections::Connections;
use super::reader::Section;
use super::recurrence::Recurrences;
use super::templates::TemplateFolder;
use super::{email, recurrence};
use crate::filter::Filter;
use crate::flow::condition::Condition;
use crate::flow::{Flow, FlowTable, NotifyOn, Settings, TableConnection};
use crate::schedule::recurrence::Frequency;
use crate::schedule::window::{Mode, Window};

const OVERLAP: SignedDuration = SignedDuration::from_mins(15);
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The flows of a file.
#[derive(Debug, Default)]
pub(super) struct Flows {
    pub(super) whole: BTreeMap<String, Arc<Flow>>,
    /// Those that something is wrong with, and whether they are on, so far as the file says.
    pub(super) broken: BTreeMap<String, bool>,
}

/// `tables` is what `[flows.NAME]` define.
pub(super) fn read(
    root: &Section<'_>,
    tables: DeTable<'_>,
    settings: &Settings,
    connections: &Connections,
    templates: &TemplateFolder,
) -> Flows {
    let mut flows = Flows::default();
    let recurrences = Recurrences::default();
    // Reports it where it is not a table.
    let _ = root.section("flows");
    for (name, table) in tables {
        let span = name.span();
        let name = name.into_inner().into_owned();
        let fits = !name.is_empty()
            && name.len() <= 64
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !fits {
            let message = format!("`{name}` is not a valid flow name");
            root.problems.error(span, message, "use at most 64 letters, digits, - and _");
        }
        let section = root.inner_section("flows", &name, &table);
        let is_on = is_on(table.get_ref());
        match section.and_then(|section| flow(&name, section, settings, connections, templates, &recurrences))
        {
            Some(flow) => drop(flows.whole.insert(name, Arc::new(flow))),
            None => drop(flows.broken.insert(name, is_on)),
        }
    }
    if flows.whole.is_empty() && flows.broken.is_empty() {
        root.problems.warn(
            0..0,
            "no flow is defined",
            "write [flows.NAME] with its recurrence, table and email",
        );
    }
    flows
}

fn is_on(flow: &DeValue<'_>) -> bool {
    let enabled = flow.get("enabled").map(toml::Spanned::get_ref);
    !matches!(enabled, Some(DeValue::Boolean(false)))
}

fn flow(
    name: &str,
    section: Section<'_>,
    settings: &Settings,
    connections: &Connections,
    templates: &TemplateFolder,
    recurrences: &Recurrences,
) -> Option<Flow> {
    let description = section.text("description").map(toml::Spanned::into_inner);
    let enabled = section.boolean("enabled").unwrap_or(true);
    let condition = condition(&section);
    let part = |key: &'static str| {
        let inner = section.section(key);
        if !section.has(key) {
            section.missing(key, &format!("write [flows.{name}.{key}]"));
        }
        inner
    };
    let recurrence =
        part("recurrence").and_then(|inner| recurrence::read(inner, &settings.time_zone, recurrences));
    let table = part("table").and_then(|inner| table(inner, connections));
    let of_table = table.as_ref();
    let email =
        part("email").and_then(|inner| email::read(inner, connections, templates, of_table, condition));
    let length = recurrence.as_ref().map(|(recurrence, _)| recurrence.length());
    let window = window(section.section("window"), length);
    section.finish();
    let (recurrence, catch_up) = recurrence?;
    let time_zone = recurrence.time_zone().clone();
    Some(Flow {
        name: name.to_owned(),
        description,
        enabled,
        condition,
        recurrence,
        catch_up,
        window,
        table: table?,
        email: email?,
        time_zone,
    })
}

fn condition(section: &Section<'_>) -> Condition {
    let Some(text) = section.text("condition") else { return Condition::default() };
    text.get_ref().parse().unwrap_or_else(|error: crate::flow::condition::ConditionError| {
        section.problems.error(
            text.span(),
            error.to_string(),
            "write \"length > 0\", \"length >= 5\" or \"length == 0\"",
        );
        Condition::default()
    })
}

/// `recurrence` is its length, where it is known.
fn window(section: Option<Section<'_>>, recurrence: Option<SignedDuration>) -> Window {
    let mut window = Window {
        mode: Mode::Covering,
        length: recurrence.unwrap_or(OVERLAP),
        overlap: OVERLAP,
        look_back: LOOK_BACK,
    };
    let Some(section) = section else { return window };
    let unit = section.choice("unit", &Frequency::WORDS);
    let interval = section.integer("interval", 1..=50_000_000);
    if section.has("unit") || section.has("interval") {
        let unit = unit.unwrap_or(Frequency::Hour).length();
        window.length = unit
            .checked_mul(interval.unwrap_or(1).try_into().unwrap_or(i32::MAX))
            .unwrap_or(SignedDuration::MAX);
        if !section.has("unit") {
            section.missing("unit", "write unit = \"hour\"");
        }
    }
    window.overlap = section.duration("overlap").unwrap_or(window.overlap);
    window.look_back = section.duration("look_back").unwrap_or(window.look_back);
    if let Some(mode) = section.choice("mode", &[("covering", Mode::Covering), ("fixed", Mode::Fixed)]) {
        window.mode = mode;
    }
    if let Some(recurrence) = recurrence.filter(|_| window.mode == Mode::Fixed) {
        warn_of_fixed(&section, window.length, recurrence);
    }
    section.finish();
    window
}

/// What Power Automate's way loses and repeats, in figures.
fn warn_of_fixed(section: &Section<'_>, length: SignedDuration, each: SignedDuration) {
    let words = |length: SignedDuration| format!("{length:#}");
    let slack = length.saturating_sub(each);
    let message = if slack.is_negative() {
        let lost = words(slack.abs());
        format!(
            "a fixed window of {} every {} misses the rows of the other {lost}",
            words(length),
            words(each)
        )
    } else if slack.is_zero() {
        "with a fixed window, rows written while a run is late or leadflow is down are never mailed"
            .to_owned()
    } else {
        let slack = words(slack);
        format!(
            "with a fixed window, rows of {slack} are mailed twice, and a run that is more than {slack} late misses \
             rows"
        )
    };
    let help =
        "mode = \"covering\" (the default) reads from where the last run stopped, and mails each row once";
    section.problems.warn(section.span(), message, help);
}

fn table(section: Section<'_>, connections: &Connections) -> Option<FlowTable> {
    let connection = connections.table_named(&section, "connection");
    let name = section.text("name");
    match &name {
        Some(name) if !is_table_name(name.get_ref()) => {
            let message = format!("`{}` is not a valid table name", name.get_ref());
            section.problems.error(
                name.span(),
                message,
                "use 3 to 63 letters and digits, starting with a letter",
            );
        }
        None if !section.has("name") => {
            section.missing("name", "write the table's name: name = \"marketplaceleads\"");
        }
        _ => {}
    }
    let filter = section.text("filter");
    let is_azure = connection
        .as_ref()
        .is_some_and(|name| matches!(connections.tables.get(name), Some(TableConnection::Azure(_))));
    let covering = filter.as_ref().is_none_or(|text| check_filter(&section, text, is_azure));
    let select: Vec<_> = section.texts("select").into_iter().map(toml::Spanned::into_inner).collect();
    let columns = section.texts("columns").into_iter().map(toml::Spanned::into_inner).collect();
    let choices = [("new", NotifyOn::New), ("change", NotifyOn::Change)];
    let notify_on = section.choice("notify_on", &choices).unwrap_or(NotifyOn::New);
    section.finish();
    Some(FlowTable {
        connection: connection?,
        name: name?.into_inner(),
        filter: filter.map(toml::Spanned::into_inner),
        covering,
        select: (!select.is_empty()).then_some(select),
        columns,
        notify_on,
    })
}

/// Whether the filter covers; says what is wrong with it.
fn check_filter(section: &Section<'_>, text: &toml::Spanned<String>, is_azure: bool) -> bool {
    match Filter::parse(text.get_ref()) {
        Ok(filter) if filter.is_covering() => {
            if is_azure && !filter.names_partitions() {
                let message =
                    "each run makes the service scan the whole table, because only the keys are indexed";
                let help = "for a large table, add a range: `PartitionKey ge 'a' and PartitionKey lt 'b'`";
                section.problems.note(text.span(), message, help);
            }
            true
        }
        Ok(_) => {
            let message = "the filter has no lower bound on Timestamp: rows may be missed";
            let help = "start it with Timestamp gt datetime'{{past_time}}' and (…)";
            section.problems.warn(text.span(), message, help);
            false
        }
        Err(error) => {
            // Within the quotes, where the file has the text as it is.
            let span = text.span();
            let is_plain = span.len() == text.get_ref().len() + 2;
            let start = span.start + 1;
            let exact = start + error.span.start..start + error.span.end;
            section.problems.error(if is_plain { exact } else { span }, error.message, error.help);
            true
        }
    }
}

fn is_table_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
}
