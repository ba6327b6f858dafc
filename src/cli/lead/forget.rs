//! `leadflow lead forget EMAIL|KEY`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use leadflow::config::Loaded;
use leadflow::tasks::erasure::{self, ErasureReport, ErasureScope, ErasureTarget, Leftover, LookedFor};
use leadflow::views::erasure::ErasureView;

use crate::cli::{Usage, ask, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The person's mail address, or the key of a lead: `RowKey`, or `PartitionKey/RowKey`
    person: String,
    /// Also delete the person's rows from the tables of the flows
    #[arg(long)]
    table: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Print JSON; needs --yes
    #[arg(long)]
    json: bool,
}

/// What is not searched, which no success can speak of.
const NOT_TOUCHED: &str = "leadflow cannot erase backups, the log, mail servers or the recipients' \
                           mailboxes";

pub(super) async fn forget(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    let scope = match erasure::find(config, &ErasureTarget::parse(&arguments.person)).await {
        Ok(scope) => scope,
        Err(rows) => bail!(
            "{} is the key of {} rows, which may belong to different people; give the address, or \
             PartitionKey/RowKey:{}",
            arguments.person,
            rows.len(),
            some_of(&rows)
        ),
    };
    if !scope.person.is_known() && scope.tables.rows.is_empty() {
        let unread = lines_of(scope.tables.unread.iter().map(|(_, left)| left));
        bail!(
            "no table has a row `{}`, so leadflow does not know whom to erase; give the address{unread}",
            arguments.person
        );
    }
    if !arguments.yes {
        if arguments.json {
            return Err(Usage("--json does not ask for confirmation; pass --yes to erase".to_owned()).into());
        }
        output::print(&asked(&scope, arguments))?;
        if !is_agreed()? {
            output::print("nothing was done")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let report = erasure::erase(config, scope, arguments.table).await;
    if arguments.json {
        let view = ErasureView::new(&arguments.person, &report, arguments.table, not_touched(&report));
        output::print_json(&view)?;
    } else {
        output::print(&text_of(&report, arguments))?;
    }
    Ok(if report.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is about to happen.
fn asked(scope: &ErasureScope, arguments: &Arguments) -> String {
    let tables = &scope.tables;
    let unread = lines_of(tables.unread.iter().map(|(_, left)| left));
    format!(
        "{} of {} in {}{unread}\neverything that names the person is erased from the state, its history and its kept \
         mails{}",
        count(tables.rows.len(), "row"),
        arguments.person,
        count(tables.read.len(), "table"),
        if arguments.table {
            ", and the rows from their tables"
        } else if tables.rows.len() == 1 {
            "; the row stays in its table (--table deletes it)"
        } else {
            "; the rows stay in their tables (--table deletes them)"
        },
    )
}

fn text_of(report: &ErasureReport, arguments: &Arguments) -> String {
    let ErasureReport { erased, rows, searched, tables, left, .. } = report;
    let mut text = format!(
        "erased: {}, {} of the history, {} of mail folders, {}\n",
        count(erased.mails.len(), "mail"),
        count(erased.texts, "text"),
        count(erased.files.len(), "file"),
        count(*rows, "row")
    );
    let staying = if arguments.table { 0 } else { tables.rows.len() };
    match staying {
        0 => {}
        1 => text.push_str("1 row of the person stays in its table (--table deletes it)\n"),
        rows => {
            let _ = writeln!(text, "{rows} rows of the person stay in their tables (--table deletes them)");
        }
    }
    let _ = writeln!(
        text,
        "verified: searched {} of {}, {}{} and {} ({}) again",
        count(tables.scanned, "row"),
        count(tables.read.len(), "table"),
        count(searched.mails, "kept mail"),
        match searched.columns {
            0 => String::new(),
            columns => format!(", {} of the database", count(columns, "column")),
        },
        count(searched.files, "file"),
        output::counted(searched.bytes, "byte")
    );
    if report.is_nothing() {
        let _ = writeln!(
            text,
            "nothing about {} was found: compare it with the lead's own address (`leadflow lead list FLOW`)",
            arguments.person
        );
    }
    if left.is_empty() {
        let _ = writeln!(text, "{}", seen(report.looked_for, staying));
    } else {
        let _ = writeln!(text, "not done:{}", lines_of(left.iter()));
    }
    text + &not_touched(report)
}

fn not_touched(report: &ErasureReport) -> String {
    match report.searched.out_of_reach {
        Some(more) => format!("{NOT_TOUCHED}; {more}"),
        None => NOT_TOUCHED.to_owned(),
    }
}

/// What was not found in all that was searched, or in the rows alone that stay.
fn seen(LookedFor { address, name }: LookedFor, staying: usize) -> String {
    let alone = match staying {
        1 => "only in that 1 row".to_owned(),
        rows => format!("only in those {rows} rows"),
    };
    let place = if staying == 0 { "none of them" } else { alone.as_str() };
    match (address, name) {
        (true, false) => {
            format!("the address is in {place}; no row gives a name to search for")
        }
        (false, true) => {
            format!("the name is in {place}; no row gives an address to search for")
        }
        _ if staying == 0 => "neither the name nor the address is in them".to_owned(),
        _ => format!("the name and address are {alone}"),
    }
}

/// The first of the rows, each on a line.
fn some_of(rows: &[String]) -> String {
    let mut text = rows.iter().take(SHOWN).fold(String::new(), |text, row| format!("{text}\n  {row}"));
    if rows.len() > SHOWN {
        let _ = write!(text, "\n  … and {} more", rows.len() - SHOWN);
    }
    text
}

/// Rows of an ambiguous key that are named.
const SHOWN: usize = 10;

fn lines_of<'a>(left: impl Iterator<Item = &'a Leftover>) -> String {
    left.fold(String::new(), |text, Leftover { what, help }| format!("{text}\n  {what}\n    {help}"))
}

fn count(number: usize, thing: &str) -> String {
    output::counted(number as u64, thing)
}

fn is_agreed() -> anyhow::Result<bool> {
    if !ask::can_ask() {
        return Err(Usage("cannot ask for confirmation here; pass --yes to erase".to_owned()).into());
    }
    ask::is_agreed("this cannot be undone; ")
}
