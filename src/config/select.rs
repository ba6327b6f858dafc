//! `select` against what the mails show: what is not asked for is empty in each of them.

use std::collections::BTreeSet;

use super::reader::Section;
use crate::flow::{KEYS, SheetColumn, SheetValue, TestLeads};
use crate::rows::lead;
use crate::template::Templates;

/// Warns of what templates and CSV show and `select` leaves out. Columns that a template names are an
/// error already.
pub(super) fn check(
    section: &Section<'_>,
    select: &[String],
    templates: &Templates,
    csv: Option<&[SheetColumn]>,
    test_leads: TestLeads,
) {
    let digest = templates.digest().into_iter().flat_map(Templates::fields);
    let of_templates = templates.fields().iter().chain(digest).map(String::as_str);
    let values = || csv.into_iter().flatten().map(|column| &column.value);
    let of_csv = values().filter_map(|value| match value {
        SheetValue::Lead(field) => lead::FIELDS.get(*field).copied(),
        SheetValue::Column(_) => None,
    });
    let is_selected = |column: &str| {
        KEYS.into_iter()
            .chain(select.iter().map(String::as_str))
            .any(|known| known.eq_ignore_ascii_case(column))
    };
    if test_leads == TestLeads::Hide && !is_selected("CustomerInfo") {
        let message = "`select` omits CustomerInfo: a test lead that is marked only there is not hidden";
        let help = "add \"CustomerInfo\" to `select` in the flow's table section";
        section.problems.warn(section.span_of("test_leads").unwrap_or_else(|| section.span()), message, help);
    }
    let is_empty = |field: &&str| !lead::sources_of(field).iter().any(|column| is_selected(column));
    let empty: BTreeSet<&str> = of_templates.chain(of_csv).filter(is_empty).collect();
    let mut columns: BTreeSet<&str> =
        empty.iter().filter_map(|field| lead::sources_of(field).first().copied()).collect();
    let fields = empty.into_iter().map(|field| format!("lead.{field}"));
    let mut shown: Vec<String> = fields.collect();
    for value in values() {
        if let SheetValue::Column(name) = value
            && !is_selected(name)
        {
            columns.insert(name);
            shown.push(name.clone());
        }
    }
    if columns.is_empty() {
        return;
    }
    let names = columns.into_iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let span = ["template", "body", "csv"].into_iter().find_map(|key| section.span_of(key));
    let message =
        format!("`select` omits columns that the mails show; these will be empty: {}", shown.join(", "));
    let help = format!("add {names} to `select` in the flow's table section");
    section.problems.warn(span.unwrap_or_else(|| section.span()), message, help);
}
