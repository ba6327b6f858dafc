//! The filter language of Azure Tables: `OData` version 3, the part that the service supports.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/querying-tables-and-entities> lists the
//! operators, the literals and the limit of 15 comparisons.

mod evaluate;
#[cfg(test)]
mod hostile;
mod lexer;
mod parser;
mod terms;
#[cfg(test)]
mod tests;

use std::ops::Range;

use jiff::Timestamp;

pub use terms::{Relation, Term, TermValue};

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    expression: Expression,
}

/// Why a text is no filter of the service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    /// A boolean property alone.
    Holds(String),
    Compare {
        property: String,
        comparison: Comparison,
        constant: Constant,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Debug, Clone, PartialEq)]
enum Constant {
    Text(String),
    Bool(bool),
    Integer(i64),
    Double(f64),
    Moment(Timestamp),
    /// `datetime'{{past_time}}'`.
    PastTime,
    /// Lower case.
    Guid(String),
    Binary(Vec<u8>),
}

/// What stands for a run's past time, in double braces.
const PAST_TIME: &str = "past_time";

impl Filter {
    /// Parses a filter as it is in flows.toml, `{{past_time}}` included.
    ///
    /// # Errors
    /// The first place where it is no filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self { expression: parser::parse(text)? })
    }

    /// Whether `Timestamp gt|ge datetime'{{past_time}}'` is in a top-level `and`, so that each
    /// matching row is found by the runs after its write.
    pub fn is_covering(&self) -> bool {
        fn covers(expression: &Expression) -> bool {
            match expression {
                Expression::And(left, right) => covers(left) || covers(right),
                Expression::Compare { property, comparison, constant: Constant::PastTime } => {
                    property == "Timestamp" && matches!(comparison, Comparison::Gt | Comparison::Ge)
                }
                _ => false,
            }
        }
        covers(&self.expression)
    }

    /// Whether a comparison of `PartitionKey` in a top-level `and` keeps the service from looking
    /// at the whole table.
    pub fn names_partitions(&self) -> bool {
        fn names(expression: &Expression) -> bool {
            match expression {
                Expression::And(left, right) => names(left) || names(right),
                Expression::Or(left, right) => names(left) && names(right),
                Expression::Compare { property, comparison, .. } => {
                    property == "PartitionKey" && *comparison != Comparison::Ne
                }
                Expression::Not(_) | Expression::Holds(_) => false,
            }
        }
        names(&self.expression)
    }
}

/// The filter's text with the past time filled in, in whole microseconds: the service's own
/// resolution is 100 ns, and it refuses more digits than that.
pub fn fill(text: &str, past_time: Timestamp) -> String {
    let past_time = Timestamp::from_microsecond(past_time.as_microsecond()).unwrap_or(past_time);
    let mut filled = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(end) = rest.find("}}") {
        let (head, tail) = rest.split_at(end + 2);
        match head.rfind("{{") {
            Some(start) if is_past_time(&head[start..]) => {
                filled.push_str(&head[..start]);
                filled.push_str(&past_time.to_string());
            }
            _ => filled.push_str(head),
        }
        rest = tail;
    }
    filled + rest
}

/// `{{past_time}}`, with or without spaces inside.
fn is_past_time(place: &str) -> bool {
    let inner = place.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|name| name.trim() == PAST_TIME)
}
