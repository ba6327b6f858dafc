//! A strict reader of the page's HTML: what is not written as the page writes it fails.

use std::collections::BTreeSet;

/// Elements of the page, none of which comes from a text.
const ELEMENTS: [&str; 58] = [
    "html",
    "head",
    "meta",
    "title",
    "link",
    "script",
    "body",
    "a",
    "header",
    "nav",
    "ul",
    "ol",
    "li",
    "div",
    "span",
    "form",
    "button",
    "input",
    "label",
    "select",
    "option",
    "main",
    "h1",
    "h2",
    "h3",
    "p",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "dl",
    "dt",
    "dd",
    "details",
    "summary",
    "figure",
    "figcaption",
    "svg",
    "line",
    "rect",
    "code",
    "pre",
    "strong",
    "time",
    "section",
    "footer",
    "iframe",
    "em",
    "small",
    "b",
    "i",
    "br",
    "caption",
    "fieldset",
    "legend",
    "abbr",
];
/// Attributes whose value leads somewhere.
const LEADING: [&str; 3] = ["href", "src", "action"];

/// Reads a page to its end; the texts and the values of attributes, as browsers have them.
#[track_caller]
pub(crate) fn read(page: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap_or_else(|| panic!("no HTML: {page}"));
    let mut open = Vec::new();
    while !rest.is_empty() {
        let (text, tag) = rest.split_once('<').unwrap_or((rest, ""));
        texts.push(plain(text));
        let Some((tag, after)) = tag.split_once('>') else {
            assert!(rest.ends_with(text), "a tag without an end: {tag}");
            break;
        };
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(ELEMENTS.contains(&name), "the element <{tag}>");
        let attributes = attributes_of(attributes);
        if name == "script" || name == "iframe" {
            assert!(rest.starts_with(&format!("</{name}>")), "<{tag}> has something in it");
        }
        for (attribute, value) in attributes {
            let is_name = attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            assert!(is_name && !attribute.starts_with("on") && attribute != "style", "<{tag}>: {attribute}");
            if LEADING.contains(&attribute) {
                let is_own = value.starts_with('/') && !value.starts_with("//") && !value.contains('\\');
                assert!(is_own || value == "#content", "<{tag}> leads to {value}");
            }
            texts.push(value);
        }
        if !["meta", "link", "input", "br"].contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "elements that are not closed");
    texts
}

fn attributes_of(mut text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    while !text.is_empty() {
        let end = text.find(['=', ' ']).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        let value = if let Some(quoted) = after.strip_prefix("=\"") {
            let (value, rest) = quoted.split_once('"').unwrap_or_else(|| panic!("{text}"));
            text = rest.strip_prefix(' ').unwrap_or(rest);
            assert!(rest.is_empty() || rest.starts_with(' '), "{rest}");
            plain(value)
        } else {
            assert!(!after.starts_with('='), "a value without quotes: {text}");
            text = after.strip_prefix(' ').unwrap_or(after);
            String::new()
        };
        assert!(names.insert(name), "{name} comes twice");
        found.push((name, value));
    }
    found
}

/// The text that an escaped one stands for.
fn plain(text: &str) -> String {
    assert!(!text.contains(['<', '>', '"']), "{text}");
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(';').unwrap_or_else(|| panic!("a bare & in: {text}"));
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            other => panic!("&{other}; in: {text}"),
        });
        plain += rest;
    }
    plain
}

#[test]
fn what_a_text_could_smuggle_in_is_found() {
    let of = |inner: &str| format!("<!DOCTYPE html><p title=\"x\">{inner}</p>");
    assert_eq!(read(&of("a &lt;b&gt; &amp;amp;")), ["", "x", "a <b> &amp;"]);
    for inner in [
        "<img src=\"/x\">",
        "<script>alert(1)</script>",
        "<a href=\"javascript:1\">x</a>",
        "<a href=\"//evil.example\">x</a>",
        "<b onclick=\"1\">x</b>",
        "<b style=\"1\">x</b>",
        "<b title='x'>x</b>",
        "<b title=x>x</b>",
        "</p><p>",
        "\"",
        "&",
        "<!-- -->",
        "<b",
    ] {
        let page = of(inner);
        assert!(std::panic::catch_unwind(|| read(&page)).is_err() || inner == "</p><p>", "{inner}");
    }
}
