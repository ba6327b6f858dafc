//! A filter taken apart for people.

use super::{Comparison, Constant, Expression, Filter};

/// One comparison of a filter whose comparisons all have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The column.
    pub property: String,
    /// How it is compared.
    pub relation: Relation,
    /// With what.
    pub value: TermValue,
}

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `eq`
    Equal,
    /// `ne`
    Unequal,
    /// `gt`
    Above,
    /// `ge`
    AtLeast,
    /// `lt`
    Below,
    /// `le`
    AtMost,
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TermValue {
    /// A constant, as people write it.
    Text(String),
    /// The past time of the run.
    PastTime,
}

impl Filter {
    /// The comparisons that all have to hold; `None` of a filter with `or` or `not`, whose words would say less than the
    /// filter does.
    pub fn terms(&self) -> Option<Vec<Term>> {
        let mut found = Vec::new();
        collect(&self.expression, &mut found).then_some(found)
    }
}

fn collect(expression: &Expression, found: &mut Vec<Term>) -> bool {
    match expression {
        Expression::And(left, right) => collect(left, found) && collect(right, found),
        Expression::Holds(property) => {
            let value = TermValue::Text("true".to_owned());
            found.push(Term { property: property.clone(), relation: Relation::Equal, value });
            true
        }
        Expression::Compare { property, comparison, constant } => {
            let (relation, value) = (relation(*comparison), value(constant));
            found.push(Term { property: property.clone(), relation, value });
            true
        }
        Expression::Or(..) | Expression::Not(_) => false,
    }
}

fn relation(comparison: Comparison) -> Relation {
    match comparison {
        Comparison::Eq => Relation::Equal,
        Comparison::Ne => Relation::Unequal,
        Comparison::Gt => Relation::Above,
        Comparison::Ge => Relation::AtLeast,
        Comparison::Lt => Relation::Below,
        Comparison::Le => Relation::AtMost,
    }
}

fn value(constant: &Constant) -> TermValue {
    TermValue::Text(match constant {
        Constant::PastTime => return TermValue::PastTime,
        Constant::Text(text) => format!("“{text}”"),
        Constant::Guid(text) => text.clone(),
        Constant::Bool(is) => is.to_string(),
        Constant::Integer(number) => number.to_string(),
        Constant::Double(number) => number.to_string(),
        Constant::Moment(at) => at.to_string(),
        Constant::Binary(bytes) => format!("{} bytes", bytes.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conjunction_is_taken_apart_and_nothing_else() {
        let text = "Timestamp gt datetime'{{past_time}}' and (PartitionKey ne 'test' and Score ge 2L) and Size lt 1.5 and \
                    Age le 3 and IsNew and Id eq guid'11111111-2222-3333-4444-555555555555' and Ok eq true and \
                    At eq datetime'2026-01-01T00:00:00Z' and Raw eq X'00ff'";
        let terms = Filter::parse(text).unwrap().terms().unwrap();
        let words: Vec<_> = terms
            .iter()
            .map(|Term { property, relation, value }| match value {
                TermValue::PastTime => format!("{property} {relation:?} past"),
                TermValue::Text(text) => format!("{property} {relation:?} {text}"),
            })
            .collect();
        assert_eq!(
            words,
            [
                "Timestamp Above past",
                "PartitionKey Unequal “test”",
                "Score AtLeast 2",
                "Size Below 1.5",
                "Age AtMost 3",
                "IsNew Equal true",
                "Id Equal 11111111-2222-3333-4444-555555555555",
                "Ok Equal true",
                "At Equal 2026-01-01T00:00:00Z",
                "Raw Equal 2 bytes",
            ]
        );
        for text in ["A eq 1 or B eq 2", "not A eq 1", "A eq 1 and (B eq 2 or C eq 3)"] {
            assert_eq!(Filter::parse(text).unwrap().terms(), None, "{text}");
        }
    }
}
