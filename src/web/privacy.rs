//! What is left out for whoever has not signed in: persons, and texts of others that may name one.

use serde_json::Value;

use super::access::Visitor;
use crate::tasks::health::Health;
use crate::views::flows::FlowView;
use crate::views::runs::{RunView, StepView};

/// Stands for what is left out.
const GAP: &str = "…";
/// Steps whose inputs and outputs hold nothing of a row or a mail, but for addresses in errors.
const PLAIN_STEPS: [&str; 6] = ["turn", "window", "query", "new rows", "condition", "commit"];

impl Visitor {
    /// A text that may have the address of a person.
    pub(super) fn may_read(&self, text: &str) -> String {
        if self.has_signed_in() { text.to_owned() } else { without_addresses(text) }
    }

    pub(super) fn flow(&self, mut view: FlowView) -> FlowView {
        if !self.has_signed_in() {
            view.off_by = None;
            view.description = view.description.as_deref().map(without_addresses);
            view.last_run = view.last_run.map(|run| self.run(run));
        }
        view
    }

    pub(super) fn run<M>(&self, mut view: RunView<M>) -> RunView<M> {
        if !self.has_signed_in() {
            view.asked_by = None;
            view.summary = without_addresses(&view.summary);
            view.help = view.help.as_deref().map(without_addresses);
        }
        view
    }

    /// Subjects are made of rows.
    pub(super) fn steps(&self, mut steps: Vec<StepView>) -> Vec<StepView> {
        if !self.has_signed_in() {
            for step in &mut steps {
                match step.step.as_str() {
                    name if PLAIN_STEPS.contains(&name) => {
                        mask(&mut step.inputs);
                        mask(&mut step.outputs);
                    }
                    "render" => keep_numbers(&mut step.outputs),
                    // Of another version, or with a text that was forgotten.
                    _ => {
                        step.step = without_addresses(&step.step);
                        (step.inputs, step.outputs) = (Value::Null, Value::Null);
                    }
                }
            }
        }
        steps
    }

    /// What a mail server says may repeat whatever it was sent.
    pub(super) fn health(&self, mut health: Health) -> Health {
        if self.has_signed_in() {
            return health;
        }
        let facts = &mut health.facts;
        let of_flows = facts.flows.values_mut().filter_map(|state| state.waiting_reply.take());
        let mut said: Vec<String> = of_flows.collect();
        for state in facts.connections.values_mut() {
            said.push(std::mem::replace(&mut state.what, GAP.to_owned()));
            said.extend(state.help.take());
        }
        said.extend(facts.held_alarm_mail.take().map(|(_, reply)| reply));
        // What is part of another one would leave the rest of it.
        said.sort_by_key(|text| std::cmp::Reverse(text.len()));
        let clean = |text: &mut String| {
            let without = said
                .iter()
                .filter(|it| !it.is_empty())
                .fold(text.clone(), |text, it| text.replace(it.as_str(), GAP));
            *text = without_addresses(&without);
        };
        health.reasons.iter_mut().for_each(clean);
        for alarm in &mut health.alarms {
            clean(&mut alarm.what);
            clean(&mut alarm.help);
        }
        health
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_addresses(text),
        Value::Array(all) => all.iter_mut().for_each(mask),
        Value::Object(fields) => fields.values_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn keep_numbers(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| value.is_number());
    }
}

/// A word with an `@` is taken for an address.
fn without_addresses(text: &str) -> String {
    let is_edge = |c: char| c.is_whitespace() || c.is_control() || "<>()[]{},;:\"'`".contains(c);
    let mut rest = text;
    let mut cleaned = String::with_capacity(text.len());
    while let Some(at) = rest.find('@') {
        let begin = rest[..at].char_indices().rev().find(|(_, c)| is_edge(*c));
        let begin = begin.map_or(0, |(at, c)| at + c.len_utf8());
        let end = rest[at..].find(is_edge).map_or(rest.len(), |length| at + length);
        cleaned.push_str(&rest[..begin]);
        cleaned.push_str(GAP);
        rest = &rest[end..];
    }
    cleaned + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_left_out_and_other_words_stay() {
        for (text, expected) in [
            ("550 no such user", "550 no such user"),
            ("550 <ana@x.example>: no such user", "550 <…>: no such user"),
            ("ana@x.example", "…"),
            ("to ana@x.example, ben@y.example; done", "to …, …; done"),
            ("Email eq 'ana+1@x.example'", "Email eq '…'"),
            ("김@예.example 주소", "… 주소"),
            ("a@b@c d", "… d"),
            ("@", "…"),
        ] {
            assert_eq!(without_addresses(text), expected);
        }
    }
}
