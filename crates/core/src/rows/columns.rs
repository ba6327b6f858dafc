//! The columns of a row, read out of its JSON text without a tree: texts stay where they are unless
//! they hold an escape.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor, value};
use serde_json::{Map, Value};

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// Anything else: null, a truth value, a number, a list or an object.
    Other(Value),
}

/// Columns in the order they came; of two with the same name the later one counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns<'a>(Vec<(Cow<'a, str>, Cell<'a>)>);

impl<'a> Columns<'a> {
    /// Reads the members of a JSON object.
    ///
    /// # Errors
    /// When the text is no JSON object, or has a value that cannot be held: a number beyond every
    /// double, lists within lists without end.
    pub fn parse(json: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    /// The columns of an object that is at hand.
    pub fn of_map(map: &'a Map<String, Value>) -> Self {
        let cell = |value: &'a Value| match value {
            Value::String(text) => Cell::Text(text.as_str().into()),
            other => Cell::Other(other.clone()),
        };
        Self(map.iter().map(|(name, value)| (name.as_str().into(), cell(value))).collect())
    }

    /// The column of this name.
    pub fn get(&self, name: &str) -> Option<&Cell<'a>> {
        self.0.iter().rfind(|(known, _)| known == name).map(|(_, cell)| cell)
    }

    /// The column of this name, or of one that differs from it in the case of letters.
    pub fn find(&self, name: &str) -> Option<&Cell<'a>> {
        let like = || self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        self.get(name).or_else(|| like().map(|(_, cell)| cell))
    }

    /// Takes the value out of the column that [`Columns::find`] finds.
    pub fn take(&mut self, name: &str) -> Option<Cell<'a>> {
        let at = self.0.iter().rposition(|(known, _)| known == name);
        let like = || self.0.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        let at = at.or_else(like)?;
        Some(std::mem::replace(&mut self.0[at].1, Cell::NULL))
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Cell<'a>)> {
        self.0.iter().map(|(name, cell)| (name.as_ref(), cell))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only those whose name is wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| is_wanted(name));
    }

    /// As a JSON object.
    pub fn into_map(self) -> Map<String, Value> {
        self.0.into_iter().map(|(name, cell)| (name.into_owned(), cell.into_value())).collect()
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Cell<'a>)> for Columns<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Cell<'a>)>>(columns: I) -> Self {
        Self(columns.into_iter().collect())
    }
}

impl From<Value> for Cell<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.into()),
            other => Self::Other(other),
        }
    }
}

impl Cell<'_> {
    /// No value at all.
    pub const NULL: Self = Cell::Other(Value::Null);

    /// As JSON.
    pub fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.into_owned()),
            Self::Other(value) => value,
        }
    }

    /// The text; `None` of any other kind.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }

    /// The same, without its text.
    pub fn view(&self) -> Cell<'_> {
        match self {
            Self::Text(text) => Cell::Text(text.as_ref().into()),
            Self::Other(value) => Cell::Other(value.clone()),
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }

    /// As people read it: null is the empty text, and what is no text is its JSON.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Other(Value::Null) => Cow::Borrowed(""),
            Self::Other(value) => Cow::Owned(value.to_string()),
        }
    }
}

struct OfColumns;

impl<'de> Visitor<'de> for OfColumns {
    type Value = Columns<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns<'de>, A::Error> {
        let mut columns = Vec::with_capacity(16);
        while let Some(Name(name)) = map.next_key()? {
            columns.push((name, map.next_value()?));
        }
        Ok(Columns(columns))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Columns<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(OfColumns)
    }
}

/// A text that is borrowed where it can be.
#[derive(serde::Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

struct OfCell;

/// Passes a value that is no text on to what reads any.
macro_rules! other {
    ($($visit:ident: $kind:ty),*) => { $(
        fn $visit<E: serde::de::Error>(self, value: $kind) -> Result<Cell<'de>, E> {
            Ok(Cell::Other(value.into()))
        }
    )* };
}

impl<'de> Visitor<'de> for OfCell {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    other!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::NULL)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Cell<'de>, A::Error> {
        Value::deserialize(value::SeqAccessDeserializer::new(list)).map(Cell::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Cell<'de>, A::Error> {
        Value::deserialize(value::MapAccessDeserializer::new(object)).map(Cell::Other)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(OfCell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_an_escape_stay_where_they_are() {
        let columns = Columns::parse(r#"{"A":"plain","B":"a\nb","C":[1,{"D":null}],"C\u0041":2}"#).unwrap();
        assert!(matches!(columns.get("A"), Some(Cell::Text(Cow::Borrowed("plain")))));
        assert!(matches!(columns.get("B"), Some(Cell::Text(Cow::Owned(text))) if text == "a\nb"));
        let names: Vec<_> = columns.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "B", "C", "CA"]);
        let map = serde_json::json!({ "A": "plain", "B": "a\nb", "C": [1, { "D": null }], "CA": 2 });
        assert_eq!(Value::Object(columns.into_map()), map);
    }

    #[test]
    fn the_later_of_two_counts_and_the_case_of_letters_does_not() {
        let columns = Columns::parse(r#"{"a":1,"A":2,"a":3}"#).unwrap();
        assert_eq!(columns.get("a"), Some(&Cell::Other(3.into())));
        assert_eq!(columns.find("A"), Some(&Cell::Other(2.into())));
        let columns = Columns::parse(r#"{"Email":"x"}"#).unwrap();
        assert_eq!(columns.find("EMAIL").and_then(Cell::as_str), Some("x"));
        assert!(Columns::parse(r#"{"a":1e999}"#).is_err());
        let error = Columns::parse("[]").unwrap_err().to_string();
        assert!(error.starts_with("invalid type: sequence, expected an object"), "{error}");
    }
}
