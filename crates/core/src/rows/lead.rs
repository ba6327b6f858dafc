//! A lead: what the marketplace writes into a row, as `lead.*` of the templates.
//!
//! Microsoft publishes no list of the columns; these are the ones that public samples of Partner
//! Center's leads show. Every field is present, and null where the row has nothing for it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::rows::columns::{Cell, Columns};
use crate::rows::row::Row;

/// The columns of a lead, as public samples show them.
pub const COLUMNS: [&str; 11] = [
    "PartitionKey",
    "RowKey",
    "Timestamp",
    "ActionCode",
    "CreatedTime",
    "CustomerInfo",
    "Description",
    "LeadSource",
    "OfferDisplayName",
    "ProductId",
    "PublisherDisplayName",
];

/// The fields of `CustomerInfo`, in the order of the first ones of [`FIELDS`].
const CUSTOMER: [&str; 7] = ["FirstName", "LastName", "Company", "Country", "Email", "Phone", "Title"];

/// The codes of `ActionCode` and what they mean, in English and Korean.
const ACTIONS: [(&str, &str, &str); 5] = [
    ("INS", "acquired the offer", "제품을 받음"),
    ("PLT", "asked for a partner-led trial (contact me)", "파트너 주도 평가판 요청 (연락 요청)"),
    ("DNC", "do not contact", "연락 금지"),
    ("CREATE", "bought in the Azure portal", "Azure 포털에서 구매"),
    ("STARTTESTDRIVE", "started a test drive", "테스트 드라이브 시작"),
];

/// Objects within `CustomerInfo`, and texts within its text, that are looked into.
const DEEPEST: usize = 3;

/// Whether the columns are those of a lead.
pub fn is_lead(columns: &[String]) -> bool {
    columns.iter().any(|name| name.eq_ignore_ascii_case("CustomerInfo"))
}

/// What *Validate* in Partner Center writes into the key or into fields of its test leads.
const TEST: &[u8] = b"MSFT_TEST";

/// Whether the row is a test lead, by its key or its fields.
pub fn is_test(row: &Row) -> bool {
    Lead::new(&row.columns()).is_test
}

/// Whether the lead says that nobody is to contact the person.
pub fn is_do_not_contact(row: &Row) -> bool {
    Lead::new(&row.columns()).do_not_contact
}

/// The names of a lead's fields that are one value each, in their order: what a sheet has columns for.
pub const FIELDS: [&str; 18] = [
    "first_name",
    "last_name",
    "company",
    "country",
    "email",
    "phone",
    "title",
    "name",
    "offer",
    "publisher",
    "product",
    "description",
    "source",
    "action_meaning",
    "action",
    "created",
    "is_test",
    "do_not_contact",
];

/// The columns that a field is read from: the first of them that has something.
pub fn sources_of(field: &str) -> &'static [&'static str] {
    match field {
        "offer" => &["OfferDisplayName", "ProductId", "LeadSource"],
        "publisher" => &["PublisherDisplayName"],
        "product" => &["ProductId"],
        "description" => &["Description"],
        "source" => &["LeadSource"],
        "action" | "action_meaning" | "do_not_contact" => &["ActionCode", "LeadSource"],
        "created" => &["CreatedTime", "Timestamp"],
        "is_test" => &["RowKey"],
        _ => &["CustomerInfo"],
    }
}

/// The list of what a lead has beside its fields: `name` and `value`.
const OTHERS: &str = "others";

/// How many of them a lead has; a row of the service has 255 columns.
const MOST_OTHERS: usize = 256;

/// A lead, as long as the columns of its row are at hand.
#[derive(Debug)]
pub struct Lead<'a> {
    /// It is a test lead.
    pub is_test: bool,
    /// Nobody is to contact the person.
    pub do_not_contact: bool,
    /// A value for each of [`FIELDS`], in their order.
    pub cells: [Cell<'a>; FIELDS.len()],
    columns: &'a Columns<'a>,
    /// What is left of `CustomerInfo`; `None` where there is something that makes no sense.
    info: Option<Columns<'a>>,
}

impl<'a> Lead<'a> {
    /// The lead of a row.
    pub fn new(columns: &'a Columns<'a>) -> Self {
        let mut info = customer_info(columns);
        let customer = CUSTOMER.map(|field| {
            let found = info.as_mut().and_then(|info| info.take(field));
            found.map_or(Cell::NULL, trimmed)
        });
        let keys = ["RowKey", "PartitionKey", "Description"].map(|name| text(columns, name));
        // Where `CustomerInfo` makes no sense it may still say what it is.
        let unread = columns.find("CustomerInfo").filter(|_| info.is_none()).map_or(Cell::NULL, Cell::view);
        let is_test = keys.iter().chain(&customer).chain([&unread]).any(names_a_test);
        let [first_name, last_name, company, country, email, phone, title] = customer;
        let name = full_name(&first_name, &last_name);
        let source = text(columns, "LeadSource");
        let (code_of_source, offer_of_source) = parts_of_source(columns);
        let codes = [text(columns, "ActionCode"), code_of_source];
        let says_dnc = |cell: &Cell<'_>| cell.as_str().is_some_and(|code| code.eq_ignore_ascii_case("DNC"));
        let do_not_contact = codes.iter().any(says_dnc);
        let action = first(codes);
        let meaning = action.as_str().and_then(|code| meaning_of(code, false));
        let action_meaning = meaning.map_or_else(|| action.clone(), |meaning| Cell::Text(meaning.into()));
        let product = text(columns, "ProductId");
        let offer = first([text(columns, "OfferDisplayName"), product.clone(), offer_of_source]);
        let cells = [
            first_name,
            last_name,
            company,
            country,
            email,
            phone,
            title,
            name,
            offer,
            text(columns, "PublisherDisplayName"),
            product,
            description(columns),
            source,
            action_meaning,
            action,
            first([text(columns, "CreatedTime"), text(columns, "Timestamp")]),
            Cell::Other(is_test.into()),
            Cell::Other(do_not_contact.into()),
        ];
        Self { is_test, do_not_contact, cells, columns, info }
    }

    /// The text of one of [`FIELDS`]; `None` where the row has nothing for it.
    pub fn text(&self, field: &str) -> Option<&str> {
        let at = FIELDS.iter().position(|known| *known == field)?;
        self.cells[at].as_str()
    }

    /// As templates see it: every field, null where the row has nothing for it, and `others`.
    pub fn into_map(self) -> Map<String, Value> {
        let others: Vec<_> =
            self.others().into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let fields = FIELDS.iter().zip(self.cells);
        let mut map: Map<_, _> = fields.map(|(name, cell)| ((*name).to_owned(), cell.into_value())).collect();
        map.insert(OTHERS.to_owned(), others.into());
        map
    }

    /// Columns and fields of `CustomerInfo` that no field of the lead shows, so that nothing is lost
    /// from sight; all of `CustomerInfo` where it makes no sense.
    pub fn others(&self) -> Vec<(String, String)> {
        let is_known = |name: &str| COLUMNS.iter().any(|known| known.eq_ignore_ascii_case(name));
        let is_unread = |name: &str| self.info.is_none() && name.eq_ignore_ascii_case("CustomerInfo");
        let of_row = self.columns.iter().filter(|(name, _)| !is_known(name) || is_unread(name));
        let is_field = |name: &str| CUSTOMER.iter().any(|field| field.eq_ignore_ascii_case(name));
        let of_customer = self.info.iter().flat_map(Columns::iter).filter(|(name, _)| !is_field(name));
        let with_text = |(name, cell): (&str, &Cell<'_>)| {
            let text = cell.text();
            let text = text.trim();
            (!text.is_empty()).then(|| (name.to_owned(), text.to_owned()))
        };
        of_row.chain(of_customer).filter_map(with_text).take(MOST_OTHERS).collect()
    }
}

/// First and last name in the order in which people write them: a name in Hangul begins with the family name and
/// has no space.
fn full_name(first: &Cell<'_>, last: &Cell<'_>) -> Cell<'static> {
    let names: Vec<&str> = [first, last].into_iter().filter_map(Cell::as_str).collect();
    match names[..] {
        [first, last] if [first, last].into_iter().all(is_hangul) => {
            text_or_null(format!("{last}{first}").into())
        }
        _ => text_or_null(names.join(" ").into()),
    }
}

fn is_hangul(name: &str) -> bool {
    name.chars().all(|c| matches!(c, '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7a3}'))
}

fn names_a_test(cell: &Cell<'_>) -> bool {
    let text = cell.as_str().unwrap_or_default().as_bytes();
    text.windows(TEST.len()).any(|piece| piece.eq_ignore_ascii_case(TEST))
}

/// The lead of columns that are at hand, as templates see it.
pub fn from_columns(columns: &Map<String, Value>) -> Map<String, Value> {
    Lead::new(&Columns::of_map(columns)).into_map()
}

/// `CustomerInfo` is a JSON object written as a string; some write it twice over, or one object
/// deeper. `None` where there is something that makes no sense.
fn customer_info<'a>(columns: &'a Columns<'_>) -> Option<Columns<'a>> {
    match columns.find("CustomerInfo") {
        None | Some(Cell::Other(Value::Null)) => Some(Columns::default()),
        Some(Cell::Text(text)) => {
            Columns::parse(text).ok().filter(has_field).or_else(|| nested(&text.as_ref().into(), DEEPEST))
        }
        Some(Cell::Other(value)) => nested(value, DEEPEST),
    }
}

fn has_field(info: &Columns<'_>) -> bool {
    CUSTOMER.iter().any(|field| info.find(field).is_some())
}

fn nested(value: &Value, depth: usize) -> Option<Columns<'static>> {
    if depth == 0 {
        return None;
    }
    match value {
        Value::String(text) => nested(&serde_json::from_str(text).ok()?, depth - 1),
        Value::Object(fields) => {
            let owned = |(name, value): (&String, &Value)| (name.clone().into(), Cell::from(value.clone()));
            let whole: Columns<'static> = fields.iter().map(owned).collect();
            let inner = || fields.values().find_map(|value| nested(value, depth - 1));
            let found = if has_field(&whole) { None } else { inner().filter(|inner| !inner.is_empty()) };
            Some(found.unwrap_or(whole))
        }
        _ => None,
    }
}

/// `SPZA-DNC|contoso.app`: the action's code and the offer.
fn parts_of_source<'a>(columns: &'a Columns<'_>) -> (Cell<'a>, Cell<'a>) {
    let source = columns.find("LeadSource").and_then(Cell::as_str).unwrap_or_default();
    let Some((head, offer)) = source.split_once('|') else { return (Cell::NULL, Cell::NULL) };
    let code = head.rsplit_once('-').map(|(_, code)| code).unwrap_or_default();
    (text_or_null(code.into()), text_or_null(offer.into()))
}

/// What a code of `ActionCode` means, in English or Korean; `None` for one that is not known.
pub fn meaning_of(code: &str, in_korean: bool) -> Option<&'static str> {
    let found = ACTIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(code));
    found.map(|(_, english, korean)| if in_korean { *korean } else { *english })
}

/// The free text, without the empty `Campaigns:` that many leads carry.
fn description<'a>(columns: &'a Columns<'_>) -> Cell<'a> {
    match text(columns, "Description") {
        Cell::Text(text) if text == "Campaigns:" => Cell::NULL,
        other => other,
    }
}

fn first<const N: usize>(cells: [Cell<'_>; N]) -> Cell<'_> {
    cells.into_iter().find(|cell| !cell.is_null()).unwrap_or(Cell::NULL)
}

/// The trimmed text of a column, null where there is none.
fn text<'a>(columns: &'a Columns<'_>, name: &str) -> Cell<'a> {
    columns.find(name).map_or(Cell::NULL, |cell| trimmed(cell.view()))
}

/// The trimmed text of a value, null where there is none.
fn trimmed(cell: Cell<'_>) -> Cell<'_> {
    match cell {
        Cell::Text(text) => text_or_null(text),
        Cell::Other(Value::Null) => Cell::NULL,
        Cell::Other(other) => Cell::Text(other.to_string().into()),
    }
}

fn text_or_null(text: Cow<'_, str>) -> Cell<'_> {
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    if text.is_empty() { Cell::NULL } else { Cell::Text(text) }
}
