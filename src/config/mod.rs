//! flows.toml: read whole, every problem reported at its place, then a [`Config`] of plain values.

mod addresses;
mod connections;
mod digest;
mod email;
mod encoding;
mod entra;
mod find;
mod flows;
#[cfg(test)]
mod hostile;
mod masked;
mod page;
mod postgres;
mod reader;
mod recurrence;
mod report;
mod rights;
mod select;
mod settings;
mod sheet;
mod smtp;
mod syntax;
mod templates;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::flow::Config;
use crate::platform::ownership::{self, Finding, Reader};
use crate::platform::package;
use crate::store::state;
use digest::Digest;
use reader::Section;
use syntax::Mistake;
use values::Folders;

pub use addresses::address_of;
pub use find::{ChoiceNote, ChosenFile, find, is_packaged};
pub use report::{Level, Problem, Report};
pub use sheet::{preset, presets};

/// A flows.toml and what deserves a word about it.
#[derive(Debug)]
pub struct Loaded {
    /// Its values; of an invalid file those that are whole.
    pub config: Arc<Config>,
    /// What is legal and loses, repeats or surprises.
    pub warnings: Vec<Problem>,
    /// Set by [`load_anyway`] alone.
    pub invalid: Option<Invalid>,
}

/// What is wrong with a file, and what is not among its values for that reason.
#[derive(Debug)]
pub struct Invalid {
    /// Every problem.
    pub report: Report,
    /// Flows that are in the file, and whether they are on there.
    pub flows: BTreeMap<String, bool>,
}

/// The largest flows.toml that is read, some ten thousand flows, and the largest template.
const LARGEST: u64 = 16 << 20;
const LARGEST_TEMPLATE: u64 = 1 << 20;

/// Loads a file and its templates.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    load_as(path, Purpose::Use)
}

/// As [`load`]. When root asks for the service, also checks whether that can read what the file names.
///
/// # Errors
/// As [`load`].
pub fn check(path: &Path) -> Result<Loaded, Report> {
    load_as(path, Purpose::Check)
}

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Use,
    /// Maybe by another user than the service's.
    Check,
}

fn load_as(path: &Path, purpose: Purpose) -> Result<Loaded, Report> {
    let mut file = File::read(path, purpose)?;
    let config = file.loaded.invalid.is_none().then_some(&*file.loaded.config);
    let warnings = file.rights(config)?;
    if purpose == Purpose::Check && file.loaded.invalid.is_none() {
        rights::check_for_service(&file.path, &file.loaded.config)
            .map_err(|Finding { message, help }| unplaced(&file.name, message, &help))?;
    }
    file.loaded.warnings.extend(warnings);
    whole(file.loaded)
}

/// As [`load`], but of a file with mistakes what can be read of it: for commands that need the state alone, and
/// flows.toml to know where it is.
///
/// # Errors
/// When the file cannot be read, others may change it, or it does not say where the state is.
pub fn load_anyway(path: &Path) -> Result<Loaded, Report> {
    let mut file = File::read(path, Purpose::Use)?;
    if let Some(invalid) = &file.loaded.invalid
        && file.state != StatePlace::Named
    {
        let settings = &mut Arc::make_mut(&mut file.loaded.config).settings;
        let guessed = match file.state {
            StatePlace::Unreadable => None,
            StatePlace::Named | StatePlace::Unsure => state::guessed(&file.path, &settings.state),
        };
        settings.state = guessed.ok_or_else(|| invalid.report.clone())?;
    }
    let warnings = file.rights(Some(&file.loaded.config))?;
    file.loaded.warnings.extend(warnings);
    Ok(file.loaded)
}

/// A file that was read, whatever it holds.
struct File {
    name: String,
    /// Absolute.
    path: PathBuf,
    loaded: Loaded,
    state: StatePlace,
}

/// What a file says of where the state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatePlace {
    /// It is known.
    Named,
    /// The name of the state folder is not whole, or not there for a mistake.
    Unsure,
    /// It is in a database that is not named whole: no folder has it.
    Unreadable,
}

impl File {
    fn read(path: &Path, purpose: Purpose) -> Result<Self, Report> {
        let name = path.display().to_string();
        let unread = |Finding { message, help }: Finding| unplaced(&name, message, &help);
        let (text, mistake) =
            text_of(path, LARGEST).map_err(|finding| Report { is_unread: true, ..unread(finding) })?;
        let path = std::path::absolute(path).map_err(|error| unplaced(&name, error.to_string(), ""))?;
        let (mut loaded, state) = parse_anyway(&path, &name, &text, purpose);
        if let Some(mistake) = mistake {
            let flows = loaded.invalid.map(|invalid| invalid.flows).unwrap_or_default();
            loaded.invalid = Some(Invalid { report: unread(mistake), flows });
        }
        Ok(Self { name, path, loaded, state })
    }

    /// Who else may change it and what it names.
    fn rights(&self, config: Option<&Config>) -> Result<Vec<Problem>, Report> {
        let warnings = rights::check(&self.path, config)
            .map_err(|Finding { message, help }| unplaced(&self.name, message, &help))?;
        let warn = |Finding { message, help }| Problem::warning_without_place(&self.name, message, &help);
        Ok(warnings.into_iter().map(warn).collect())
    }
}

fn unplaced(name: &str, message: String, help: &str) -> Report {
    Report { problems: vec![Problem::without_place(name, message, help)], is_unread: false }
}

/// Reads the text of `path`, which is shown as `name`.
///
/// # Errors
/// With every problem, where it cannot be used.
pub fn parse(path: &Path, name: &str, text: &str) -> Result<Loaded, Report> {
    whole(parse_anyway(path, name, text, Purpose::Use).0)
}

fn whole(mut loaded: Loaded) -> Result<Loaded, Report> {
    match loaded.invalid.take() {
        Some(invalid) => Err(invalid.report),
        None => Ok(loaded),
    }
}

/// What the text holds, and whether it is known where the state is.
fn parse_anyway(path: &Path, name: &str, text: &str, purpose: Purpose) -> (Loaded, StatePlace) {
    let mut problems = report::Problems::new(name, text);
    let (mut root, errors) = DeTable::parse_recoverable(text);
    for Mistake { span, message, help } in syntax::mistakes(text, root.get_ref(), &errors) {
        problems.error(span, message, help);
    }
    let mut report = None;
    if !errors.is_empty() {
        // What follows a broken line would be reported as missing.
        report = problems.finish().err();
        problems = report::Problems::new(name, text);
    }
    let flows = take_flows(root.get_mut());
    let (config, broken, state) = {
        let root = Section::new(String::new(), root.get_ref(), 0..0, &problems);
        config_of(path, root, flows, purpose)
    };
    let config = Arc::new(config);
    let found = problems.finish();
    let missing = || unplaced(name, "the file is not complete".to_owned(), "");
    let loaded = match (report, found) {
        (None, Ok(warnings)) if broken.is_empty() => Loaded { config, warnings, invalid: None },
        (report, found) => {
            let report = report.or(found.err()).unwrap_or_else(missing);
            Loaded { config, warnings: Vec::new(), invalid: Some(Invalid { report, flows: broken }) }
        }
    };
    // A mistake of TOML may have swallowed its name, or a piece of it.
    let is_sure = errors.is_empty() || loaded.config.settings.postgres.is_some();
    (loaded, if state == StatePlace::Named && !is_sure { StatePlace::Unsure } else { state })
}

/// The tables of the flows, to be read one by one and let go: there may be thousands. An empty table takes
/// their place.
fn take_flows<'a>(root: &mut DeTable<'a>) -> DeTable<'a> {
    match root.get_mut("flows").map(Spanned::get_mut) {
        Some(DeValue::Table(flows)) => std::mem::take(flows),
        _ => DeTable::new(),
    }
}

/// The values that are whole, the flows that are not, and whether it is known where the state is.
fn config_of(
    path: &Path,
    root: Section<'_>,
    flows: DeTable<'_>,
    purpose: Purpose,
) -> (Config, BTreeMap<String, bool>, StatePlace) {
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut digest = Digest::new(root.values(), &flows);
    let settings = root.section("settings");
    let state = settings.as_ref().and_then(|settings| settings.file("state", &folder));
    let is_left_out = match &settings {
        Some(settings) => !settings.has("state"),
        None => !root.has("settings"),
    };
    let has_database = settings.as_ref().is_some_and(|settings| settings.has("postgres"));
    let knows_folder = state.is_some() || is_left_out;
    let state = state.unwrap_or_else(|| folder.join("state"));
    let service = match purpose {
        Purpose::Use => None,
        Purpose::Check => Reader::for_service(&state, package::is_of_package(path)),
    };
    let folders = Folders { state, config: folder, service, is_check: purpose == Purpose::Check };
    let connections = connections::read(&root, &folders);
    let settings = settings::read(settings, &folders, &connections);
    let templates = templates::TemplateFolder::open(&folders.config.join("templates"));
    let flows = flows::read(&root, flows, &settings, &connections, &templates);
    templates.check_rest(root.problems);
    templates.files().for_each(|(name, text)| digest.take_in_template(name, text));
    let digest = digest.finish();
    let place = match (&settings.postgres, has_database) {
        (Some(_), _) => StatePlace::Named,
        // A folder in the place of a database that cannot be read would be another state.
        (None, true) => StatePlace::Unreadable,
        (None, false) if knows_folder => StatePlace::Named,
        (None, false) => StatePlace::Unsure,
    };
    settings::check_listeners(root.problems, &settings, &connections, &flows.whole);
    root.finish();
    let config = Config {
        path: path.to_owned(),
        settings,
        tables: connections.tables,
        mails: connections.mails,
        flows: flows.whole,
        digest,
    };
    (config, flows.broken, place)
}

/// The text of a file as it may be shown: what may be a secret is masked. `None` where it cannot be read.
pub fn masked_text(path: &Path) -> Option<String> {
    read(path, LARGEST).ok().map(|text| masked::masked(&text))
}

/// The text, and what is wrong with it as a text.
fn text_of(path: &Path, largest: u64) -> Result<(String, Option<Finding>), Finding> {
    let failed = |error: std::io::Error| {
        let place =
            env::current_dir().map(|folder| format!(" (in {})", folder.display())).unwrap_or_default();
        if error.kind() == std::io::ErrorKind::NotFound && find::is_nowhere(path) {
            return Finding {
                message: format!("there is no {}{place}, and no {}", path.display(), find::OF_PACKAGE),
                help:
                    "go to the folder that has one, name it with --config, or write one as README.md shows; \
                       `leadflow demo` shows what leadflow does without any"
                        .to_owned(),
            };
        }
        let why = ownership::explained(path, &error);
        let place = if path.is_absolute() { "" } else { &place };
        let help =
            "name the file with --config, or write one; `leadflow demo` shows what it does without any";
        Finding { message: format!("cannot read {}{place}: {why}", path.display()), help: help.to_owned() }
    };
    Ok(encoding::text_of(path, ownership::read_plain(path, largest).map_err(failed)?))
}

/// A text that is one.
fn read(path: &Path, largest: u64) -> Result<String, Finding> {
    match text_of(path, largest)? {
        (text, None) => Ok(text),
        (_, Some(mistake)) => Err(mistake),
    }
}
