//! What the values of a mail are, and what each has within.

use crate::rows::lead;
use crate::text::near::did_you_mean;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Mail,
    Rows,
    Row,
    Lead,
    Others,
    Other,
    Flow,
    Run,
    Texts,
    /// A text, a number, or yes or no.
    Plain,
    /// Nothing is known of it.
    Anything,
}

/// The values of a mail.
const OF_MAIL: [(&str, Kind); 17] = [
    ("length", Kind::Plain),
    ("rows", Kind::Rows),
    ("lead", Kind::Lead),
    ("flow", Kind::Flow),
    ("run", Kind::Run),
    ("past_time", Kind::Plain),
    ("now", Kind::Plain),
    ("shown", Kind::Plain),
    ("hidden", Kind::Plain),
    ("columns", Kind::Texts),
    ("part", Kind::Plain),
    ("parts", Kind::Plain),
    ("attached", Kind::Plain),
    ("is_lead", Kind::Plain),
    ("hidden_tests", Kind::Plain),
    ("more_columns", Kind::Plain),
    ("cut_rows", Kind::Plain),
];
const OF_FLOW: [&str; 4] = ["name", "description", "table", "time_zone"];
/// Of a lead, beside its fields.
const OF_LEAD: [&str; 2] = ["others", "first_of_offer"];

impl Kind {
    /// The names that it has; none where it may have any.
    fn names(self) -> Vec<&'static str> {
        match self {
            Self::Mail => OF_MAIL.map(|(name, _)| name).to_vec(),
            Self::Lead => lead::FIELDS.into_iter().chain(OF_LEAD).collect(),
            Self::Flow => OF_FLOW.to_vec(),
            Self::Run => vec!["id"],
            Self::Other => vec!["name", "value"],
            Self::Row | Self::Rows | Self::Others | Self::Texts | Self::Plain | Self::Anything => Vec::new(),
        }
    }

    /// Where a name leads from here; `None` where it leads nowhere.
    pub(super) fn step(self, name: &str) -> Option<Self> {
        let is_index = name.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Self::Mail => OF_MAIL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind),
            Self::Rows => is_index.then_some(Self::Row),
            Self::Row => Some(if name == "lead" { Self::Lead } else { Self::Anything }),
            Self::Lead if name == "others" => Some(Self::Others),
            Self::Others => is_index.then_some(Self::Other),
            Self::Texts => is_index.then_some(Self::Plain),
            Self::Lead | Self::Flow | Self::Run | Self::Other => {
                self.names().contains(&name).then_some(Self::Plain)
            }
            Self::Plain => None,
            Self::Anything => Some(Self::Anything),
        }
    }

    /// What a loop over it hands on.
    pub(super) fn element(self) -> Self {
        match self {
            Self::Rows => Self::Row,
            Self::Others => Self::Other,
            Self::Lead | Self::Flow | Self::Run | Self::Texts | Self::Other => Self::Plain,
            Self::Mail | Self::Row | Self::Plain | Self::Anything => Self::Anything,
        }
    }

    /// What to write instead of a name that leads nowhere.
    pub(super) fn remedy(self, name: &str) -> String {
        let known = self.names();
        let near = did_you_mean(name, &known);
        match self {
            Self::Rows if name == "length" => "write `length`: it is the number of rows".to_owned(),
            Self::Rows => "write {{#each rows}}…{{/each}}: a row has the columns and `lead`".to_owned(),
            Self::Others | Self::Texts => "it is a list: write {{#each …}} around it".to_owned(),
            Self::Plain => "it is a single value and has no fields".to_owned(),
            Self::Mail if near.is_empty() => {
                format!(
                    "columns belong to a row: write it within {{{{#each rows}}}}; {} {}",
                    self.words(),
                    known.join(", ")
                )
            }
            _ => format!("{near}{} {}", self.words(), known.join(", ")),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Mail => "values are",
            Self::Lead => "a lead has",
            Self::Flow => "flow has",
            Self::Run => "run has",
            Self::Other => "each of lead.others has",
            _ => "",
        }
    }
}
