//! Where in the HTML of a template a value is. HTML escaping keeps it within text and within an
//! attribute in quotes; an address, a script or a tag without quotes takes more than that.

/// What may be harmed by a value that is escaped as text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// Text, or an attribute in quotes that is only shown.
    Harmless,
    /// The beginning of an address.
    Address,
    /// Behind the beginning of an address.
    PartOfAddress,
    /// A tag, or an attribute without quotes.
    Unquoted,
    /// Script or style.
    Code,
}

/// Attributes that are addresses.
const ADDRESSES: [&str; 10] =
    ["href", "src", "action", "formaction", "background", "poster", "cite", "data", "srcset", "xlink:href"];

/// Reads the HTML around the values of a template, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Html {
    state: State,
    tag: String,
    attribute: String,
    /// Of the attribute's value, something was written.
    has_begun: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Comment,
    TagName,
    InTag,
    AttributeName,
    AfterName,
    BeforeValue,
    Quoted(char),
    Unquoted,
}

impl Html {
    /// Goes on over a piece of the template that is no tag of handlebars.
    pub(super) fn read(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let mut length = c.len_utf8();
            match self.state {
                State::Comment => match rest.find("-->") {
                    Some(end) => (self.state, length) = (State::Text, end + 3),
                    None => return,
                },
                State::Text => match rest.find('<') {
                    None => return,
                    Some(at) => length = at + self.open(&rest[at..]),
                },
                _ => self.step(c),
            }
            rest = &rest[length..];
        }
    }

    /// Begins a tag or a comment; returns its sign's length. Within a script only its end is one.
    fn open(&mut self, rest: &str) -> usize {
        let is_end = rest.get(2..).is_some_and(|name| {
            name.get(..self.tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(&self.tag))
        });
        if self.is_code() && !(rest.starts_with("</") && is_end) {
            return 1;
        }
        if rest.starts_with("<!--") {
            self.state = State::Comment;
            return 4;
        }
        let begins = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '!';
        if rest[1..].chars().next().is_none_or(begins) {
            self.state = State::TagName;
            self.tag.clear();
        }
        1
    }

    fn step(&mut self, c: char) {
        self.state = match (self.state, c) {
            (State::Quoted(quote), c) if c == quote => State::InTag,
            (State::Quoted(_), _) => {
                self.has_begun |= !c.is_whitespace();
                self.state
            }
            (_, '>') => State::Text,
            (State::TagName, c) if c.is_whitespace() => State::InTag,
            (State::TagName, c) => {
                self.tag.push(c.to_ascii_lowercase());
                State::TagName
            }
            (State::AttributeName | State::AfterName, '=') => State::BeforeValue,
            (State::AttributeName, c) if c.is_whitespace() => State::AfterName,
            (State::BeforeValue, '"' | '\'') => {
                self.has_begun = false;
                State::Quoted(c)
            }
            (State::InTag | State::AfterName | State::BeforeValue, c) if c.is_whitespace() => self.state,
            (State::BeforeValue, _) => State::Unquoted,
            (State::Unquoted, c) => {
                if c.is_whitespace() {
                    State::InTag
                } else {
                    State::Unquoted
                }
            }
            (State::AttributeName, c) => {
                self.attribute.push(c.to_ascii_lowercase());
                State::AttributeName
            }
            (_, c) => {
                self.attribute = c.to_ascii_lowercase().to_string();
                State::AttributeName
            }
        };
    }

    /// Where a value would be now; after it an address has begun.
    pub(super) fn value(&mut self) -> Context {
        let context = match self.state {
            State::Text if self.is_code() => Context::Code,
            State::Quoted(_) if self.attribute.starts_with("on") || self.attribute == "style" => {
                Context::Code
            }
            State::Quoted(_) if ADDRESSES.contains(&self.attribute.as_str()) => {
                if self.has_begun {
                    Context::PartOfAddress
                } else {
                    Context::Address
                }
            }
            State::Text | State::Comment | State::Quoted(_) => Context::Harmless,
            _ => Context::Unquoted,
        };
        self.has_begun = true;
        if self.state == State::BeforeValue {
            self.state = State::Unquoted;
        }
        context
    }

    fn is_code(&self) -> bool {
        self.tag == "script" || self.tag == "style"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contexts of the places that are marked with `$`.
    fn contexts(html: &str) -> Vec<Context> {
        let mut reader = Html::default();
        let mut found = Vec::new();
        for (number, piece) in html.split('$').enumerate() {
            if number > 0 {
                found.push(reader.value());
            }
            reader.read(piece);
        }
        found
    }

    #[test]
    fn says_where_a_value_is() {
        use Context::{Address, Code, Harmless, PartOfAddress, Unquoted};
        for (html, expected) in [
            ("<p>$</p>$", &[Harmless, Harmless][..]),
            ("<p title=\"$ $\">$", &[Harmless, Harmless, Harmless]),
            ("<a href=\"$$\">$</a>", &[Address, PartOfAddress, Harmless]),
            ("<A\nHREF = ' $'>", &[Address]),
            ("<a href=\"mailto:$\" title=\"$\">", &[PartOfAddress, Harmless]),
            ("<a href=$ title=x$ $>$", &[Unquoted, Unquoted, Unquoted, Harmless]),
            ("<$ a=\"$\">", &[Unquoted, Harmless]),
            ("<a hidden href=\"$\">", &[Address]),
            ("<img src=\"x\" alt=\"$\"/>$", &[Harmless, Harmless]),
            ("<p onclick=\"$\" style='width:$'>", &[Code, Code]),
            ("<script>if (a<b) { $ }</script>$", &[Code, Harmless]),
            ("<style>a>b{$}</STYLE><p>$", &[Code, Harmless]),
            ("<!-- of a link --><a href=\"$\">$</a>", &[Address, Harmless]),
            ("<script>x = '</b>' + $</script>$", &[Code, Harmless]),
            ("<!-- <a href=\"$ --><p>$</p>", &[Harmless, Harmless]),
            ("a < b $ <3 $", &[Harmless, Harmless]),
            ("<p title=\">$\">$", &[Harmless, Harmless]),
        ] {
            assert_eq!(contexts(html), expected, "{html}");
        }
    }
}
