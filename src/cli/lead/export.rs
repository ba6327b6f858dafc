//! `leadflow lead export FLOW`: the leads for a CRM.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::ValueEnum;
use indicatif::ProgressBar;
use leadflow::config::{self, Loaded};
use leadflow::flow::{Flow, Separator};
use leadflow::platform::clock::Clock;
use leadflow::platform::ownership::{Draft, Readers};
use leadflow::schedule::window::EVER;
use leadflow::tasks::lead_export::{LeadExport, LeadExportError, LeadExportFormat, LeadExportOptions};

use super::{table_of, with_help};
use crate::cli::{Usage, ask, flow_named, moment, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// Only rows written later than this: 2026-11-20, 2026-11-20T08:00 (in `settings.time_zone`),
    /// 2026-11-20T08:00:00Z, or how long ago: "3 days"
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    format: Format,
    /// The columns: dynamics365, salesforce or hubspot [default: the flow's `csv`, or all]
    #[arg(long, value_name = "PRESET")]
    columns: Option<String>,
    /// Also export leads marked "do not contact", which are omitted otherwise
    #[arg(long)]
    do_not_contact: bool,
    /// The separator of the CSV: "," or ";" or tab [default: the flow's `csv_separator`]
    #[arg(long, value_name = "SEPARATOR")]
    separator: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// UTF-8 with a byte order mark, as Excel expects it; CRLF line ends
    Csv,
    /// One array of objects
    Json,
    /// One JSON object per line
    Ndjson,
}

pub(super) async fn export(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let flow = flow_named(&loaded.config, &arguments.flow)?;
    let options = options_of(loaded, flow, arguments)?;
    let progress = ask::spinner("reading the table");
    let table = table_of(loaded, flow).await?;
    let progress_of =
        |rows| progress.set_message(format!("reading the table: {}", output::counted(rows, "row")));
    let mut leads =
        LeadExport::read(&table, flow, &options, progress_of).await.map_err(|error| match error {
            LeadExportError::Table(error) => with_help(error),
            LeadExportError::Spool(error) => error.into(),
        })?;
    match &arguments.to {
        None => {
            let mut out = BufWriter::new(output::raw());
            match write_to(&mut out, &mut leads, arguments.format, &progress) {
                // Nobody reads on (`| head`), which is not an error.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                result => result?,
            }
        }
        Some(path) => {
            let failed = |error: io::Error| anyhow!("cannot write {}: {error}", path.display());
            let mut draft = Draft::replacing(path, Readers::Asker).map_err(failed)?;
            write_to(&mut BufWriter::new(&mut draft), &mut leads, arguments.format, &progress)?;
            draft.keep().map_err(failed)?;
        }
    }
    progress.finish_and_clear();
    let to = arguments.to.as_ref().map_or_else(String::new, |path| format!(" to {}", path.display()));
    output::eprint(&format!("{}{to}", output::counted(leads.count(), "row")));
    if leads.left_out() > 0 {
        let leads = output::counted(leads.left_out(), "lead");
        output::eprint(&format!(
            "omitted: {leads} marked \"do not contact\"; --do-not-contact exports them as well"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn options_of(loaded: &Loaded, flow: &Flow, arguments: &Arguments) -> anyhow::Result<LeadExportOptions> {
    let since = arguments
        .since
        .as_ref()
        .map(|text| moment::parse(text, &loaded.config.settings.time_zone, Clock::System.now()));
    let columns = arguments.columns.as_deref().map(|name| {
        let known = config::presets().join(", ");
        config::preset(name).ok_or_else(|| Usage(format!("there are no columns `{name}`; there is {known}")))
    });
    Ok(LeadExportOptions {
        since: since.transpose()?.unwrap_or(EVER),
        columns: columns.transpose()?,
        separator: separator_of(flow, arguments.separator.as_deref())?,
        with_do_not_contact: arguments.do_not_contact,
    })
}

fn separator_of(flow: &Flow, wanted: Option<&str>) -> Result<Separator, Usage> {
    let Some(text) = wanted else { return Ok(flow.email.csv_separator) };
    Separator::parse(text).ok_or_else(|| {
        Usage(format!("`{}` is not a valid CSV separator; write \",\", \";\" or tab", text.escape_debug()))
    })
}

fn write_to(
    out: &mut impl Write,
    leads: &mut LeadExport,
    format: Format,
    progress: &ProgressBar,
) -> io::Result<()> {
    let all = leads.count();
    let format = match format {
        Format::Csv => LeadExportFormat::Csv,
        Format::Json => LeadExportFormat::Json,
        Format::Ndjson => LeadExportFormat::Ndjson,
    };
    leads.write(out, format, |number| {
        if number.is_multiple_of(10_000) {
            progress.set_message(format!("writing: {number} of {all} rows"));
        }
    })
}
