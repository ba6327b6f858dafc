//! A mail on its way to another address than the one that did not take it. Pure.

use super::{Recipient, RecipientState};

/// Where a mail is to go, and for whom it is no longer meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Addresses alone; it goes to each of them.
    pub to: Vec<String>,
    /// The recipient that they take the place of; without it every one that is held.
    pub instead_of: Option<String>,
}

/// Why a mail cannot be redirected so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRedirected {
    /// That recipient has it.
    #[error("it was sent to {0} already")]
    SentBefore(String),
    /// That recipient is to be dropped and is to get it.
    #[error("{0} cannot replace itself; `leadflow outbox retry` sends the mail to the same address again")]
    Itself(String),
    /// It was never meant for that recipient.
    #[error("it is not addressed to {0}; it is addressed to {1}")]
    NoRecipient(String, String),
}

impl Redirect {
    /// The recipients of the mail from now on: those that are dropped stay with their state
    /// *dropped*, and new ones are at the end. The same redirect once more changes nothing.
    ///
    /// # Errors
    /// When an address has the mail already, or the one to be replaced is none of it.
    pub fn apply_to(&self, recipients: &[Recipient]) -> Result<Vec<Recipient>, NotRedirected> {
        let is = |recipient: &Recipient, address: &str| recipient.address.eq_ignore_ascii_case(address);
        if let Some(old) = &self.instead_of {
            let Some(replaced) = recipients.iter().find(|recipient| is(recipient, old)) else {
                let all: Vec<_> = recipients.iter().map(|recipient| recipient.address.as_str()).collect();
                return Err(NotRedirected::NoRecipient(old.clone(), all.join(", ")));
            };
            if replaced.state == RecipientState::Sent {
                return Err(NotRedirected::SentBefore(replaced.address.clone()));
            }
        }
        let is_replaced = |recipient: &Recipient| match &self.instead_of {
            Some(old) => is(recipient, old),
            None => recipient.state == RecipientState::Held,
        };
        let mut next: Vec<Recipient> = recipients.to_vec();
        for recipient in next.iter_mut().filter(|recipient| is_replaced(recipient)) {
            if self.to.iter().any(|to| is(recipient, to)) {
                return Err(NotRedirected::Itself(recipient.address.clone()));
            }
            *recipient = recipient.dropped().unwrap_or_else(|| recipient.clone());
        }
        for to in &self.to {
            match next.iter_mut().find(|recipient| is(recipient, to)) {
                None => next.push(Recipient::new(to)),
                Some(known) if known.state == RecipientState::Sent => {
                    return Err(NotRedirected::SentBefore(known.address.clone()));
                }
                Some(known) => *known = known.retried().unwrap_or_else(|| known.clone()),
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RecipientState::{Dropped, Held, Sent, Uncertain, Waiting};

    fn people(list: &[(&str, RecipientState)]) -> Vec<Recipient> {
        let person = |(address, state): &(&str, RecipientState)| Recipient {
            state: *state,
            ..Recipient::new(*address)
        };
        list.iter().map(person).collect()
    }

    fn redirected(
        before: &[(&str, RecipientState)],
        to: &[&str],
        instead_of: Option<&str>,
    ) -> Result<Vec<(String, RecipientState)>, NotRedirected> {
        let to = to.iter().map(|to| (*to).to_owned()).collect();
        let redirect = Redirect { to, instead_of: instead_of.map(str::to_owned) };
        let next = redirect.apply_to(&people(before))?;
        let again = redirect.apply_to(&next);
        assert!(again.as_ref() == Ok(&next) || instead_of.is_some(), "{again:?}");
        Ok(next.into_iter().map(|recipient| (recipient.address, recipient.state)).collect())
    }

    #[test]
    fn the_new_address_replaces_those_that_are_held() {
        for (before, to, instead_of, after) in [
            (&[("a", Held)][..], &["b"][..], None, &[("a", Dropped), ("b", Waiting)][..]),
            (
                &[("a", Held), ("b", Sent), ("c", Uncertain), ("d", Held)],
                &["e", "f"],
                None,
                &[
                    ("a", Dropped),
                    ("b", Sent),
                    ("c", Uncertain),
                    ("d", Dropped),
                    ("e", Waiting),
                    ("f", Waiting),
                ],
            ),
            (&[("a", Held), ("b", Held)], &["c"], Some("A"), &[("a", Dropped), ("b", Held), ("c", Waiting)]),
            (&[("a", Waiting)], &["b"], Some("a"), &[("a", Dropped), ("b", Waiting)]),
            (&[("a", Waiting)], &["b"], None, &[("a", Waiting), ("b", Waiting)]),
            (&[("a", Held), ("b", Dropped)], &["B"], None, &[("a", Dropped), ("b", Waiting)]),
            (&[("a", Held)], &["b", "B"], None, &[("a", Dropped), ("b", Waiting)]),
        ] {
            let found = redirected(before, to, instead_of).unwrap();
            let found: Vec<_> = found.iter().map(|(address, state)| (address.as_str(), *state)).collect();
            assert_eq!(found, after, "{before:?} {to:?}");
        }
    }

    #[test]
    fn nobody_gets_a_mail_twice_by_it() {
        for (before, to, instead_of, expected) in [
            (&[("a", Held), ("b", Sent)][..], &["B"][..], None, NotRedirected::SentBefore("b".into())),
            (&[("a", Sent)], &["b"], Some("a"), NotRedirected::SentBefore("a".into())),
            (&[("a", Held)], &["a"], None, NotRedirected::Itself("a".into())),
            (
                &[("a", Held), ("b", Sent)],
                &["c"],
                Some("d"),
                NotRedirected::NoRecipient("d".into(), "a, b".into()),
            ),
        ] {
            assert_eq!(redirected(before, to, instead_of), Err(expected));
        }
    }
}
