//! Whether a row matches: what the service would do, for the embedded table.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{Comparison, Constant, Expression, Filter, lexer};
use crate::rows::columns::{Cell, Columns};
use crate::rows::row::Row;

impl Filter {
    /// Whether the row matches. A comparison with a property that the row lacks, or that has
    /// another type, is false. `{{past_time}}` must be filled in.
    pub fn matches(&self, row: &Row) -> bool {
        self.expression.holds(&row.properties())
    }
}

impl Expression {
    fn holds(&self, properties: &Columns<'_>) -> bool {
        match self {
            Self::And(left, right) => left.holds(properties) && right.holds(properties),
            Self::Or(left, right) => left.holds(properties) || right.holds(properties),
            Self::Not(inner) => !inner.holds(properties),
            Self::Holds(property) => properties.get(property) == Some(&Cell::Other(Value::Bool(true))),
            Self::Compare { property, comparison, constant } => {
                order(properties, property, constant).is_some_and(|order| comparison.holds(order))
            }
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
        }
    }
}

/// How the property compares with the constant; `None` where they have nothing in common.
fn order(properties: &Columns<'_>, property: &str, constant: &Constant) -> Option<Ordering> {
    let value = properties.get(property)?;
    let noted = properties.get(&format!("{property}@odata.type")).and_then(Cell::as_str);
    let kind = if property == "Timestamp" { Some("Edm.DateTime") } else { noted };
    match (kind, value, constant) {
        (Some("Edm.DateTime"), Cell::Text(text), Constant::Moment(at)) => Some(lexer::moment(text)?.cmp(at)),
        (Some("Edm.Guid"), Cell::Text(text), Constant::Guid(guid)) => Some(text.to_lowercase().cmp(guid)),
        (Some("Edm.Binary"), Cell::Text(text), Constant::Binary(bytes)) => {
            Some(BASE64_STANDARD.decode(text.as_bytes()).ok()?.cmp(bytes))
        }
        (Some("Edm.Int64"), Cell::Text(text), Constant::Integer(number)) => {
            Some(text.parse::<i64>().ok()?.cmp(number))
        }
        (Some("Edm.Double"), Cell::Text(text), Constant::Double(number)) => {
            text.parse::<f64>().ok()?.partial_cmp(number)
        }
        (None | Some("Edm.String"), Cell::Text(text), Constant::Text(other)) => {
            Some(text.encode_utf16().cmp(other.encode_utf16()))
        }
        (_, Cell::Other(Value::Bool(value)), Constant::Bool(other)) => Some(value.cmp(other)),
        #[expect(
            clippy::cast_precision_loss,
            reason = "the service compares as doubles here, too; 32 bits lose nothing"
        )]
        (_, Cell::Other(Value::Number(value)), Constant::Integer(number)) => {
            value.as_f64()?.partial_cmp(&(*number as f64))
        }
        (_, Cell::Other(Value::Number(value)), Constant::Double(number)) => {
            value.as_f64()?.partial_cmp(number)
        }
        _ => None,
    }
}
