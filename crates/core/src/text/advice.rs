//! What people read of an error or a finding.

/// What happened, and what to do about it. Words for people alone: whoever decides by an error asks for the kind that
/// is beside them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Advice {
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Advice {
    /// What happened, where nothing can be done about it, or nothing is known.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::Advice;

    #[test]
    fn advice_has_what_happened_and_what_to_do() {
        let advice = Advice::new("the table is not there");
        assert_eq!((advice.to_string().as_str(), &advice.help), ("the table is not there", &None));
        let help = advice.with_help("create it").help;
        assert_eq!(help.as_deref(), Some("create it"));
    }
}
