//! What can be seen in a template without rendering it: helpers, partials, raw HTML, fields.

use handlebars::Template;
use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::helpers;

/// Something that stands in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// A name in a path: perhaps a column.
    Field(String),
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
const VALUES: [&str; 15] = [
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
    "this",
];

/// Walks through the template and all that it nests.
pub(super) fn walk(template: &Template, partials: &[String], html: bool) -> Vec<Finding> {
    let mut walk = Walk { partials, html, found: Vec::new() };
    walk.template(template);
    walk.found
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
                    let message = "`{{{…}}}` puts a value into the HTML unescaped".to_owned();
                    let help = Some("write `{{…}}`".to_owned());
                    self.found.push(Finding::Wrong { at, message, help });
                }
                self.call(call, at);
            }
            TemplateElement::PartialExpression(call) | TemplateElement::PartialBlock(call) => {
                self.partial(call, at);
            }
            _ => {}
        }
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
            let message = format!("there is no helper `{name}`");
            let help = Some(format!("helpers are {}", known.join(", ")));
            self.found.push(Finding::Wrong { at, message, help });
        }
    }

    fn partial(&mut self, call: &DecoratorTemplate, at: Option<(usize, usize)>) {
        if let Some(name) = call.name.as_name()
            && !self.partials.iter().any(|known| known == name)
        {
            let ending = if self.html { "html" } else { "txt" };
            let message = format!("there is no partial `{name}`");
            let file = name.trim_start_matches('_');
            let help = Some(format!(
                "write {{{{> _{file}}}}} and put the partial into templates/_{file}.{ending}.hbs"
            ));
            self.found.push(Finding::Wrong { at, message, help });
        }
        for parameter in call.params.iter().chain(call.hash.values()) {
            self.parameter(parameter, at);
        }
    }

    fn parameter(&mut self, parameter: &Parameter, at: Option<(usize, usize)>) {
        if let Parameter::Subexpression(inner) = parameter {
            self.element(inner.as_element(), at);
        } else if let Some(path) = parameter.as_name() {
            let names = path.split(['.', '/']).map(|name| name.trim_matches(['[', ']']));
            let is_column = |name: &&str| {
                let is_index = name.chars().all(|c| c.is_ascii_digit());
                !is_index && !name.starts_with('@') && !VALUES.contains(name)
            };
            self.found.extend(names.filter(is_column).map(|name| Finding::Field(name.to_owned())));
        }
    }
}
