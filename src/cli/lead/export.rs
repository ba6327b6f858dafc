//! `leadflow lead export FLOW`: the leads for a CRM, in constant memory.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::ValueEnum;
use indicatif::ProgressBar;
use leadflow::compose::sheet::Sheet;
use leadflow::compose::spool::Spool;
use leadflow::config::{self, Loaded};
use leadflow::flow::{Flow, Separator};
use leadflow::platform::clock::Clock;
use leadflow::platform::ownership::{Draft, Readers};
use leadflow::rows::lead;
use leadflow::schedule::window::EVER;
use leadflow::services::table::Query;
use leadflow::text::foreign;

use super::{table_of, with_help};
use crate::cli::{Usage, ask, flow_named, moment, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// Only rows that were written later: "2026-11-20", "2026-11-20T08:00:00Z", "3 days"
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The file to write; standard output without it
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// What is written
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    format: Format,
    /// The columns: dynamics365, salesforce or hubspot; without it those of the flow's `csv`, or all
    #[arg(long, value_name = "PRESET")]
    columns: Option<String>,
    /// Also leads that say "do not contact", which are left out otherwise
    #[arg(long)]
    do_not_contact: bool,
    /// What stands between the cells of a CSV: "," or ";" or tab; without it the flow's `csv_separator`
    #[arg(long, value_name = "SEPARATOR")]
    separator: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// UTF-8 with a byte order mark, as Excel wants it; CRLF line ends
    Csv,
    /// One array of objects
    Json,
    /// One JSON object a line
    Ndjson,
}

pub(super) async fn export(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let flow = flow_named(&loaded.config, &arguments.flow)?;
    let since = arguments
        .since
        .as_ref()
        .map(|text| moment::parse(text, &loaded.config.settings.time_zone, Clock::System.now()));
    let since = since.transpose()?.unwrap_or(EVER);
    let sheet = sheet_of(flow, arguments.columns.as_deref())?;
    let separator = separator_of(flow, arguments.separator.as_deref())?;
    let progress = ask::spinner("reading the table");
    // All columns are known only when the last row is read.
    let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir()?;
    let mut spool = Spool::new(folder.path()).knowing(flow.email.named_columns());
    let table = table_of(loaded, flow)?;
    let select = columns_to_ask_for(flow, sheet.as_ref());
    let mut scan = table.scan(Query { select, ..flow.table.query(since) });
    let mut left_out = 0;
    while let Some(page) = scan.next().await.map_err(with_help)? {
        for row in page.rows.iter().filter(|row| row.is_after(since)) {
            if !arguments.do_not_contact && lead::is_do_not_contact(row) {
                left_out += 1;
            } else {
                spool.push(row)?;
            }
        }
        progress.set_message(format!("reading the table: {}", output::counted(spool.len(), "row")));
    }
    let sheet = sheet.unwrap_or_else(|| Sheet::of_spool(&spool));
    let sheet = sheet.separated_by(separator);
    match &arguments.to {
        None => {
            let mut out = BufWriter::new(output::raw());
            match write_to(&mut out, &sheet, &mut spool, arguments.format, &progress) {
                Err(error) if is_broken_pipe(&error) => return Ok(ExitCode::SUCCESS),
                result => result?,
            }
        }
        Some(path) => {
            let failed = |error: io::Error| anyhow!("cannot write {}: {error}", path.display());
            let mut draft = Draft::replacing(path, Readers::Asker).map_err(failed)?;
            let mut out = BufWriter::new(&mut draft);
            write_to(&mut out, &sheet, &mut spool, arguments.format, &progress)?;
            out.flush()?;
            drop(out);
            draft.keep().map_err(failed)?;
        }
    }
    progress.finish_and_clear();
    let to = arguments.to.as_ref().map_or_else(String::new, |path| format!(" to {}", path.display()));
    output::complain(&format!("{}{to}", output::counted(spool.len(), "row")));
    if left_out > 0 {
        let leads = output::counted(left_out, "lead");
        output::complain(&format!(
            "left out: {leads} marked \"do not contact\"; --do-not-contact exports them as well"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn sheet_of(flow: &Flow, preset: Option<&str>) -> Result<Option<Sheet>, Usage> {
    let named = preset.map(|name| {
        let known = config::presets().join(", ");
        config::preset(name).ok_or_else(|| Usage(format!("there are no columns `{name}`; there is {known}")))
    });
    let columns = named.transpose()?;
    Ok(columns.as_ref().or(flow.email.csv.as_ref()).map(|columns| Sheet::of_columns(columns)))
}

/// All that named columns may be read from, or what the flow asks for; and always what says "do not contact".
fn columns_to_ask_for(flow: &Flow, named: Option<&Sheet>) -> Option<Vec<String>> {
    let select = flow.table.select.as_ref().filter(|_| named.is_none())?;
    let codes = lead::sources_of("do_not_contact").iter().map(|column| (*column).to_owned());
    let others: Vec<_> = codes.filter(|column| !select.contains(column)).collect();
    Some(select.iter().cloned().chain(others).collect())
}

fn separator_of(flow: &Flow, wanted: Option<&str>) -> Result<Separator, Usage> {
    let Some(text) = wanted else { return Ok(flow.email.csv_separator) };
    Separator::parse(text).ok_or_else(|| {
        Usage(format!("`{}` is no separator of a CSV; write \",\", \";\" or tab", text.escape_debug()))
    })
}

fn write_to(
    out: &mut impl Write,
    sheet: &Sheet,
    spool: &mut Spool,
    format: Format,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let all = spool.len();
    let mut rows = spool.rows()?;
    let tell = |number: u64| {
        if number.is_multiple_of(10_000) {
            progress.set_message(format!("writing: {number} of {all} rows"));
        }
    };
    if format == Format::Csv {
        out.write_all(&sheet.head()?)?;
        let mut lines = sheet.lines(&mut *out);
        for number in 0.. {
            let Some(columns) = rows.next_columns()? else { break };
            lines.write(&columns)?;
            tell(number);
        }
    } else {
        let is_array = format == Format::Json;
        out.write_all(if is_array { b"[" } else { b"" })?;
        for number in 0.. {
            let Some(columns) = rows.next_columns()? else { break };
            let before = if number > 0 && is_array { "," } else { "" };
            let line_break = if number > 0 || is_array { "\n" } else { "" };
            write!(out, "{before}{line_break}{}", foreign::json(sheet.object(&columns), false))?;
            tell(number);
        }
        out.write_all(match (is_array, all) {
            (true, _) => b"\n]\n",
            (false, 0) => b"",
            (false, _) => b"\n",
        })?;
    }
    out.flush()?;
    Ok(())
}

/// Nobody reads on (`| head`), which is no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
