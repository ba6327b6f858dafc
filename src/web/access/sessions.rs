//! Those who have signed in. Sessions lie in memory: a restart ends them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{fingerprint, random_text};
use crate::flow::{PageUser, PasswordHash};
use crate::platform::secrets;

/// The cookie that names a session.
pub(in crate::web) const SESSION_COOKIE: &str = "leadflow_session";

/// A session that nobody uses ends after this.
const IDLE: Duration = Duration::from_hours(12);
/// A session ends after this.
const WHOLE: Duration = Duration::from_hours(7 * 24);
/// Sessions at the same time; the one that was used the longest ago makes way.
const MOST: usize = 1_000;

/// All of them, by the fingerprint of their names.
#[derive(Debug, Default)]
pub(in crate::web) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

#[derive(Debug, Clone)]
struct Session {
    user: String,
    /// Of the password as it was at sign-in: another one ends the session.
    password: [u8; 32],
    /// What forms of this session carry.
    form_token: String,
    began: Duration,
    used: Duration,
}

/// Who has a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct SignedIn {
    pub(in crate::web) user: String,
    pub(in crate::web) form_token: String,
}

impl Sessions {
    /// Begins one and returns its name.
    ///
    /// # Errors
    /// When the system has no random bits.
    pub(in crate::web) fn begin(
        &self,
        user: &str,
        of: &PageUser,
        now: Duration,
    ) -> Result<String, getrandom::Error> {
        let name = random_text()?;
        let session = Session {
            user: user.to_owned(),
            password: password_of(of),
            form_token: random_text()?,
            began: now,
            used: now,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| !session.is_over(now));
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, it)| it.used).map(|(name, _)| *name)
        {
            all.remove(&oldest);
        }
        all.insert(fingerprint(&name), session);
        Ok(name)
    }

    /// Who has this one, and what `find` knows of them now.
    pub(in crate::web) fn find<'a>(
        &self,
        name: &str,
        now: Duration,
        find: impl FnOnce(&str) -> Option<&'a PageUser>,
    ) -> Option<SignedIn> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = fingerprint(name);
        let session = all.get_mut(&key)?;
        let is_same = find(&session.user).is_some_and(|user| password_of(user) == session.password);
        if session.is_over(now) || !is_same {
            all.remove(&key);
            return None;
        }
        session.used = now;
        Some(SignedIn { user: session.user.clone(), form_token: session.form_token.clone() })
    }

    /// Ends one.
    pub(in crate::web) fn end(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&fingerprint(name));
    }
}

impl Session {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) >= IDLE || now.saturating_sub(self.began) >= WHOLE
    }
}

/// How long the cookie of one lasts.
pub(in crate::web) const COOKIE_LASTS: Duration = WHOLE;

fn password_of(user: &PageUser) -> [u8; 32] {
    let text = match &user.password {
        Some(PasswordHash::Here(hash)) => hash.clone(),
        // One that cannot be read is another one, too.
        Some(PasswordHash::At(secret)) => secrets::read(secret)
            .map_or_else(|error| error.to_string(), |hash| hash.expose_secret().trim().to_owned()),
        None => String::new(),
    };
    fingerprint(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Role;

    fn user(hash: &str) -> PageUser {
        PageUser { password: Some(PasswordHash::Here(hash.to_owned())), role: Role::View }
    }

    #[test]
    fn a_session_ends_by_time_by_sign_out_and_with_the_password() {
        let sessions = Sessions::default();
        let anna = user("one");
        let at = Duration::from_hours;
        let begin = |now| sessions.begin("anna", &anna, at(now)).unwrap();
        let find = |name: &str, now, of: &PageUser| {
            sessions.find(name, at(now), |user| (user == "anna").then_some(of)).map(|it| it.user)
        };
        let first = begin(0);
        assert_eq!(find(&first, 11, &anna).as_deref(), Some("anna"));
        assert_eq!(find(&first, 22, &anna).as_deref(), Some("anna"), "it was used meanwhile");
        assert_eq!(find(&first, 34, &anna), None, "nobody has used it for twelve hours");
        let second = begin(40);
        assert_ne!(first, second);
        (0..15).for_each(|step| assert!(find(&second, 40 + step * 11, &anna).is_some(), "{step}"));
        assert_eq!(find(&second, 40 + 168, &anna), None, "a week is over");
        let third = begin(300);
        assert_eq!(find(&third, 301, &user("two")), None, "the password is another one");
        assert_eq!(find(&third, 301, &anna), None, "and that has ended it");
        let fourth = begin(300);
        sessions.end(&fourth);
        assert_eq!(find(&fourth, 300, &anna), None);
    }

    #[test]
    fn sessions_take_a_bounded_place() {
        let sessions = Sessions::default();
        let anna = user("one");
        let names: Vec<_> = (0..=MOST)
            .map(|second| sessions.begin("anna", &anna, Duration::from_secs(second as u64)).unwrap())
            .collect();
        let now = Duration::from_secs(MOST as u64);
        let is_there = |name: &String| sessions.find(name, now, |_| Some(&anna)).is_some();
        assert!(!is_there(&names[0]) && is_there(&names[1]) && is_there(&names[MOST]));
    }
}
