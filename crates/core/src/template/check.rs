//! What can be seen in a template without rendering it: helpers, partials, raw HTML.

use handlebars::Template;
use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::helpers;
use super::link_check::{Context, Html};

/// Something that is in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// A partial that is there, and the loops around it.
    Partial(String, usize),
    /// A loop, with the loops around it.
    Loops(usize),
    /// Something that would fail or harm when it is rendered.
    Wrong {
        /// Line and column, from 1.
        at: Option<(usize, usize)>,
        /// What is wrong.
        message: String,
        /// What to write instead.
        help: Option<String>,
    },
    /// A value where HTML escaping is not enough.
    Risky {
        /// Line and column, from 1.
        at: Option<(usize, usize)>,
        /// What is risky.
        message: &'static str,
        /// What to write instead.
        help: &'static str,
    },
}

/// The helpers that are part of handlebars.
const BUILT_IN: [&str; 17] = [
    "if", "unless", "each", "with", "lookup", "raw", "log", "eq", "ne", "gt", "gte", "lt", "lte", "and",
    "or", "not", "len",
];

/// Walks through the template and all that it nests.
pub(super) fn walk(template: &Template, partials: &[String], html: bool) -> Vec<Finding> {
    let mut walk =
        Walk { partials, html, loops: 0, has_block: false, around: Html::default(), found: Vec::new() };
    walk.template(template);
    walk.found
}

/// Makes each `{{{…}}}` a `{{…}}`: in a text the two differ in nothing but the indent of further lines,
/// which every value needs.
pub(super) fn escape_all(template: &mut Template) {
    for element in &mut template.elements {
        match element {
            TemplateElement::HtmlExpression(call) => *element = TemplateElement::Expression(call.clone()),
            TemplateElement::HelperBlock(call) => {
                call.template.iter_mut().chain(&mut call.inverse).for_each(escape_all);
            }
            TemplateElement::PartialBlock(call) => call.template.iter_mut().for_each(escape_all),
            _ => {}
        }
    }
}

/// `each` within `each`, partials looked through: rows and their columns. More of them multiply
/// until the rendering does not end.
const MOST_LOOPS: usize = 2;
/// How often a template uses partials, those of partials counted each time.
const MOST_PARTIALS: usize = 1_000;

/// What a template uses: partials by name, and within how many loops.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Its own loops within loops.
    pub(super) loops: usize,
    /// Each partial, and the loops around it.
    pub(super) partials: Vec<(String, usize)>,
}

/// The templates whose rendering would take too long: loops within loops, or partials of partials.
/// There must be no cycle among them.
pub(super) fn endless(uses: &[(String, Uses)]) -> Vec<String> {
    let mut known: Vec<(String, (usize, usize))> = Vec::new();
    uses.iter()
        .map(|(name, _)| name)
        .filter(|name| {
            let (loops, partials) = extent(name, uses, &mut known);
            loops > MOST_LOOPS || partials > MOST_PARTIALS
        })
        .cloned()
        .collect()
}

/// Loops within loops and partials, those of partials looked through.
fn extent(name: &str, uses: &[(String, Uses)], known: &mut Vec<(String, (usize, usize))>) -> (usize, usize) {
    if let Some((_, found)) = known.iter().find(|(other, _)| other == name) {
        return *found;
    }
    let Some((_, own)) = uses.iter().find(|(user, _)| user == name) else { return (0, 0) };
    let mut found = (own.loops, 0_usize);
    for (partial, around) in &own.partials {
        let (loops, partials) = extent(partial, uses, known);
        found = (found.0.max(around + loops), found.1.saturating_add(partials).saturating_add(1));
    }
    known.push((name.to_owned(), found));
    found
}

/// The partials that lead back to themselves: each would be rendered without end.
pub(super) fn cycles(uses: &[(String, Uses)]) -> Vec<String> {
    let of = |name: &str| {
        let found = uses.iter().find(|(user, _)| user == name);
        found.into_iter().flat_map(|(_, used)| used.partials.iter().map(|(name, _)| name.as_str()))
    };
    let leads_back = |start: &String| {
        let mut seen = Vec::new();
        let mut next = of(start).collect::<Vec<_>>();
        while let Some(name) = next.pop() {
            if name == start {
                return true;
            }
            if !seen.contains(&name) {
                next.extend(of(name));
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
    /// Around the element that is looked at.
    loops: usize,
    has_block: bool,
    /// The HTML up to the element that is looked at.
    around: Html,
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
            TemplateElement::RawString(text) => self.around.read(text),
            TemplateElement::Expression(call) => {
                self.shown(call, at);
                self.call(call, at);
            }
            TemplateElement::HelperBlock(call) => self.call(call, at),
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

    /// Looks at the place of a value in the HTML.
    fn shown(&mut self, call: &HelperTemplate, at: Option<(usize, usize)>) {
        let context = if self.html { self.around.value() } else { Context::Harmless };
        let name = call.name.as_name().unwrap_or_default();
        let has_helper = !call.params.is_empty() && helpers::OF_LINKS.contains(&name);
        // What leadflow itself says is no risk.
        let is_own = |name: &str| name == "flow" || name == "run";
        let is_own = name.split(['.', '/']).find(|step| !matches!(*step, "@root" | "")).is_some_and(is_own);
        let (message, help) = match context {
            Context::Harmless => return,
            Context::Address | Context::PartOfAddress if has_helper || is_own => return,
            Context::Address => (
                "a value is used as a whole address, so it may lead anywhere",
                "write {{safe_url …}}, {{mailto …}} or {{tel …}} around it",
            ),
            Context::PartOfAddress => (
                "a value is used unescaped in an address, so it may end it and add another",
                "write {{url_encode …}} around it; for an address of a mail href=\"{{mailto …}}\"",
            ),
            Context::Unquoted => (
                "a value is used in a tag without quotes, so it may add attributes",
                "put quotes around the attribute's value: title=\"{{…}}\"",
            ),
            Context::Code => (
                "a value is used in a script or a style, where escaping does not help",
                "show it as text; mail programs run no scripts",
            ),
        };
        self.found.push(Finding::Risky { at, message, help });
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
        let is_loop = call.block && call.name.as_name() == Some("each");
        if is_loop {
            self.loops += 1;
            self.found.push(Finding::Loops(self.loops));
        }
        for nested in call.template.iter().chain(&call.inverse) {
            self.template(nested);
        }
        self.loops -= usize::from(is_loop);
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
                self.found.push(Finding::Partial(name.to_owned(), self.loops));
            }
            // Twice, or in a loop, blocks of partials within each other would multiply.
            Some("@partial-block") if self.has_block || self.loops > 0 => {
                self.wrong(
                    at,
                    "`@partial-block` appears twice, or in a loop",
                    "put it once, and the loop around the partial",
                );
            }
            Some("@partial-block") => self.has_block = true,
            Some(name) => {
                let ending = if self.html { "html" } else { "txt" };
                let file = name.trim_start_matches('_');
                let help = format!(
                    "write {{{{> _{file}}}}} and put the partial into templates/_{file}.{ending}.hbs"
                );
                self.wrong(at, format!("there is no partial `{name}`"), help);
            }
            None => self.wrong(at, "the partial's name must be written in the template", "write {{> _name}}"),
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The risks of a value at this place of the HTML.
    fn risks(text: &str, is_html: bool) -> Vec<&'static str> {
        let found = walk(&Template::compile(text).unwrap(), &[], is_html).into_iter();
        let risk = |finding| if let Finding::Risky { message, .. } = finding { Some(message) } else { None };
        found.filter_map(risk).collect()
    }

    #[test]
    fn a_value_that_escaping_does_not_make_harmless_is_reported() {
        let address = "a value is used as a whole address, so it may lead anywhere";
        let part = "a value is used unescaped in an address, so it may end it and add another";
        let unquoted = "a value is used in a tag without quotes, so it may add attributes";
        let code = "a value is used in a script or a style, where escaping does not help";
        for (text, expected) in [
            ("<p title=\"{{lead.name}}\">{{lead.name}}</p>", &[][..]),
            ("<a href=\"{{lead.email}}\">", &[address]),
            ("<a href=\"{{default lead.email 'x'}}\">", &[address]),
            ("<a href=\"{{mailto}}\">", &[address]),
            ("<a href=\"{{safe_url lead.email}}\">", &[]),
            ("<a href=\"https://crm.example/{{lead.email}}/{{length}}\">", &[part, part]),
            ("<a href=\"https://crm.example/{{url_encode lead.email}}/{{flow.name}}/{{run.id}}\">", &[]),
            ("<a href=\"{{@root.flow.name}}\"><a href=\"{{@root/run.id}}\">", &[]),
            ("<p title={{lead.name}}><p title={{flow.name}}>", &[unquoted, unquoted]),
            ("<script>{{#if length}}{{url_encode flow.name}}{{/if}}</script>", &[code]),
        ] {
            assert_eq!(risks(text, true), expected, "{text}");
            assert!(risks(text, false).is_empty(), "a text has no tags: {text}");
        }
    }

    #[test]
    fn what_fails_or_does_not_end_is_refused_wherever_it_is() {
        let twice = "`@partial-block` appears twice, or in a loop";
        for (text, expected) in [
            ("{{#if (not (shout length))}}x{{/if}}", &["there is no helper `shout`"][..]),
            (
                "{{date now (shout length)}}{{default length fallback=(cry 1)}}",
                &["there is no helper `shout`", "there is no helper `cry`"],
            ),
            ("{{> @partial-block}}", &[]),
            ("{{> @partial-block}}{{> @partial-block}}", &[twice]),
            ("{{#each rows}}{{> @partial-block}}{{/each}}", &[twice]),
            ("{{#each rows}}{{/each}}{{> @partial-block}}", &[]),
        ] {
            let found = walk(&Template::compile(text).unwrap(), &[], true).into_iter();
            let wrong =
                |finding| if let Finding::Wrong { message, .. } = finding { Some(message) } else { None };
            assert_eq!(found.filter_map(wrong).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn loops_are_counted_where_they_are_within_each_other() {
        let text = "{{#each rows}}{{#if a}}{{#each columns}}{{> _a}}{{/each}}{{/if}}{{/each}}{{#each \
                    rows}}{{> _a}}{{/each}}";
        let found = walk(&Template::compile(text).unwrap(), &["_a".to_owned()], true);
        let partial = |loops| Finding::Partial("_a".to_owned(), loops);
        assert_eq!(found, [Finding::Loops(1), Finding::Loops(2), partial(2), Finding::Loops(1), partial(1)]);
    }

    #[test]
    fn a_thousand_partials_are_the_most() {
        for (count, expected) in [(1_000, vec![]), (1_001, vec!["body"])] {
            let partials = vec![("_a".to_owned(), 0); count];
            let uses = [("body", partials), ("_a", vec![])];
            let uses = uses.map(|(name, partials)| (name.to_owned(), Uses { loops: 0, partials }));
            assert_eq!(endless(&uses), expected, "{count}");
        }
    }
}
