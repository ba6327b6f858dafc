//! `[flows.NAME.recurrence]`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::reader::Section;
use crate::schedule::recurrence::{
    Definition, DefinitionError, Every, Frequency, Recurrence, Schedule, WEEK_DAYS,
};

/// Those of a file by their definitions. Flows mostly share a few, and a cron expression takes 5 kB and
/// some hundred steps through the calendar.
#[derive(Default)]
pub(super) struct Recurrences(RefCell<HashMap<String, Arc<Recurrence>>>);

impl Recurrences {
    /// Checks what no other flow has asked for yet.
    fn checked(&self, definition: Definition) -> Result<Arc<Recurrence>, Vec<DefinitionError>> {
        let mut known = self.0.borrow_mut();
        let name = format!("{definition:?}");
        if let Some(recurrence) = known.get(&name) {
            return Ok(Arc::clone(recurrence));
        }
        let recurrence = Arc::new(Recurrence::new(definition)?);
        known.insert(name, Arc::clone(&recurrence));
        Ok(recurrence)
    }
}

/// The recurrence, and whether missed slots are caught up.
pub(super) fn read(
    section: Section<'_>,
    zone: &TimeZone,
    recurrences: &Recurrences,
) -> Option<(Arc<Recurrence>, bool)> {
    let time_zone = section.time_zone("time_zone").unwrap_or_else(|| zone.clone());
    let catch_up = section.boolean("catch_up").unwrap_or(true);
    let schedule = schedule(&section);
    let span = section.span();
    let definition = schedule.map(|schedule| Definition { schedule, time_zone });
    let recurrence = definition.and_then(|definition| {
        let report = |errors: Vec<DefinitionError>| {
            for error in errors {
                let span = section.span_of(error.field).unwrap_or_else(|| span.clone());
                section.problems.error(span, error.message, error.help.unwrap_or_default());
            }
        };
        recurrences.checked(definition).map_err(report).ok()
    });
    section.finish();
    Some((recurrence?, catch_up))
}

fn schedule(section: &Section<'_>) -> Option<Schedule> {
    const FIELDS: [&str; 7] =
        ["frequency", "interval", "start_time", "hours", "minutes", "week_days", "month_days"];
    let cron = section.text("cron");
    let every = every(section);
    let fields: Vec<_> = FIELDS.into_iter().filter(|field| section.has(field)).collect();
    match (cron, every) {
        (Some(cron), _) if !fields.is_empty() => {
            let message = format!("`cron` cannot be combined with `{}`", fields.join("`, `"));
            let help = "write either `cron`, or `frequency` and `interval`";
            section.problems.error(cron.span(), message, help);
            None
        }
        (Some(cron), _) => Some(Schedule::Cron(cron.into_inner())),
        (None, every) => {
            if !section.has("frequency") && !section.has("cron") {
                section.missing("frequency", "write frequency = \"hour\", or cron = \"0 9 * * MON-FRI\"");
            }
            every.map(Schedule::Every)
        }
    }
}

fn every(section: &Section<'_>) -> Option<Every> {
    let frequency = section.choice("frequency", &Frequency::WORDS);
    let week_days = section.texts("week_days");
    let week_days = week_days.iter().filter_map(|day| section.choose("week_days", day, &WEEK_DAYS)).collect();
    let every = Every {
        frequency: frequency.unwrap_or(Frequency::Hour),
        interval: section.integer("interval", 0..=u32::MAX).unwrap_or(1),
        start_time: start_time(section),
        hours: section.small_numbers("hours"),
        minutes: section.small_numbers("minutes"),
        week_days,
        month_days: section.small_numbers("month_days"),
    };
    frequency.map(|_| every)
}

fn start_time(section: &Section<'_>) -> Option<DateTime> {
    let text = section.text("start_time")?;
    let has_zone = text.get_ref().parse::<jiff::Timestamp>().is_ok();
    let parsed: Option<DateTime> = text.get_ref().parse().ok().filter(|_| !has_zone);
    let parsed = parsed.filter(|at| (1970..=2199).contains(&at.year()));
    if parsed.is_none() {
        let help = if has_zone {
            "remove Z or the offset: it is local time in `time_zone`"
        } else {
            "write start_time = \"2026-01-05T08:00:00\", local time in `time_zone`, from 1970 to 2199"
        };
        section.problems.error(
            text.span(),
            format!("`{}` is not a valid local date and time", text.get_ref()),
            help,
        );
    }
    parsed
}
