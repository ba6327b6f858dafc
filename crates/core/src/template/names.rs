//! Which value each name of a template means: that of the mail, of a row, of its lead. The language
//! takes a name that nobody knows for false, wherever it is asked for and not shown; here it is found.

mod kind;
mod path;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use handlebars::Template;
use handlebars::template::{BlockParam, HelperTemplate, Parameter, TemplateElement};
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::date_format;
use crate::rows::lead;
use kind::Kind;
use path::Path;

type At = Option<(usize, usize)>;

/// A name that is in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A column of a row.
    Column {
        /// Its name.
        name: String,
        /// Line and column, from 1.
        at: At,
    },
    /// A field of a row's lead, or all of them.
    Field(Option<String>),
    /// What will not do what it looks like.
    Questionable {
        /// Line and column, from 1.
        at: At,
        /// What is doubtful.
        message: String,
        /// What to write instead.
        help: String,
    },
}

/// Something that names are looked up in: the mail, or what a block or partial is about.
#[derive(Debug, Clone)]
struct Scope {
    kind: Kind,
    /// `as |row|`, and the named arguments of a partial.
    params: Vec<(String, Kind)>,
}

/// Walks through partials at most; each is one for everything that it may be about.
const MOST_WALKS: usize = 1_000;
/// Doubts that are reported.
const MAX_WARNINGS: usize = 100;

/// The names of the templates that a mail begins with, and of the partials that they come to.
pub(super) fn of_mail<'a>(
    bodies: impl IntoIterator<Item = (&'a str, &'a Template)>,
    partials: &'a [(&'a str, &'a Template)],
) -> Vec<(&'a str, Named)> {
    let mut walk = Walk {
        of: "",
        partials,
        at: None,
        scopes: Vec::new(),
        found: Vec::new(),
        reported: BTreeSet::new(),
        warnings: 0,
        seen: BTreeSet::new(),
    };
    for (name, template) in bodies {
        walk.of = name;
        walk.within(Scope { kind: Kind::Mail, params: Vec::new() }, template);
    }
    walk.found
}

struct Walk<'a> {
    /// The template that is walked through.
    of: &'a str,
    partials: &'a [(&'a str, &'a Template)],
    /// Where the block around is.
    at: At,
    /// The innermost is the last.
    scopes: Vec<Scope>,
    found: Vec<(&'a str, Named)>,
    /// What was found of each template, so that it is reported once.
    reported: BTreeSet<(&'a str, String)>,
    warnings: usize,
    /// Partials that were walked through, each with what it was about.
    seen: BTreeSet<(&'a str, Kind, Vec<String>)>,
}

impl<'a> Walk<'a> {
    fn template(&mut self, template: &'a Template) {
        for (index, element) in template.elements.iter().enumerate() {
            // What follows `else if` has no place of its own, and is near its block.
            let at = template.mapping.get(index).map(|place| (place.0, place.1)).or(self.at);
            let around = std::mem::replace(&mut self.at, at);
            self.element(element, at);
            self.at = around;
        }
    }

    fn element(&mut self, element: &'a TemplateElement, at: At) {
        match element {
            TemplateElement::Expression(call)
            | TemplateElement::HtmlExpression(call)
            | TemplateElement::HelperBlock(call) => self.call(call, at),
            TemplateElement::PartialExpression(call) | TemplateElement::PartialBlock(call) => {
                let about = call.params.first().map(|about| self.parameter(about, at));
                let hash: Vec<_> =
                    call.hash.iter().map(|(name, value)| (name, self.parameter(value, at))).collect();
                let params: Vec<_> = hash.into_iter().map(|(name, kind)| (name.clone(), kind)).collect();
                let kind = about.unwrap_or_else(|| self.current());
                if let Some(name) = call.name.as_name() {
                    self.partial(name, Scope { kind, params: params.clone() });
                }
                if let Some(block) = &call.template {
                    self.within(Scope { kind, params }, block);
                }
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &'a HelperTemplate, at: At) {
        let is_call = call.block || !call.params.is_empty() || !call.hash.is_empty();
        let name = call.name.as_name().unwrap_or_default();
        if !is_call {
            self.parameter(&call.name, at);
            return;
        }
        let kinds: Vec<Kind> = call.params.iter().map(|parameter| self.parameter(parameter, at)).collect();
        for value in call.hash.values() {
            self.parameter(value, at);
        }
        let about = kinds.first().copied().unwrap_or(Kind::Anything);
        match name {
            "lookup" => self.lookup(about, call.params.get(1), at),
            "date" => self.date(call.params.get(1), at),
            _ => {}
        }
        if let Some(inner) = &call.template {
            match name {
                "each" => {
                    if about == Kind::Lead {
                        self.find("lead".to_owned(), Named::Field(None));
                    }
                    let params = block_params(call, about.element(), Kind::Plain);
                    self.within(Scope { kind: about.element(), params }, inner);
                }
                "with" => {
                    let params = block_params(call, about, Kind::Plain);
                    self.within(Scope { kind: about, params }, inner);
                }
                _ => self.template(inner),
            }
        }
        if let Some(otherwise) = &call.inverse {
            self.template(otherwise);
        }
    }

    fn within(&mut self, scope: Scope, template: &'a Template) {
        self.scopes.push(scope);
        self.template(template);
        self.scopes.pop();
    }

    /// A partial is the same for every place that hands it the same.
    fn partial(&mut self, name: &str, scope: Scope) {
        let Some((name, template)) = self.partials.iter().find(|(known, _)| *known == name) else { return };
        let params = scope.params.iter().map(|(name, kind)| format!("{name} {kind:?}")).collect();
        if self.seen.len() == MOST_WALKS || !self.seen.insert((name, scope.kind, params)) {
            return;
        }
        let around = Scope { kind: Kind::Anything, params: Vec::new() };
        let before = std::mem::replace(&mut self.scopes, vec![around, scope]);
        let of = std::mem::replace(&mut self.of, name);
        let at = self.at.take();
        self.template(template);
        (self.of, self.at) = (of, at);
        self.scopes = before;
    }

    fn current(&self) -> Kind {
        self.scopes.last().map_or(Kind::Anything, |scope| scope.kind)
    }

    /// What the parameter is; a name that leads nowhere is noted.
    fn parameter(&mut self, parameter: &'a Parameter, at: At) -> Kind {
        match parameter {
            Parameter::Subexpression(inner) => {
                self.element(inner.as_element(), at);
                Kind::Anything
            }
            Parameter::Literal(_) => Kind::Plain,
            _ => parameter.as_name().map_or(Kind::Anything, |path| self.path(path, at)),
        }
    }

    fn path(&mut self, path: &str, at: At) -> Kind {
        let Some(Path { up, is_of_root, names }) = Path::parse(path) else { return Kind::Plain };
        let mut names = names.as_slice();
        let first = names.first().filter(|_| up == 0 && !is_of_root);
        let of_params = first.and_then(|name| {
            let params = self.scopes.iter().rev().flat_map(|scope| &scope.params);
            params.into_iter().find(|(known, _)| known == name).map(|(_, kind)| *kind)
        });
        let mut kind = match of_params {
            Some(kind) => {
                names = &names[1..];
                kind
            }
            None if is_of_root => Kind::Mail,
            None => {
                let scope = self.scopes.len().checked_sub(up + 1).and_then(|at| self.scopes.get(at));
                scope.map_or(Kind::Anything, |scope| scope.kind)
            }
        };
        for name in names {
            kind = self.step(kind, name, path, at);
        }
        kind
    }

    fn step(&mut self, kind: Kind, name: &str, path: &str, at: At) -> Kind {
        match kind {
            // A column of that name can be shown by no template.
            Kind::Row if name != "lead" && Kind::Mail.step(name).is_some() => {
                let help = format!("a row has its columns and `lead`; of the mail it is `@root.{name}`");
                self.warn(at, format!("there is no value `{path}`"), help);
                return Kind::Anything;
            }
            Kind::Row if name != "lead" => {
                self.find(name.to_owned(), Named::Column { name: name.to_owned(), at });
            }
            Kind::Lead if lead::FIELDS.contains(&name) => {
                self.find(format!("lead.{name}"), Named::Field(Some(name.to_owned())));
            }
            _ => {}
        }
        if let Some(next) = kind.step(name) {
            return next;
        }
        let help = kind.remedy(name);
        self.warn(at, format!("there is no value `{path}`"), help);
        Kind::Anything
    }

    /// `(lookup row "Company")`.
    fn lookup(&mut self, about: Kind, name: Option<&Parameter>, at: At) {
        if let Some(Parameter::Literal(literal)) = name
            && let Some(name) = literal.as_str()
        {
            self.step(about, name, name, at);
        }
    }

    /// The format of `{{date VALUE "%Y-%m-%d"}}`, where it is in the template.
    fn date(&mut self, format: Option<&Parameter>, at: At) {
        let Some(Parameter::Literal(literal)) = format else { return };
        let Some(format) = literal.as_str() else { return };
        if let Some(meant) = date_format::meant(format) {
            let message =
                format!("`date` does not know the format `{format}`: its letters are shown as they are");
            self.warn(at, message, format!("write \"{meant}\""));
        } else if !format.contains('%') {
            let message = format!("the date format `{format}` has no %: it is shown instead of the date");
            self.warn(at, message, "write \"%Y-%m-%d %H:%M\"".to_owned());
        } else if let Err(error) = strtime::format(format, &Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)) {
            let message = format!("`{format}` is not a valid date format: {error}");
            self.warn(at, message, "write \"%Y-%m-%d %H:%M\"".to_owned());
        }
    }

    fn warn(&mut self, at: At, message: String, help: String) {
        if self.warnings < MAX_WARNINGS {
            self.find(format!("{at:?} {message}"), Named::Questionable { at, message, help });
        }
    }

    fn find(&mut self, what: String, named: Named) {
        if self.reported.insert((self.of, what)) {
            self.warnings += usize::from(matches!(named, Named::Questionable { .. }));
            self.found.push((self.of, named));
        }
    }
}

/// `as |value|` or `as |value key|`.
fn block_params(call: &HelperTemplate, value: Kind, key: Kind) -> Vec<(String, Kind)> {
    let of = |parameter: &Parameter, kind| parameter.as_name().map(|name| (name.to_owned(), kind));
    let both = match &call.block_param {
        Some(BlockParam::Single(first)) => [of(first, value), None],
        Some(BlockParam::Pair((first, second))) => [of(first, value), of(second, key)],
        _ => [None, None],
    };
    both.into_iter().flatten().collect()
}
