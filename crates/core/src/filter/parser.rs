//! From words to an expression: `or` binds least, then `and`, then `not`, then comparisons.

use std::ops::Range;

use super::lexer::{self, Token};
use super::{Comparison, Constant, Expression, FilterError};

/// Comparisons that the service takes in one filter.
const MOST_COMPARISONS: usize = 15;
/// Brackets within brackets; far more than 15 comparisons can need.
const DEEPEST: usize = 100;

const COMPARISONS: [(&str, Comparison); 6] = [
    ("eq", Comparison::Eq),
    ("ne", Comparison::Ne),
    ("gt", Comparison::Gt),
    ("ge", Comparison::Ge),
    ("lt", Comparison::Lt),
    ("le", Comparison::Le),
];

/// Functions of later `OData` versions that people try.
const FUNCTIONS: [&str; 6] = ["startswith", "endswith", "contains", "substringof", "tolower", "length"];

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser { tokens, at: 0, end: text.len(), comparisons: 0, depth: 0 };
    let expression = parser.or()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => {
            Err(parser
                .wrong("the filter should end here", "join comparisons with and, or; close each ( with )"))
        }
    }
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    end: usize,
    comparisons: usize,
    depth: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Expression, FilterError> {
        let mut left = self.and()?;
        while self.takes_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, FilterError> {
        let mut left = self.not()?;
        while self.takes_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression, FilterError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("the filter is nested too deeply", "remove brackets that are not needed"));
        }
        let inner = if self.takes_word("not") {
            Expression::Not(Box::new(self.not()?))
        } else if self.takes(&Token::Open) {
            let inner = self.or()?;
            if !self.takes(&Token::Close) {
                return Err(self.wrong("a bracket is not closed", "write ) after the comparison"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Expression, FilterError> {
        self.comparisons += 1;
        if self.comparisons > MOST_COMPARISONS {
            return Err(
                self.wrong("the table service accepts at most 15 comparisons in a filter", "remove some")
            );
        }
        let property = match self.peek() {
            Some(Token::Word(word)) if is_name(word) => word.clone(),
            Some(Token::Constant(_)) => {
                return Err(self.wrong(
                    "there is a constant where a property belongs",
                    "write the property first: Property eq 'text'",
                ));
            }
            _ => return Err(self.wrong("expected a comparison", "write Property eq 'text'")),
        };
        let name_span = self.span();
        self.at += 1;
        if self.peek() == Some(&Token::Open) && FUNCTIONS.contains(&property.as_str()) {
            let help = "for a prefix write Property ge 'ab' and Property lt 'ac'".to_owned();
            return Err(FilterError {
                span: name_span,
                message: format!("Azure Tables has no function `{property}`"),
                help,
            });
        }
        let Some(comparison) = self.comparison_word()? else {
            if ["PartitionKey", "RowKey", "Timestamp"].contains(&property.as_str()) {
                let message = format!("{property} alone is not a condition: it is not true or false");
                let help = format!("compare it: {property} eq …");
                return Err(FilterError { span: name_span, message, help });
            }
            return Ok(Expression::Holds(property));
        };
        let constant = match self.peek() {
            Some(Token::Constant(constant)) => constant.clone(),
            _ => {
                return Err(self.wrong(
                    "expected a constant",
                    "write 'text' in single quotes, datetime'…', a number, true or false",
                ));
            }
        };
        self.check_type(&property, &constant)?;
        self.at += 1;
        Ok(Expression::Compare { property, comparison, constant })
    }

    /// `None` where a boolean property stands alone.
    fn comparison_word(&mut self) -> Result<Option<Comparison>, FilterError> {
        let word = match self.peek() {
            None | Some(Token::Close) => return Ok(None),
            Some(Token::Word(word)) if word == "and" || word == "or" => return Ok(None),
            Some(Token::Word(word)) => word.clone(),
            Some(_) => return Err(self.wrong("expected a comparison", "comparisons are eq ne gt ge lt le")),
        };
        if let Some((_, comparison)) = COMPARISONS.iter().find(|(known, _)| *known == word) {
            self.at += 1;
            Ok(Some(*comparison))
        } else {
            let lower = word.to_lowercase();
            let is_known =
                lower == "and" || lower == "or" || COMPARISONS.iter().any(|(known, _)| *known == lower);
            let help = if is_known {
                format!("write {lower}")
            } else {
                "comparisons are eq ne gt ge lt le".to_owned()
            };
            Err(self.wrong(&format!("`{word}` is not a comparison"), &help))
        }
    }

    /// The keys are text and the Timestamp a date in every table.
    fn check_type(&self, property: &str, constant: &Constant) -> Result<(), FilterError> {
        match (property, constant) {
            ("PartitionKey" | "RowKey", Constant::Text(_))
            | ("Timestamp", Constant::Moment(_) | Constant::PastTime) => Ok(()),
            ("PartitionKey" | "RowKey", _) => {
                Err(self.wrong(&format!("{property} is text"), "write 'text' in single quotes"))
            }
            ("Timestamp", _) => Err(self.wrong(
                "Timestamp is a date",
                "write datetime'2026-01-05T08:00:00Z', or datetime'{{past_time}}'",
            )),
            _ => Ok(()),
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.end..self.end, |(_, span)| span.clone())
    }

    fn takes(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(found);
        found
    }

    fn wrong(&self, message: &str, help: &str) -> FilterError {
        FilterError { span: self.span(), message: message.to_owned(), help: help.to_owned() }
    }
}

fn is_name(word: &str) -> bool {
    !["and", "or", "not"].contains(&word) && !COMPARISONS.iter().any(|(known, _)| *known == word)
}
