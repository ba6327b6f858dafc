//! A table of flows.toml, read key by key; what is left over at the end is unknown.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::Problems;
use crate::text::near::did_you_mean;

/// A table under its dotted name.
pub(super) struct Section<'a> {
    pub(super) name: String,
    pub(super) problems: &'a Problems<'a>,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        name: String,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        problems: &'a Problems<'a>,
    ) -> Self {
        Self { name, problems, table, span, known: RefCell::default() }
    }

    /// Where the table is, for problems of the whole.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// All its values.
    pub(super) fn values(&self) -> &'a DeTable<'a> {
        self.table
    }

    /// Where the value of a key is.
    pub(super) fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.table.get(key).map(Spanned::span)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn is_text(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_str())
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.table.get(key)
    }

    fn expected<T>(&self, what: &str, key: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let message = format!("`{key}` should be {what}, not {}", kind_of(value.get_ref()));
        self.problems.error(value.span(), message, "");
        None
    }

    pub(super) fn text(&self, key: &'static str) -> Option<Spanned<String>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                self.problems.error(
                    value.span(),
                    format!("`{key}` is empty"),
                    "give it a value, or remove it",
                );
                None
            }
            DeValue::String(text) => Some(Spanned::new(value.span(), text.clone().into_owned())),
            _ => self.expected("a quoted string", key, value),
        }
    }

    /// A moment, in quotes or as TOML has them, as a text.
    pub(super) fn written_moment(&self, key: &'static str) -> Option<Spanned<String>> {
        match self.table.get(key).map(Spanned::get_ref) {
            Some(DeValue::Datetime(moment)) => {
                let value = self.value(key)?;
                Some(Spanned::new(value.span(), moment.to_string()))
            }
            _ => self.text(key),
        }
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.expected("true or false", key, value),
        }
    }

    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.value(key)?;
        let number = self.number_of(key, value)?;
        if let Some(number) = u32::try_from(number).ok().filter(|number| range.contains(number)) {
            Some(number)
        } else {
            let help = format!("use {} to {}", range.start(), range.end());
            self.problems.error(value.span(), format!("{number} is out of range for `{key}`"), help);
            None
        }
    }

    fn number_of(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<i64> {
        match value.get_ref() {
            DeValue::Integer(number) => {
                let text = number.as_str().replace('_', "");
                let parsed = i64::from_str_radix(&text, number.radix()).ok();
                parsed.or_else(|| self.expected("a smaller number", key, value))
            }
            _ => self.expected("a whole number", key, value),
        }
    }

    /// Numbers between -128 and 127; a single one needs no brackets.
    pub(super) fn small_numbers(&self, key: &'static str) -> Vec<i8> {
        let number = |value: &Spanned<DeValue<'_>>| {
            let number = self.number_of(key, value)?;
            let small = i8::try_from(number).ok();
            if small.is_none() {
                self.problems.error(value.span(), format!("{number} is out of range for `{key}`"), "");
            }
            small
        };
        self.items(key).into_iter().filter_map(number).collect()
    }

    /// Texts; a single one needs no brackets.
    pub(super) fn texts(&self, key: &'static str) -> Vec<Spanned<String>> {
        let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                self.problems.error(value.span(), format!("`{key}` contains an empty string"), "remove it");
                None
            }
            DeValue::String(text) => Some(Spanned::new(value.span(), text.clone().into_owned())),
            _ => self.expected("a quoted string, or a list of them", key, value),
        };
        self.items(key).into_iter().filter_map(text).collect()
    }

    pub(super) fn is_list(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_array())
    }

    fn items(&self, key: &'static str) -> Vec<&'a Spanned<DeValue<'a>>> {
        match self.value(key) {
            None => Vec::new(),
            Some(value) => match value.get_ref() {
                DeValue::Array(items) => items.iter().collect(),
                _ => vec![value],
            },
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let word = self.text(key)?;
        self.choose(key, &word, choices)
    }

    pub(super) fn choose<T: Copy>(
        &self,
        key: &str,
        word: &Spanned<String>,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let found = choices.iter().find(|(known, _)| known == word.get_ref());
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            let help = format!("{}use one of {}", did_you_mean(word.get_ref(), &words), words.join(", "));
            self.problems.error(word.span(), format!("`{}` is not valid for `{key}`", word.get_ref()), help);
        }
        found.map(|(_, choice)| *choice)
    }

    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(self.inner(key, table, value.span())),
            _ => self.expected("a table", key, value),
        }
    }

    /// A table of texts whose names are the user's own, in the order they were written.
    pub(super) fn pairs(&self, key: &'static str) -> Option<Vec<(String, Spanned<String>)>> {
        let section = self.section(key)?;
        let mut pairs = Vec::new();
        for (name, value) in section.table {
            match value.get_ref() {
                DeValue::String(text) => {
                    let value = Spanned::new(value.span(), text.clone().into_owned());
                    pairs.push((name.span().start, name.get_ref().clone().into_owned(), value));
                }
                _ => {
                    let _: Option<()> = section.expected("a quoted string", name.get_ref(), value);
                }
            }
        }
        pairs.sort_by_key(|(start, ..)| *start);
        Some(pairs.into_iter().map(|(_, name, value)| (name, value)).collect())
    }

    /// A key whose names are the user's own: `[flows.NAME]`.
    pub(super) fn sections(&self, key: &'static str) -> Vec<(Spanned<String>, Section<'a>)> {
        let Some(outer) = self.section(key) else { return Vec::new() };
        let mut found = Vec::new();
        for (name, value) in outer.table {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let spanned = Spanned::new(name.span(), name.get_ref().clone().into_owned());
                    found.push((spanned, outer.inner(name.get_ref(), table, value.span())));
                }
                _ => {
                    let _: Option<()> = outer.expected("a table", name.get_ref(), value);
                }
            }
        }
        found
    }

    /// A table that is at `[key.name]` and may live shorter.
    pub(super) fn inner_section<'b>(
        &'b self,
        key: &str,
        name: &str,
        value: &'b Spanned<DeValue<'b>>,
    ) -> Option<Section<'b>> {
        match value.get_ref() {
            DeValue::Table(table) => {
                Some(Section::new(format!("{key}.{name}"), table, value.span(), self.problems))
            }
            _ => self.expected("a table", name, value),
        }
    }

    fn inner(&self, key: &str, table: &'a DeTable<'a>, span: Range<usize>) -> Section<'a> {
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        Section::new(name, table, span, self.problems)
    }

    /// Says that the table lacks a key.
    pub(super) fn missing(&self, key: &str, help: &str) {
        self.problems.error(self.span(), format!("[{}] has no `{key}`", self.name), help);
    }

    /// Says that the table gives none of the choices, or several.
    pub(super) fn not_one(&self, what: &str, help: &str) {
        self.problems.error(self.span(), format!("[{}] needs exactly one {what}", self.name), help);
    }

    /// Every key that was not asked for is unknown.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        let is_unknown = |name: &str| !known.contains(&name);
        for name in self.table.keys().filter(|name| is_unknown(name.get_ref())) {
            let place =
                if self.name.is_empty() { "flows.toml".to_owned() } else { format!("[{}]", self.name) };
            let message = format!("{place} has no key `{}`", name.get_ref());
            let help = format!("{}known keys are {}", did_you_mean(name.get_ref(), &known), known.join(", "));
            self.problems.error(name.span(), message, help);
        }
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date without quotes",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
