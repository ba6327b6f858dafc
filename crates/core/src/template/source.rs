//! Where templates come from.

use std::fmt;
use std::path::PathBuf;

/// The sources of a flow's templates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sources {
    /// Subject, one line of handlebars.
    pub subject: Source,
    /// The HTML body.
    pub html: Option<Source>,
    /// The text body; made from the rows where absent.
    pub text: Option<Source>,
    /// Partials of HTML templates, by name.
    pub html_partials: Vec<(String, Source)>,
    /// Partials of text templates and subjects, by name.
    pub text_partials: Vec<(String, Source)>,
}

/// One template's text and where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Source {
    /// Where it is.
    pub place: TemplateLocation,
    /// Handlebars.
    pub text: String,
}

/// Which template it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TemplateLocation {
    /// `subject` in flows.toml.
    #[default]
    Subject,
    /// `body` in flows.toml.
    Body,
    /// A file of the templates folder.
    File(PathBuf),
    /// A template that comes with the program, by its name.
    Shipped(String),
}

impl fmt::Display for TemplateLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject => f.write_str("the subject"),
            Self::Body => f.write_str("the body"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Shipped(name) => write!(f, "the built-in template {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TemplateLocation;

    #[test]
    fn each_place_has_its_own_words() {
        let places = [
            TemplateLocation::Subject,
            TemplateLocation::Body,
            TemplateLocation::File("/a/b.hbs".into()),
            TemplateLocation::Shipped("rows".to_owned()),
        ];
        let words = ["the subject", "the body", "/a/b.hbs", "the built-in template rows"];
        assert_eq!(places.map(|place| place.to_string()), words);
    }
}
