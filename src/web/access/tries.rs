//! How often somebody may try to sign in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::web::server::Peer;

/// Failed tries for one name from one address; then it waits.
const OF_A_NAME: u32 = 5;
/// Failed tries from one address.
const OF_A_PEER: u32 = 30;
/// The time in which they are counted, and waited for.
const WINDOW: Duration = Duration::from_mins(15);
/// Addresses and names that are counted; beyond them the oldest is forgotten.
const MOST: usize = 10_000;
/// Passwords that are compared at the same time: each takes 19 MiB.
const AT_ONCE: usize = 2;

/// Failed tries to sign in.
#[derive(Debug)]
pub(in crate::web) struct Tries {
    failed: Mutex<HashMap<(Peer, Option<String>), Failed>>,
    /// Of those that are compared.
    pub(in crate::web) room: Semaphore,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    first: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self { failed: Mutex::default(), room: Semaphore::new(AT_ONCE) }
    }
}

impl Tries {
    /// Counts a try before it is looked at, so that many at the same time are counted, too.
    ///
    /// # Errors
    /// For how long there is none any more.
    pub(in crate::web) fn begin(&self, peer: Peer, name: &str, now: Duration) -> Result<(), Duration> {
        let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, failed| now.saturating_sub(failed.first) < WINDOW);
        let keys = [((peer, Some(name.to_owned())), OF_A_NAME), ((peer, None), OF_A_PEER)];
        for (key, most) in &keys {
            if let Some(failed) = all.get(key).filter(|failed| failed.times >= *most) {
                return Err(WINDOW.saturating_sub(now.saturating_sub(failed.first)));
            }
        }
        for (key, _) in keys {
            if all.len() >= MOST
                && !all.contains_key(&key)
                && let Some(oldest) = all.iter().min_by_key(|(_, it)| it.first).map(|(key, _)| key.clone())
            {
                all.remove(&oldest);
            }
            all.entry(key).or_insert(Failed { times: 0, first: now }).times += 1;
        }
        Ok(())
    }

    /// The try was none that failed.
    pub(in crate::web) fn succeed(&self, peer: Peer, name: &str) {
        let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(peer, Some(name.to_owned())));
        if let Some(failed) = all.get_mut(&(peer, None)) {
            failed.times = failed.times.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
    }

    #[test]
    fn a_name_has_five_tries_from_an_address_in_a_quarter_of_an_hour() {
        let tries = Tries::default();
        let at = Duration::from_mins;
        for _ in 0..5 {
            assert_eq!(tries.begin(peer(1), "anna", at(1)), Ok(()));
        }
        assert_eq!(tries.begin(peer(1), "anna", at(2)), Err(at(14)));
        assert_eq!(tries.begin(peer(2), "anna", at(2)), Ok(()), "she can still sign in from elsewhere");
        assert_eq!(tries.begin(peer(1), "ben", at(2)), Ok(()));
        assert_eq!(tries.begin(peer(1), "anna", at(16)), Ok(()), "it is over");
    }

    #[test]
    fn an_address_has_thirty_tries_and_one_that_succeeds_does_not_count() {
        let tries = Tries::default();
        for number in 0..100 {
            let name = format!("user-{number}");
            assert_eq!(tries.begin(peer(1), &name, Duration::ZERO), Ok(()));
            tries.succeed(peer(1), &name);
        }
        for number in 0..30 {
            assert_eq!(tries.begin(peer(1), &format!("user-{number}"), Duration::ZERO), Ok(()));
        }
        assert!(tries.begin(peer(1), "somebody", Duration::ZERO).is_err());
        assert_eq!(tries.begin(Peer::Socket, "somebody", Duration::ZERO), Ok(()));
    }
}
