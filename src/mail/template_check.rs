//! What can be seen in a template without rendering it: helpers, partials, raw HTML, fields.

use handlebars::Template;
use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::helpers;

/// Something that stands in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// What may be a column, for it is no value that every mail has.
    Column {
        /// Its name.
        name: String,
        /// Line and column, from 1.
        at: Option<(usize, usize)>,
    },
    /// A partial that is there.
    Partial(String),
    /// Something that would fail or harm when it is rendered.
    Wrong {
        /// Line and column, from 1.
        at: Option<(usize, usize)>,
        /// What is wrong.
        message: String,
        /// What to write instead.
        help: Option<String>,
    },
}

/// The helpers that are part of handlebars.
const BUILT_IN: [&str; 17] = [
    "if", "unless", "each", "with", "lookup", "raw", "log", "eq", "ne", "gt", "gte", "lt", "lte", "and",
    "or", "not", "len",
];

/// The values of a mail that are not columns.
const VALUES: [&str; 18] = [
    "length",
    "rows",
    "lead",
    "flow",
    "run",
    "past_time",
    "now",
    "shown",
    "hidden",
    "columns",
    "part",
    "parts",
    "attached",
    "is_lead",
    "hidden_tests",
    // Of `lead.others`.
    "name",
    "value",
    "this",
];

/// Walks through the template and all that it nests.
pub(super) fn walk(template: &Template, partials: &[String], html: bool) -> Vec<Finding> {
    let mut walk = Walk { partials, html, found: Vec::new() };
    walk.template(template);
    walk.found
}

/// Blocks within blocks; the parser, the walk and the rendering each call themselves for one.
const DEEPEST: usize = 50;

/// Refuses what is nested too deeply before it is parsed.
///
/// # Errors
/// Line and column of the block that is too deep.
pub(super) fn check_depth(text: &str) -> Result<(), (usize, usize)> {
    let mut depth = 0_usize;
    for (number, line) in (1..).zip(text.lines()) {
        for (at, _) in line.match_indices("{{") {
            let inner = line[at + 2..].trim_start_matches(['~', '{', ' ']);
            if inner.starts_with('#') {
                depth += 1;
            } else if inner.starts_with('/') {
                depth = depth.saturating_sub(1);
            }
            let calls = inner.split("}}").next().unwrap_or_default().matches('(').count();
            if depth.max(calls) > DEEPEST {
                return Err((number, line[..at].chars().count() + 1));
            }
        }
    }
    Ok(())
}

/// The partials that lead back to themselves: each would be rendered without end.
pub(super) fn cycles(uses: &[(String, Vec<String>)]) -> Vec<String> {
    let of =
        |name: &str| uses.iter().find(|(user, _)| user == name).map_or(&[][..], |(_, used)| used.as_slice());
    let leads_back = |start: &String| {
        let (mut seen, mut next) = (Vec::new(), of(start).to_vec());
        while let Some(name) = next.pop() {
            if &name == start {
                return true;
            }
            if !seen.contains(&name) {
                next.extend(of(&name).iter().cloned());
                seen.push(name);
            }
        }
        false
    };
    uses.iter().map(|(name, _)| name).filter(|name| leads_back(name)).cloned().collect()
}

struct Walk<'a> {
    partials: &'a [String],
    html: bool,
    found: Vec<Finding>,
}

impl Walk<'_> {
    fn template(&mut self, template: &Template) {
        for (index, element) in template.elements.iter().enumerate() {
            let at = template.mapping.get(index).map(|place| (place.0, place.1));
            self.element(element, at);
        }
    }

    fn element(&mut self, element: &TemplateElement, at: Option<(usize, usize)>) {
        match element {
            TemplateElement::Expression(call) | TemplateElement::HelperBlock(call) => self.call(call, at),
            TemplateElement::HtmlExpression(call) => {
                if self.html {
                    self.wrong(at, "`{{{…}}}` puts a value into the HTML unescaped", "write `{{…}}`");
                }
                self.call(call, at);
            }
            TemplateElement::PartialExpression(call) | TemplateElement::PartialBlock(call) => {
                self.partial(call, at);
            }
            TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                self.wrong(
                    at,
                    "`{{*…}}` and `{{#*…}}` are not supported",
                    "put a partial into a file: templates/_name.html.hbs",
                );
            }
            _ => {}
        }
    }

    fn wrong(&mut self, at: Option<(usize, usize)>, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Finding::Wrong { at, message: message.into(), help: Some(help.into()) });
    }

    fn call(&mut self, call: &HelperTemplate, at: Option<(usize, usize)>) {
        let is_call = call.block || !call.params.is_empty() || !call.hash.is_empty();
        match call.name.as_name() {
            Some(name) if is_call => self.helper(name, at),
            _ => self.parameter(&call.name, at),
        }
        for parameter in call.params.iter().chain(call.hash.values()) {
            self.parameter(parameter, at);
        }
        for nested in call.template.iter().chain(&call.inverse) {
            self.template(nested);
        }
    }

    fn helper(&mut self, name: &str, at: Option<(usize, usize)>) {
        if !BUILT_IN.contains(&name) && !helpers::NAMES.contains(&name) {
            let mut known: Vec<_> = helpers::NAMES.into_iter().chain(BUILT_IN).collect();
            known.sort_unstable();
            let help = format!("helpers are {}", known.join(", "));
            self.wrong(at, format!("there is no helper `{name}`"), help);
        }
    }

    fn partial(&mut self, call: &DecoratorTemplate, at: Option<(usize, usize)>) {
        match call.name.as_name() {
            Some(name) if self.partials.iter().any(|known| known == name) => {
                self.found.push(Finding::Partial(name.to_owned()));
            }
            Some("@partial-block") => {}
            Some(name) => {
                let ending = if self.html { "html" } else { "txt" };
                let file = name.trim_start_matches('_');
                let help = format!(
                    "write {{{{> _{file}}}}} and put the partial into templates/_{file}.{ending}.hbs"
                );
                self.wrong(at, format!("there is no partial `{name}`"), help);
            }
            None => self.wrong(at, "the partial's name must stand in the template", "write {{> _name}}"),
        }
        for parameter in call.params.iter().chain(call.hash.values()) {
            self.parameter(parameter, at);
        }
        if let Some(template) = &call.template {
            self.template(template);
        }
    }

    fn parameter(&mut self, parameter: &Parameter, at: Option<(usize, usize)>) {
        if let Parameter::Subexpression(inner) = parameter {
            self.element(inner.as_element(), at);
        } else if let Some(path) = parameter.as_name() {
            let mut names = path.split(['.', '/']).map(|name| name.trim_matches(['[', ']']));
            let is_step = |name: &&str| {
                let is_index = name.chars().all(|c| c.is_ascii_digit());
                !is_index && !name.starts_with('@') && !["this", "rows"].contains(name)
            };
            // Of `rows.0.Company` the column; of `lead.email` or `flow.name` nothing.
            if let Some(name) = names.find(is_step).filter(|name| !VALUES.contains(name)) {
                self.found.push(Finding::Column { name: name.to_owned(), at });
            }
        }
    }
}
