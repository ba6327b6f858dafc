//! `lead list` and `lead show`.

use serde::Serialize;

use super::outbox::MailView;
use super::runs::RunView;
use crate::rows::lead::Lead;
use crate::rows::row::Row;
use crate::tasks::leads::{LeadProof, LeadState, ProofStep};

/// A row of `lead list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct LeadRowView {
    /// As the table has it.
    pub partition_key: String,
    /// As the table has it.
    pub row_key: String,
    /// As the table has it.
    pub timestamp: String,
    /// What became of it.
    pub state: String,
    /// The run that has read it.
    pub run: Option<i64>,
    /// The mail that carried it.
    pub mail: Option<i64>,
    /// What it says.
    pub lead: LeadView,
}

/// `lead show`: the proof of one lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct LeadProofView {
    /// As it was typed.
    pub key: String,
    /// `None` where it is not in the table any more.
    pub row: Option<RowView>,
    /// What became of it, the oldest first.
    pub history: Vec<ProvenanceView>,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct RowView {
    /// As the table has it.
    pub timestamp: String,
    /// What it says.
    pub lead: LeadView,
}

/// A run that has read a row, and the mail that carried it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ProvenanceView {
    /// The run.
    pub run: RunOrNumberView,
    /// `None` where it was not mailed, or where the mail is not in the history any more.
    pub mail: Option<MailView>,
}

/// A run, or what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum RunOrNumberView {
    /// It is in the history.
    Run(Box<RunView>),
    /// It is not any more.
    Number {
        /// Its number.
        run: i64,
    },
}

/// The fields of a lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct LeadView {
    /// Of the customer.
    pub first_name: Option<String>,
    /// Of the customer.
    pub last_name: Option<String>,
    /// Of the customer.
    pub company: Option<String>,
    /// Of the customer.
    pub country: Option<String>,
    /// Of the customer.
    pub email: Option<String>,
    /// Of the customer.
    pub phone: Option<String>,
    /// Of the customer.
    pub title: Option<String>,
    /// First and last name.
    pub name: Option<String>,
    /// What it is about.
    pub offer: Option<String>,
    /// Who offers it.
    pub publisher: Option<String>,
    /// The offer's id.
    pub product: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// What the action's code means.
    pub action_meaning: Option<String>,
    /// The action's code.
    pub action: Option<String>,
    /// As the marketplace wrote it.
    pub created: Option<String>,
    /// It is a test lead.
    pub is_test: bool,
    /// Nobody is to contact the person.
    pub do_not_contact: bool,
    /// What no field shows.
    pub others: Vec<OtherView>,
}

/// A column that no field shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct OtherView {
    /// Its name.
    pub name: String,
    /// Its text.
    pub value: String,
}

impl From<&Row> for LeadView {
    fn from(row: &Row) -> Self {
        let columns = row.columns();
        let lead = Lead::new(&columns);
        let text = |field| lead.text(field).map(str::to_owned);
        let other = |(name, value)| OtherView { name, value };
        Self {
            first_name: text("first_name"),
            last_name: text("last_name"),
            company: text("company"),
            country: text("country"),
            email: text("email"),
            phone: text("phone"),
            title: text("title"),
            name: text("name"),
            offer: text("offer"),
            publisher: text("publisher"),
            product: text("product"),
            description: text("description"),
            source: text("source"),
            action_meaning: text("action_meaning"),
            action: text("action"),
            created: text("created"),
            is_test: lead.is_test,
            do_not_contact: lead.do_not_contact,
            others: lead.others().into_iter().map(other).collect(),
        }
    }
}

impl LeadRowView {
    /// Of a row and what became of it.
    pub fn new(row: &Row, state: &LeadState) -> Self {
        Self {
            partition_key: row.partition_key.clone(),
            row_key: row.row_key.clone(),
            timestamp: row.timestamp.clone(),
            state: state.word.clone(),
            run: state.run,
            mail: state.mail,
            lead: row.into(),
        }
    }
}

impl LeadProofView {
    /// Of the key as it was asked.
    pub fn new(key: &str, proof: &LeadProof) -> Self {
        Self {
            key: key.to_owned(),
            row: proof.row.as_ref().map(RowView::from),
            history: proof.steps.iter().map(ProvenanceView::from).collect(),
        }
    }
}

impl LeadView {
    /// It in a few words; `None` where it names nobody.
    pub fn in_words(&self) -> Option<String> {
        let parts = [&self.name, &self.company, &self.email].into_iter().flatten();
        let words = parts.map(String::as_str).collect::<Vec<_>>().join(", ");
        Some(words).filter(|words| !words.is_empty())
    }
}

impl From<&Row> for RowView {
    fn from(row: &Row) -> Self {
        Self { timestamp: row.timestamp.clone(), lead: row.into() }
    }
}

impl From<&ProofStep> for ProvenanceView {
    fn from(step: &ProofStep) -> Self {
        let gone = RunOrNumberView::Number { run: step.run };
        let run = step.of_run.as_ref().map_or(gone, |run| RunOrNumberView::Run(Box::new(run.into())));
        Self { run, mail: step.mail.as_ref().map(|entry| (&entry.message).into()) }
    }
}
