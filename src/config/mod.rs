//! flows.toml: read whole, every problem reported at its place, then a [`Config`] of plain values.

mod connections;
mod email;
mod entra;
mod flows;
#[cfg(test)]
mod hostile;
mod masked;
mod reader;
mod recurrence;
mod report;
mod rights;
mod settings;
mod sheet;
mod smtp;
mod templates;
#[cfg(test)]
mod tests;
mod values;

use std::env;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::flow::Config;
use crate::ownership::{self, Finding};
use reader::Section;
use values::Folders;

pub use report::{Level, Problem, Report};
pub use sheet::{preset, presets};

/// A valid flows.toml and what deserves a word about it.
#[derive(Debug)]
pub struct Loaded {
    /// Its values.
    pub config: Config,
    /// What is legal and loses, repeats or surprises.
    pub warnings: Vec<Problem>,
}

/// The largest flows.toml that is read, some ten thousand flows, and the largest template.
const LARGEST: u64 = 16 << 20;
const LARGEST_TEMPLATE: u64 = 1 << 20;

/// Mistakes of TOML that are shown; the others mostly follow from them.
const MOST_MISTAKES: usize = 20;

/// Where flows.toml is looked for when nobody names it.
const PLACES: [&str; 2] = ["flows.toml", "/etc/leadflow/flows.toml"];

/// The file to load: the named one, `./flows.toml`, or `/etc/leadflow/flows.toml`.
pub fn find(named: Option<PathBuf>) -> PathBuf {
    let there = || PLACES.into_iter().map(PathBuf::from).find(|path| path.exists());
    named.or_else(there).unwrap_or_else(|| PLACES[0].into())
}

/// Refuses the file that [`find`] found by itself when it is a stranger's.
///
/// # Errors
/// When it belongs neither to the one who typed the command nor to root.
pub fn check_found(path: &Path) -> Result<(), Report> {
    let refused =
        |Finding { message, help }| Problem::without_place(&path.display().to_string(), message, &help);
    rights::check_found(path).map_err(|finding| Report { problems: vec![refused(finding)] })
}

/// Loads a file and its templates.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let name = path.display().to_string();
    let fail =
        |message: String, help: &str| Report { problems: vec![Problem::without_place(&name, message, help)] };
    let text = read(path, LARGEST).map_err(|message| {
        fail(
            message,
            "name the file with --config, or write one; `leadflow demo` shows what it does without any",
        )
    })?;
    let path = std::path::absolute(path).map_err(|error| fail(error.to_string(), ""))?;
    let parsed = parse(&path, &name, &text);
    let config = parsed.as_ref().ok().map(|loaded| &loaded.config);
    let warnings = rights::check(&path, config).map_err(|Finding { message, help }| fail(message, &help))?;
    let mut loaded = parsed?;
    let warn = |Finding { message, help }| Problem::warning_without_place(&name, message, &help);
    loaded.warnings.extend(warnings.into_iter().map(warn));
    Ok(loaded)
}

/// Reads the text of `path`, which is shown as `name`.
pub(crate) fn parse(path: &Path, name: &str, text: &str) -> Result<Loaded, Report> {
    let problems = report::Problems::new(name, text);
    let (mut root, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MOST_MISTAKES) {
        let help = "this is not TOML; see https://toml.io";
        problems.error(error.span().unwrap_or(0..0), error.message(), help);
    }
    if !errors.is_empty() {
        // What follows a broken line would be reported as missing.
        return Err(Report {
            problems: problems.finish().err().map(|report| report.problems).unwrap_or_default(),
        });
    }
    let flows = take_flows(root.get_mut());
    let config = {
        let root = Section::new(String::new(), root.get_ref(), 0..0, &problems);
        config_of(path, root, flows)
    };
    let warnings = problems.finish()?;
    let missing =
        || Report { problems: vec![Problem::without_place(name, "the file is not complete".to_owned(), "")] };
    Ok(Loaded { config: config.ok_or_else(missing)?, warnings })
}

/// The tables of the flows, to be read one by one and let go: there may be thousands. An empty table takes
/// their place.
fn take_flows<'a>(root: &mut DeTable<'a>) -> DeTable<'a> {
    match root.get_mut("flows").map(Spanned::get_mut) {
        Some(DeValue::Table(flows)) => std::mem::take(flows),
        _ => DeTable::new(),
    }
}

/// `None` only beside an error.
fn config_of(path: &Path, root: Section<'_>, flows: DeTable<'_>) -> Option<Config> {
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let settings = root.section("settings");
    let state = settings.as_ref().and_then(|settings| settings.file("state", &folder));
    let folders = Folders { state: state.unwrap_or_else(|| folder.join("state")), config: folder };
    let connections = connections::read(&root, &folders);
    let settings = settings::read(settings, &folders, &connections);
    let shelf = templates::Shelf::open(&folders.config.join("templates"));
    let flows = flows::read(&root, flows, &settings, &connections, &shelf);
    root.finish();
    Some(Config {
        path: path.to_owned(),
        settings,
        tables: connections.tables,
        mails: connections.mails,
        flows: flows?,
    })
}

fn read(path: &Path, largest: u64) -> Result<String, String> {
    let failed = |error: std::io::Error| {
        let place =
            env::current_dir().map(|folder| format!(" (in {})", folder.display())).unwrap_or_default();
        let why = ownership::explained(path, &error);
        format!("cannot read {}{}: {why}", path.display(), if path.is_absolute() { "" } else { &place })
    };
    let bytes = ownership::read_plain(path, largest).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("{} is not UTF-8 text, from byte {at} on; save it as UTF-8", path.display())
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
