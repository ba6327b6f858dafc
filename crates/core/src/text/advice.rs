//! What people read of an error or a finding.

/// What happened, and what to do about it. Words for people alone: whoever decides by an error asks for the kind that
/// stands beside them.
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
