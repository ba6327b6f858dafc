//! What a flow that has never run mails first: leads of the last window, and *Validate*'s test leads.

use super::{MOST_COUNTED, Memory, Verdict, Visit};
use crate::engine::run::RunError;
use crate::flow::{Flow, TestLeads};
use crate::platform::clock::Clock;
use crate::rows::lead;
use crate::schedule::window::Mode;
use crate::services::table::{Table, TableError};
use crate::tasks::preview::next_run::NextRun;

/// Reports of a flow that has not read its table yet what its first run mails, were it now.
pub(super) async fn report(
    flow: &Flow,
    table: &Table,
    clock: &Clock,
    memory: Memory<'_>,
    visit: &mut Visit<'_>,
) -> Result<(), TableError> {
    if flow.window.mode == Mode::Fixed {
        return Ok(());
    }
    let store = match memory {
        Memory::Closed => return Ok(()),
        Memory::Empty => None,
        Memory::Open(store) => Some(store),
    };
    let mut next_run = match NextRun::read(flow, table, clock, store).await {
        Ok(next_run) if next_run.is_first => next_run,
        Err(RunError::Table(error)) => return Err(error),
        // It has run before; or the state fails, which other commands say.
        Ok(_) | Err(_) => return Ok(()),
    };
    let mut rows = 0;
    let mut tests = 0;
    let mut old = 0;
    let mut scan = table.scan(flow.table.query(next_run.past_time));
    while let Some(page) = scan.next().await? {
        let Ok(new_rows) = next_run.new_rows(flow, page.rows, store, &mut old).await else { return Ok(()) };
        rows += new_rows.len();
        tests += new_rows.iter().filter(|row| lead::is_test(row)).count();
        if rows > MOST_COUNTED {
            break;
        }
    }
    let hides = flow.email.test_leads == TestLeads::Hide;
    let (message, help) = words((rows, tests), hides, &since(flow, &next_run));
    visit.add(Verdict::Well, message, help);
    Ok(())
}

fn since(flow: &Flow, next_run: &NextRun) -> String {
    next_run.past_time.to_zoned(flow.time_zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn words((rows, tests): (usize, usize), hides: bool, since: &str) -> (String, Option<String>) {
    let counted = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    };
    let mailed = if hides { rows - tests } else { rows };
    let more = if rows > MOST_COUNTED { "more than " } else { "" };
    let message = match mailed {
        0 => format!("a first run now finds no row to mail: it reads rows since {since}"),
        _ => format!("a first run now mails {more}{}, those since {since}", counted(mailed, "row")),
    };
    let test_leads = counted(tests, "test lead");
    match (tests, hides) {
        (0, _) => (message, None),
        (_, true) => (format!("{message}; {test_leads} hidden"), None),
        (_, false) => {
            let help = "test_leads = \"hide\" in the flow's email section keeps test leads out of the mails";
            (format!("{message}, {test_leads} among them"), Some(help.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn test_leads_are_announced() {
        for (counts, hides, message, has_help) in [
            ((0, 0), false, "a first run now finds no row to mail: it reads rows since 08:00", false),
            ((1, 0), false, "a first run now mails 1 row, those since 08:00", false),
            ((3, 2), false, "a first run now mails 3 rows, those since 08:00, 2 test leads among them", true),
            ((3, 1), true, "a first run now mails 2 rows, those since 08:00; 1 test lead hidden", false),
            (
                (1, 1),
                true,
                "a first run now finds no row to mail: it reads rows since 08:00; 1 test lead hidden",
                false,
            ),
        ] {
            let (found, help) = words(counts, hides, "08:00");
            assert_eq!((found.as_str(), help.is_some()), (message, has_help));
        }
    }
}
