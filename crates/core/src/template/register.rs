//! Compiling templates and registering them, with all that is wrong or risky in them.

use handlebars::{Handlebars, Template};

use super::check::{Finding, Uses};
use super::error::{TemplateError, of_syntax};
use super::named_columns::{Names, names};
use super::source::Source;
use super::syntax::Mistake;
use super::{cell, check, helpers, size, syntax};

/// Without a template yet: strict, with the helpers, and escaping as HTML or as indented text.
pub(super) fn registry(html: bool) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    if !html {
        registry.register_escape_fn(cell::indented);
    }
    helpers::register(&mut registry);
    registry
}

/// Registers the templates and returns what they name.
pub(super) fn register(
    registry: &mut Handlebars<'static>,
    sources: Vec<(String, Source)>,
    html: bool,
    errors: &mut Vec<TemplateError>,
    risks: &mut Vec<TemplateError>,
) -> Names {
    let mut parsed = Vec::new();
    for (name, source) in sources {
        match parse(&name, &source) {
            Ok(template) => parsed.push((name, template, source.place)),
            Err(error) => errors.push(error),
        }
    }
    let partials: Vec<String> = parsed.iter().map(|(name, ..)| name.clone()).collect();
    let names = names(&parsed);
    let mut uses = Vec::new();
    for (name, template, place) in &parsed {
        let mut own = Uses::default();
        for finding in check::walk(template, &partials, html) {
            match finding {
                Finding::Partial(partial, loops) => own.partials.push((partial, loops)),
                Finding::Loops(loops) => own.loops = own.loops.max(loops),
                Finding::Wrong { at, message, help } => {
                    errors.push(TemplateError { place: place.clone(), at, message, help });
                }
                Finding::Risky { at, message, help } => {
                    let message = message.to_owned();
                    let help = Some(help.to_owned());
                    risks.push(TemplateError { place: place.clone(), at, message, help });
                }
            }
        }
        uses.push((name.clone(), own));
    }
    let cycles = check::cycles(&uses);
    let endless = if cycles.is_empty() { check::endless(&uses) } else { Vec::new() };
    for (name, mut template, place) in parsed {
        if !html {
            check::escape_all(&mut template);
        }
        let wrong = if cycles.contains(&name) {
            Some(("the template uses itself, directly or through its partials", "remove one of the {{> …}}"))
        } else if endless.contains(&name) {
            Some((
                "the template repeats endlessly: more than two `each` within each other, or a thousand \
                 partials",
                "one `each` over the rows and one over the columns of a row are enough",
            ))
        } else {
            None
        };
        if let Some((message, help)) = wrong {
            let message = message.to_owned();
            let help = Some(help.to_owned());
            errors.push(TemplateError { place, at: None, message, help });
        }
        registry.register_template(&name, template);
    }
    names
}

/// Compiles one template.
pub(super) fn parse(name: &str, source: &Source) -> Result<Template, TemplateError> {
    if let Err((at, message)) = size::check_size(&source.text) {
        let message = message.to_owned();
        let help = Some("put the inner part into a partial".to_owned());
        return Err(TemplateError { place: source.place.clone(), at: Some(at), message, help });
    }
    let wrong = |Mistake { at, message, help }: Mistake| TemplateError {
        place: source.place.clone(),
        at: Some(at),
        message,
        help: Some(help),
    };
    if let Some(mistake) = syntax::curly_quotes(&source.text) {
        return Err(wrong(mistake));
    }
    let parsed = Template::compile_with_name(&source.text, name.to_owned());
    parsed.map_err(|error| match syntax::mistake(&source.text) {
        Some(mistake) => wrong(mistake),
        None => of_syntax(&error, source.place.clone()),
    })
}
