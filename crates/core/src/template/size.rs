//! What is looked at before a template is parsed: whether the parser can end with it.

/// Blocks within blocks, or calls within calls; the parser, the walk and the rendering each call
/// themselves for one.
const DEEPEST: usize = 50;
/// Tags of a template; the parser's time grows with their square.
const MOST_TAGS: usize = 2_000;
/// Backslashes in a row, which the parser reads again from each of them.
const MOST_BACKSLASHES: usize = 100;

/// Refuses what the parser has no end with, before it is parsed: tags nested too deeply, and too
/// many of them.
///
/// # Errors
/// Line and column of what is too much, and what is wrong.
pub(super) fn check_size(text: &str) -> Result<(), ((usize, usize), &'static str)> {
    let wrong = |at: usize, message| {
        let before = &text[..at];
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Err(((before.matches('\n').count() + 1, column), message))
    };
    if let Some(at) = text.find(&"\\".repeat(MOST_BACKSLASHES)) {
        return wrong(at, "the template has a hundred backslashes in a row");
    }
    let mut at = 0;
    let mut tags = 0;
    // What each open block adds to the depth: itself, and each `else` as a block in the one before.
    let mut open: Vec<usize> = Vec::new();
    while let Some(start) = text[at..].find("{{").map(|found| at + found) {
        let tag = &text[start + 2..];
        let (length, calls) = tag_end(tag);
        let name = tag.trim_start_matches(|c: char| matches!(c, '~' | '{') || c.is_whitespace());
        if name.starts_with('#') {
            open.push(1);
        } else if name.starts_with('/') {
            open.pop();
        } else if name.starts_with('^') || name.starts_with("else") {
            open.last_mut().into_iter().for_each(|block| *block += 1);
        }
        if open.iter().sum::<usize>().max(calls) > DEEPEST {
            return wrong(start, "the template is nested too deeply");
        }
        tags += 1;
        if tags > MOST_TAGS {
            return wrong(start, "the template has more than 2000 tags");
        }
        at = start + 2 + length;
    }
    Ok(())
}

/// Where a tag ends, counted from behind its braces, and how deep its calls are nested. Braces in
/// quotes do not end it; brackets in quotes do not close a call.
fn tag_end(tag: &str) -> (usize, usize) {
    if tag.starts_with('!') {
        let end = if tag.starts_with("!--") { "--}}" } else { "}}" };
        return (tag.find(end).map_or(tag.len(), |at| at + end.len()), 0);
    }
    let mut quote = None;
    let mut is_escaped = false;
    let mut depth = 0_usize;
    let mut deepest = 0;
    for (at, c) in tag.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if quote.is_some() => is_escaped = true,
            '(' => depth += 1,
            ')' if quote.is_none() => depth = depth.saturating_sub(1),
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            '}' if quote.is_none() && tag[at..].starts_with("}}") => return (at + 2, deepest),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    // A quote that does not end is none: what follows are tags of their own.
    (tag.find("}}").map_or(tag.len(), |at| at + 2), deepest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_ends_where_the_parser_ends_it_and_has_the_depth_of_its_calls() {
        for (tag, depth) in [
            ("length}}", 0),
            ("a (b (c) (d)) (e)}}", 2),
            (r#"a (b ")" (c (d)))}}"#, 3),
            (r#"default "}}" (a)}}"#, 1),
            (r#"a "b' }}" c}}"#, 0),
            (r#"a "b\"}}" c}}"#, 0),
            (r#"a \"}}" b}}"#, 0),
            ("a 'has no end }}", 0),
            ("! ( }}", 0),
            ("!-- ( }} --}}", 0),
        ] {
            assert_eq!(tag_end(&format!("{tag} and more")), (tag.len(), depth), "{tag}");
        }
        for open in ["a (b", "! a", "!-- a }}"] {
            assert_eq!(tag_end(open).0, open.len(), "{open}");
        }
    }

    #[test]
    fn two_thousand_tags_are_the_most_and_the_place_of_the_next_one_is_reported() {
        assert_eq!(check_size(&"{{a}}".repeat(2_000)), Ok(()));
        let ((line, column), message) = check_size(&"{{a}}\n{{a}}".repeat(1_001)).unwrap_err();
        assert_eq!((line, column, message), (1_001, 6, "the template has more than 2000 tags"));
        assert_eq!(check_size(&"\\".repeat(99)), Ok(()));
        let (at, message) = check_size(&format!("a\né{}", "\\".repeat(100))).unwrap_err();
        assert_eq!((at, message), ((2, 2), "the template has a hundred backslashes in a row"));
    }
}
