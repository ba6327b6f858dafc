//! From text to words of the filter language.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Constant, FilterError, is_past_time};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Open,
    Close,
    Comma,
    /// A property's name or an operator.
    Word(String),
    Constant(Constant),
}

pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, FilterError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    while let Some(token) = lexer.next()? {
        found.push(token);
    }
    Ok(found)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Option<(Token, Range<usize>)>, FilterError> {
        let rest = self.text[self.at..].trim_start();
        let start = self.text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        self.at = start + first.len_utf8();
        let token = match first {
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '\'' => Token::Constant(Constant::Text(self.quoted(start)?)),
            '-' | '0'..='9' => Token::Constant(self.number(start)?),
            c if c.is_alphabetic() || c == '_' => self.word(start)?,
            _ => return Err(unknown_sign(rest, start)),
        };
        Ok(Some((token, start..self.at)))
    }

    /// The text up to the closing quote; a doubled quote stands for one.
    fn quoted(&mut self, start: usize) -> Result<String, FilterError> {
        let mut value = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(end) = rest.find('\'') else {
                let help = "close it with '; write a quote inside twice, as in `'o''hara'`".to_owned();
                return Err(FilterError {
                    span: start..self.text.len(),
                    message: "the text is not closed".to_owned(),
                    help,
                });
            };
            value.push_str(&rest[..end]);
            self.at += end + 1;
            if !self.text[self.at..].starts_with('\'') {
                return Ok(value);
            }
            value.push('\'');
            self.at += 1;
        }
    }

    fn number(&mut self, start: usize) -> Result<Constant, FilterError> {
        let rest = &self.text[start..];
        let is_part = |(i, c): (usize, char)| {
            c.is_ascii_alphanumeric() || c == '.' || c == '-' || (c == '+' && rest[..i].ends_with(['e', 'E']))
        };
        let length = rest.char_indices().find(|found| !is_part(*found)).map_or(rest.len(), |(i, _)| i);
        self.at = start + length;
        let word = &rest[..length];
        let long = word.strip_suffix(['L', 'l']);
        let number = match long.unwrap_or(word).parse::<i64>() {
            Ok(number) if long.is_some() || i32::try_from(number).is_ok() => Some(Constant::Integer(number)),
            Ok(_) => {
                let help = format!("write {word}L");
                return Err(FilterError {
                    span: start..self.at,
                    message: format!("{word} needs 64 bits"),
                    help,
                });
            }
            Err(_) => word.parse().ok().filter(|n: &f64| n.is_finite()).map(Constant::Double),
        };
        number.ok_or_else(|| FilterError {
            span: start..self.at,
            message: format!("`{word}` is not a valid number"),
            help: "write a number as 123, 123L, 1.5 or -1.5e3, and text in single quotes".to_owned(),
        })
    }

    fn word(&mut self, start: usize) -> Result<Token, FilterError> {
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at = start + length;
        let word = &rest[..length];
        if rest[length..].starts_with('\'') {
            self.at += 1;
            let value = self.quoted(start)?;
            return self.typed(word, &value, start).map(Token::Constant);
        }
        Ok(match word {
            "true" => Token::Constant(Constant::Bool(true)),
            "false" => Token::Constant(Constant::Bool(false)),
            _ => Token::Word(word.to_owned()),
        })
    }

    /// `datetime'…'` and its like.
    fn typed(&self, kind: &str, value: &str, start: usize) -> Result<Constant, FilterError> {
        let wrong = |message: String, help: &str| {
            Err(FilterError { span: start..self.at, message, help: help.to_owned() })
        };
        match kind {
            "datetime" if is_past_time(value) => Ok(Constant::PastTime),
            "datetime" => match moment(value) {
                Some(at) => Ok(Constant::Moment(at)),
                None => wrong(
                    format!("`{value}` is not a valid date"),
                    "write datetime'2026-01-05T08:00:00Z', or datetime'{{past_time}}'",
                ),
            },
            "guid" => match uuid::Uuid::try_parse(value) {
                Ok(guid) => Ok(Constant::Guid(guid.to_string())),
                Err(_) => wrong(
                    format!("`{value}` is not a valid guid"),
                    "write guid'a455c695-df98-5678-aaaa-81d3367e5a34'",
                ),
            },
            "X" | "binary" => match hexadecimal(value).or_else(|| BASE64_STANDARD.decode(value).ok()) {
                Some(bytes) => Ok(Constant::Binary(bytes)),
                None => wrong(format!("`{value}` is not hexadecimal"), "write X'0a1b'"),
            },
            _ => wrong(
                format!("`{kind}'…'` is not a literal of Azure Tables"),
                "literals are 'text', datetime'…', guid'…', X'…', numbers, true and false",
            ),
        }
    }
}

/// A moment as the service takes it; UTC where it names no zone.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let civil = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    text.parse().ok().or_else(civil)
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    pairs.collect()
}

fn unknown_sign(rest: &str, start: usize) -> FilterError {
    const SIGNS: [(&str, &str); 9] = [
        ("==", "eq"),
        ("!=", "ne"),
        (">=", "ge"),
        ("<=", "le"),
        (">", "gt"),
        ("<", "lt"),
        ("=", "eq"),
        ("&&", "and"),
        ("||", "or"),
    ];
    let (sign, help) = match SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        Some((sign, word)) => (*sign, format!("write {word}")),
        None if rest.starts_with(['"', '“', '”', '‘', '’']) => (
            &rest[..rest.chars().next().map_or(1, char::len_utf8)],
            "write text in single quotes: 'text'".to_owned(),
        ),
        None if rest.starts_with("{{") => {
            (rest.split_inclusive("}}").next().unwrap_or(rest), "write datetime'{{past_time}}'".to_owned())
        }
        None => (&rest[..rest.chars().next().map_or(1, char::len_utf8)], "remove it".to_owned()),
    };
    FilterError {
        span: start..start + sign.len(),
        message: format!("`{sign}` is not valid in a filter"),
        help,
    }
}
