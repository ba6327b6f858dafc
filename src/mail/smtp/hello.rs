//! Who the two are, and what the server offers: the greeting, EHLO or HELO, STARTTLS.

use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::ClientId;

use super::reply::Reply;
use super::tls::Tls;
use super::wire::{Broken, Wire};

/// What a server offers, by its EHLO keywords; they count in any letter case (RFC 5321, 2.4).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) starttls: bool,
    /// In capitals.
    mechanisms: Vec<String>,
}

impl Offers {
    fn of(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in &reply.lines {
            // `AUTH=LOGIN` is what servers wrote before RFC 2554, and some write both.
            let line = line.to_ascii_uppercase().replace('=', " ");
            let mut words = line.split_whitespace();
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("AUTH") => offers.mechanisms.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        offers
    }

    pub(super) fn has(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.iter().any(|offered| *offered == mechanism.to_string())
    }

    /// The mechanisms in words.
    pub(super) fn logins(&self) -> String {
        if self.mechanisms.is_empty() { "none".to_owned() } else { self.mechanisms.join(", ") }
    }
}

/// Waits for the greeting and says hello.
pub(super) async fn greet(wire: &mut Wire) -> Result<Offers, Broken> {
    wire.hear(2).await?;
    hello(wire).await
}

/// Turns to TLS. What was offered before may have been said by anybody, and does not count.
pub(super) async fn protect(mut wire: Wire, tls: &Tls) -> Result<(Wire, Offers), Broken> {
    wire.ask(Starttls, 2).await?;
    let mut wire = wire.protect(tls).await?;
    let offers = hello(&mut wire).await?;
    Ok((wire, offers))
}

/// EHLO; HELO where the server does not know or like it.
async fn hello(wire: &mut Wire) -> Result<Offers, Broken> {
    let name = ClientId::default();
    let refusal = match wire.ask(Ehlo::new(name.clone()), 2).await {
        Ok(reply) => return Ok(Offers::of(&reply)),
        Err(Broken::Refused(refusal)) if refusal.class() == 5 => refusal,
        Err(broken) => return Err(broken),
    };
    match wire.ask(format!("HELO {name}\r\n"), 2).await {
        Ok(_) => Ok(Offers::default()),
        Err(broken @ Broken::Refused(_)) => Err(broken),
        Err(_) => Err(Broken::Refused(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_in_any_case_and_form() {
        let of = |lines: &[&str]| {
            Offers::of(&Reply { code: 250, lines: lines.iter().map(|line| (*line).to_owned()).collect() })
        };
        for (lines, starttls, logins) in [
            (
                &["mail.contoso.example hello", "SIZE 1", "STARTTLS", "AUTH PLAIN LOGIN"][..],
                true,
                "PLAIN, LOGIN",
            ),
            (&["x", "starttls", "auth login plain"], true, "LOGIN, PLAIN"),
            (&["x", "AUTH=LOGIN", "AUTH xoauth2"], false, "LOGIN, XOAUTH2"),
            (&["x", "AUTH\tCRAM-MD5  plain"], false, "CRAM-MD5, PLAIN"),
            (&["x", "AUTH", "XXXXXXXA", "STARTTLSX"], false, "none"),
            (&[], false, "none"),
        ] {
            let offers = of(lines);
            assert_eq!((offers.starttls, offers.logins().as_str()), (starttls, logins), "{lines:?}");
        }
        assert!(of(&["auth xoauth2"]).has(Mechanism::Xoauth2) && !of(&["auth loginx"]).has(Mechanism::Login));
    }
}
