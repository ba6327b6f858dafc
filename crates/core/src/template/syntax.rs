//! What a mistake in a template most likely is, and what to write instead.

/// A mistake at a place of the template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Line and column, from 1.
    pub(super) at: (usize, usize),
    pub(super) message: String,
    pub(super) help: String,
}

/// A `{{…}}`, without its braces.
struct Tag<'a> {
    start: usize,
    inner: &'a str,
}

type Words = (String, String);

/// Quotes that handlebars takes for letters of a name.
const CURLY: [char; 9] = ['“', '”', '„', '‘', '’', '‚', '«', '»', '＂'];

/// The first mistake that shows in the braces alone.
pub(super) fn mistake(text: &str) -> Option<Mistake> {
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut at = 0;
    loop {
        let tag = match next_tag(text, at) {
            Err((start, words)) => return Some(at_place(text, start, words)),
            Ok(None) => break,
            Ok(Some((tag, end))) => {
                at = end;
                tag
            }
        };
        let Some(tag) = tag else { continue };
        if let Some(words) = of_tag(tag.inner).or_else(|| of_block(&tag, &mut open, text)) {
            return Some(at_place(text, tag.start, words));
        }
    }
    let (name, start) = open.pop()?;
    let words =
        (format!("the block `{{{{#{name}}}}}` is not closed"), format!("close it with {{{{/{name}}}}}"));
    Some(at_place(text, start, words))
}

/// Quotes of a word processor within braces, which handlebars would take for a name.
pub(super) fn curly_quotes(text: &str) -> Option<Mistake> {
    let mut at = 0;
    while let Ok(Some((tag, end))) = next_tag(text, at) {
        at = end;
        if let Some(Tag { start, inner }) = tag.filter(|tag| has_curly_quotes(tag.inner)) {
            let at = start + inner.find(CURLY).unwrap_or_default() + "{{".len();
            return Some(at_place(text, at, curly()));
        }
    }
    None
}

fn has_curly_quotes(inner: &str) -> bool {
    // In a text in straight quotes they are letters as others are.
    inner.split('"').step_by(2).any(|outside| outside.contains(CURLY))
}

fn curly() -> Words {
    (
        "the quotes are curly".to_owned(),
        "write straight quotes: \"…\"; word processors and chat programs change them".to_owned(),
    )
}

fn at_place(text: &str, start: usize, (message, help): Words) -> Mistake {
    let before = &text[..start];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Mistake { at: (before.matches('\n').count() + 1, column), message, help }
}

/// The next tag from there and its end; no tag where it is a comment, a raw block or escaped.
#[expect(clippy::type_complexity, reason = "a place to go on, and what is there")]
fn next_tag(text: &str, from: usize) -> Result<Option<(Option<Tag<'_>>, usize)>, (usize, Words)> {
    let Some(start) = text[from..].find("{{").map(|at| from + at) else { return Ok(None) };
    let rest = &text[start..];
    if text[..start].ends_with('\\') {
        return Ok(Some((None, start + 2)));
    }
    let words = |message: &str, help: &str| (start, (message.to_owned(), help.to_owned()));
    for (begin, end, name) in [("{{!--", "--}}", "the comment"), ("{{{{", "{{{{/", "the raw block")] {
        if let Some(inner) = rest.strip_prefix(begin) {
            let length = inner
                .find(end)
                .ok_or_else(|| words(&format!("{name} is not closed"), &format!("close it with {end}")))?;
            return Ok(Some((None, start + begin.len() + length + end.len())));
        }
    }
    let braces = if rest.starts_with("{{{") { 3 } else { 2 };
    let open = &"{{{"[..braces];
    let close = &"}}}"[..braces];
    let end = rest.find("}}").filter(|end| !rest[braces..*end].contains("{{"));
    let end = end.ok_or_else(|| words("the braces are not closed", &format!("close {open} with {close}")))?;
    if !rest[end..].starts_with(close) {
        return Err(words(&format!("`{open}` is closed by two braces"), &format!("close it with {close}")));
    }
    let inner = rest[braces..end].trim_matches('~');
    let is_comment = inner.starts_with('!');
    Ok(Some(((!is_comment).then_some(Tag { start, inner }), start + end + braces)))
}

fn of_tag(inner: &str) -> Option<Words> {
    let words = |message: &str, help: &str| Some((message.to_owned(), help.to_owned()));
    let outside: String = inner.split('"').step_by(2).collect();
    if has_curly_quotes(inner) {
        return Some(curly());
    }
    if inner.trim().is_empty() {
        return words(
            "there is nothing between the braces",
            "write the name of a value, as in {{length}}, or remove the braces",
        );
    }
    if inner.matches('"').count() % 2 == 1 {
        return words("a quoted string is not closed", "close it with \"");
    }
    if outside.matches('(').count() != outside.matches(')').count() {
        return words("the brackets do not match", "close each ( with a ), as in {{#if (eq length 1)}}");
    }
    if outside.contains("['") {
        return words(
            "`['…']` does not name a column",
            "write {{[Column Name]}}, or {{lookup this \"Column Name\"}}",
        );
    }
    let operators = [
        ("==", "eq"),
        ("!=", "ne"),
        (">=", "gte"),
        ("<=", "lte"),
        (" > ", "gt"),
        (" < ", "lt"),
        ("&&", "and"),
        ("||", "or"),
    ];
    let is_partial = inner.trim_start().starts_with('>');
    let (_, helper) = operators.iter().find(|(sign, _)| !is_partial && outside.contains(sign))?;
    let help = format!("write the helper first: {{{{#if ({helper} length 3)}}}}");
    Some(("Handlebars has no comparison operators".to_owned(), help))
}

fn of_block<'a>(tag: &Tag<'a>, open: &mut Vec<(&'a str, usize)>, text: &str) -> Option<Words> {
    let inner = tag.inner.trim();
    let name =
        |rest: &'a str| rest.trim_start_matches(['>', '*']).split_whitespace().next().unwrap_or_default();
    if let Some(rest) = inner.strip_prefix('#') {
        open.push((name(rest), tag.start));
        return None;
    }
    let is_else = inner == "^" || inner.split_whitespace().next() == Some("else");
    if is_else && open.is_empty() {
        return Some((
            "`{{else}}` is outside of a block".to_owned(),
            "it belongs between {{#if …}} and {{/if}}".to_owned(),
        ));
    }
    let closing = name(inner.strip_prefix('/')?);
    match open.pop() {
        Some((opened, _)) if opened == closing => None,
        Some((opened, start)) => {
            let line = text[..start].matches('\n').count() + 1;
            let message = format!(
                "`{{{{/{closing}}}}}` closes the block `{{{{#{opened}}}}}` of line \
                 {line}"
            );
            Some((message, format!("close that one first, with {{{{/{opened}}}}}")))
        }
        None => {
            let message = format!("`{{{{/{closing}}}}}` closes a block that was not opened");
            Some((message, format!("open it with {{{{#{closing} …}}}}, or remove this")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_has_its_place_and_remedy() {
        let shown = |text: &&str| match mistake(text) {
            Some(Mistake { at: (line, column), message, help }) => {
                format!("{text}\n    → {line}:{column} {message} | {help}")
            }
            None => format!("{text}\n    → none"),
        };
        let texts = [
            "a\n{{#each rows}}\n{{x}}",
            "{{#each rows}}\n{{#if x}}\n{{/each}}",
            "{{#each rows}}{{/if}}",
            "{{/each}}",
            "{{else}}",
            "{{length}",
            "{{length} {{x}}",
            "{{{length}}",
            "{{date Timestamp “%Y”}}",
            "{{#if (eq a ‘b’)}}x{{/if}}",
            "{{#if (eq a \"b\"}}x{{/if}}",
            "{{date a \"x}}",
            "{{row['Company Name']}}",
            "{{#if length > 3}}x{{/if}}",
            "{{#if (a == b)}}x{{/if}}",
            "{{}}",
            "{{!-- hi",
            "{{{{raw}}}} {{x",
            "{{!-- {{ --}}{{! x }}\\{{x {{{{raw}}}}{{/x{{{{/raw}}}}{{~#if x~}}“{{else}}”{{^}}{{/if}}{{> \
             _a}}{{#>layout}}{{/layout}}",
            "{{date x \"“%Y”\"}}",
            "ab {{!-- abc def {{}}--}}{{length}",
            "ab {{{{raw}}}} abc {{}} {{{{/raw}}}}{{length}",
            "abcdefgh \\{{x}} {{length}",
        ];
        insta::assert_snapshot!(texts.iter().map(shown).collect::<Vec<_>>().join("\n"));
    }
}
