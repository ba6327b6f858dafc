//! `csv`: the columns of the attached CSV, named one by one or by what a CRM's importer reads.

use toml::Spanned;

use super::reader::Section;
use crate::flow::{Separator, SheetColumn, SheetValue};
use crate::rows::lead;
use crate::text::near::did_you_mean;

type Preset = (&'static str, &'static [(&'static str, &'static str)]);

/// The columns that importers map by themselves.
///
/// - dynamics365: the display names of the table Lead,
///   <https://learn.microsoft.com/dynamics365/developer/reference/entities/lead>
/// - salesforce: "Field Mapping for Importing Leads",
///   <https://help.salesforce.com/s/articleView?id=xcloud.field_mapping_for_importing_leads.htm>
/// - hubspot: "Set up your import files" asks for the first three, and matches the others by the
///   names of its default properties, <https://knowledge.hubspot.com/import-and-export/set-up-your-import-file>
const PRESETS: [Preset; 3] = [
    (
        "dynamics365",
        &[
            ("Topic", "lead.offer"),
            ("First Name", "lead.first_name"),
            ("Last Name", "lead.last_name"),
            ("Company Name", "lead.company"),
            ("Job Title", "lead.title"),
            ("Email", "lead.email"),
            ("Business Phone", "lead.phone"),
            ("Country/Region", "lead.country"),
            ("Description", "lead.description"),
        ],
    ),
    (
        "salesforce",
        &[
            ("First Name", "lead.first_name"),
            ("Last Name", "lead.last_name"),
            ("Company", "lead.company"),
            ("Title", "lead.title"),
            ("Email", "lead.email"),
            ("Phone", "lead.phone"),
            ("Country", "lead.country"),
            ("Lead Source", "lead.source"),
            ("Description", "lead.description"),
        ],
    ),
    (
        "hubspot",
        &[
            ("First name", "lead.first_name"),
            ("Last name", "lead.last_name"),
            ("Email", "lead.email"),
            ("Phone number", "lead.phone"),
            ("Company name", "lead.company"),
            ("Job title", "lead.title"),
            ("Country/Region", "lead.country"),
        ],
    ),
];

/// What no import may lose sight of, beside the columns of every preset. No importer maps them by
/// itself: they go to fields of one's own.
const MARKS: [(&str, &str); 2] = [("Do Not Contact", "lead.do_not_contact"), ("Test Lead", "lead.is_test")];

/// The columns of a preset.
pub fn preset(name: &str) -> Option<Vec<SheetColumn>> {
    let (_, columns) = PRESETS.iter().find(|(known, _)| *known == name)?;
    columns
        .iter()
        .chain(&MARKS)
        .map(|(name, value)| Some(SheetColumn { name: (*name).to_owned(), value: value_of(value)? }))
        .collect()
}

/// The names of the presets.
pub fn presets() -> Vec<&'static str> {
    PRESETS.iter().map(|(name, _)| *name).collect()
}

/// `csv = "salesforce"`, or `csv = { "Last Name" = "lead.last_name", "Offer" = "OfferDisplayName" }`.
pub(super) fn read(section: &Section<'_>) -> Option<Vec<SheetColumn>> {
    if section.is_text("csv") {
        let name = section.text("csv")?;
        let found = preset(name.get_ref());
        if found.is_none() {
            let known = presets();
            let help = format!(
                "{}use one of {}, or {{ \"Last Name\" = \"lead.last_name\" }}",
                did_you_mean(name.get_ref(), &known),
                known.join(", ")
            );
            section.problems.error(name.span(), format!("`{}` is not valid for `csv`", name.get_ref()), help);
        }
        return found;
    }
    let pairs = section.pairs("csv")?;
    Some(pairs.into_iter().filter_map(|(name, value)| column(section, name, &value)).collect())
}

/// `csv_separator = ";"`.
pub(super) fn separator(section: &Section<'_>) -> Separator {
    let Some(text) = section.text("csv_separator") else { return Separator::default() };
    Separator::parse(text.get_ref()).unwrap_or_else(|| {
        let message = format!("`{}` is not a valid CSV separator", text.get_ref().escape_debug());
        section.problems.error(text.span(), message, "write \",\", \";\" or \"tab\"");
        Separator::default()
    })
}

fn column(section: &Section<'_>, name: String, value: &Spanned<String>) -> Option<SheetColumn> {
    let found = value_of(value.get_ref());
    if found.is_none() {
        let fields = lead::FIELDS.map(|field| format!("lead.{field}"));
        let known: Vec<&str> = fields.iter().map(String::as_str).collect();
        let help =
            format!("{}fields of a lead are {}", did_you_mean(value.get_ref(), &known), known.join(", "));
        section.problems.error(value.span(), format!("there is no value `{}`", value.get_ref()), help);
    }
    Some(SheetColumn { name, value: found? })
}

/// `lead.FIELD` or a column of the table.
fn value_of(text: &str) -> Option<SheetValue> {
    match text.strip_prefix("lead.") {
        Some(field) => lead::FIELDS.iter().position(|known| *known == field).map(SheetValue::Lead),
        None => Some(SheetValue::Column(text.to_owned())),
    }
}
