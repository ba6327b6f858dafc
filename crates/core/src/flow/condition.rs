//! `condition = "length > 0"`: whether the rows of a run make a mail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A comparison of `length`, the number of new rows, with a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    comparison: Comparison,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

/// The operators in the order in which they are looked for: the longer ones first.
const OPERATORS: [(&str, Comparison); 6] = [
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
];

/// What a run does with its new rows; its words are those of the run history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The condition holds: they are mailed.
    #[serde(rename = "mailed")]
    Mail,
    /// There are none, and none were needed.
    #[serde(rename = "nothing new")]
    NothingNew,
    /// It does not hold, but more rows could still make it hold: the watermark stays and they gather.
    #[serde(rename = "gather until the condition holds")]
    Gather,
    /// It does not hold, and more rows cannot make it hold: they are skipped.
    #[serde(rename = "passed over")]
    Skip,
}

impl Verdict {
    /// The verdict as the run history shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mailed",
            Self::NothingNew => "nothing new",
            Self::Gather => "gather until the condition holds",
            Self::Skip => "passed over",
        }
    }
}

impl Condition {
    /// Decides over `length` new rows.
    pub fn decide(self, length: u64) -> Verdict {
        if self.holds(length) {
            return Verdict::Mail;
        }
        match (length, self.can_still_hold(length)) {
            (0, _) => Verdict::NothingNew,
            (_, true) => Verdict::Gather,
            (_, false) => Verdict::Skip,
        }
    }

    /// The fewest rows that make a mail.
    pub fn fewest(self) -> u64 {
        match self.comparison {
            Comparison::Greater => self.number.saturating_add(1),
            Comparison::GreaterOrEqual | Comparison::Equal => self.number,
            Comparison::Less | Comparison::LessOrEqual | Comparison::NotEqual => 0,
        }
    }

    fn holds(self, length: u64) -> bool {
        match self.comparison {
            Comparison::Greater => length > self.number,
            Comparison::GreaterOrEqual => length >= self.number,
            Comparison::Less => length < self.number,
            Comparison::LessOrEqual => length <= self.number,
            Comparison::Equal => length == self.number,
            Comparison::NotEqual => length != self.number,
        }
    }

    /// Of a condition that does not hold for `length`: whether it does for some larger number.
    fn can_still_hold(self, length: u64) -> bool {
        match self.comparison {
            Comparison::Greater | Comparison::GreaterOrEqual | Comparison::NotEqual => true,
            Comparison::Less | Comparison::LessOrEqual => false,
            Comparison::Equal => length < self.number,
        }
    }
}

impl Default for Condition {
    /// `length > 0`, the condition of Microsoft's guide.
    fn default() -> Self {
        Self { comparison: Comparison::Greater, number: 0 }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, c)| *c == self.comparison).map_or("?", |(sign, _)| sign);
        write!(f, "length {sign} {}", self.number)
    }
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It does not begin with `length`.
    #[error("a condition compares `length`, the number of new rows")]
    NotLength,
    /// No operator follows.
    #[error("expected one of > >= < <= == != after `length`")]
    NoOperator,
    /// It is false whatever comes.
    #[error("the number of rows is never less than 0")]
    Never,
    /// No whole number follows.
    #[error("expected a whole number, not `{0}`")]
    NoNumber(String),
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let rest = text.trim().strip_prefix("length").ok_or(ConditionError::NotLength)?.trim_start();
        let (comparison, number) = OPERATORS
            .iter()
            .find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?.trim())))
            .ok_or(ConditionError::NoOperator)?;
        let number = number.parse().map_err(|_| ConditionError::NoNumber(number.to_owned()))?;
        if (comparison, number) == (Comparison::Less, 0) {
            return Err(ConditionError::Never);
        }
        Ok(Self { comparison, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides_by_the_number_of_new_rows() {
        use Verdict::{Gather, Mail, NothingNew, Skip};
        for (condition, length, expected) in [
            ("length > 0", 0, NothingNew),
            ("length > 0", 1, Mail),
            ("length >= 5", 0, NothingNew),
            ("length >= 5", 3, Gather),
            ("length >= 5", 5, Mail),
            ("length == 0", 0, Mail),
            ("length == 0", 2, Skip),
            ("length == 2", 1, Gather),
            ("length == 2", 3, Skip),
            ("length != 2", 2, Gather),
            ("length < 3", 0, Mail),
            ("length < 3", 3, Skip),
            ("length<=3", 4, Skip),
        ] {
            let parsed: Condition = condition.parse().unwrap();
            assert_eq!(parsed.decide(length), expected, "{condition} with {length}");
        }
    }

    #[test]
    fn the_fewest_rows_of_a_mail() {
        for (condition, fewest) in [
            ("length > 4", 5),
            ("length >= 4", 4),
            ("length == 4", 4),
            ("length < 4", 0),
            ("length <= 4", 0),
            ("length != 4", 0),
        ] {
            assert_eq!(condition.parse::<Condition>().unwrap().fewest(), fewest, "{condition}");
        }
    }

    #[test]
    fn a_verdict_is_stored_by_its_words() {
        for verdict in [Verdict::Mail, Verdict::NothingNew, Verdict::Gather, Verdict::Skip] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<Condition>().unwrap_err().to_string();
        assert_eq!(error("count > 0"), "a condition compares `length`, the number of new rows");
        assert_eq!(error("length => 0"), "expected one of > >= < <= == != after `length`");
        assert_eq!(error("length < 0"), "the number of rows is never less than 0");
        assert_eq!(error("length > -1"), "expected a whole number, not `-1`");
        assert_eq!("length>=5".parse::<Condition>().unwrap().to_string(), "length >= 5");
    }
}
