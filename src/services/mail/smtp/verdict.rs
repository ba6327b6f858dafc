//! Whose fault a refusal is. Pure.
//!
//! The enhanced code says it (RFC 3463 and its registry, RFC 5248, and what Exchange Online makes of
//! them: <https://learn.microsoft.com/troubleshoot/exchange/email-delivery/ndr/non-delivery-reports-in-exchange-online>),
//! and the code where there is none; not the step. Many servers say only at a recipient, or after the
//! message, that they do not like the name in HELO, the sender or the login, and no address is to blame for that.

use super::reply::Reply;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// RCPT.
    Recipient,
    /// DATA, and the message itself.
    Message,
}

/// Who is to blame for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The connection's: its login, its sender, its limits, or the whole server's.
    Connection,
    /// The recipient's that was named.
    Recipient,
    /// The message's.
    Message,
    /// Nobody's: the transaction has recipients enough.
    TooMany,
    /// A policy that can be meant for the sender, for the recipient or for the message. What becomes
    /// of other mails shows which.
    Unclear,
}

/// Who is to blame for the refusal at this step.
pub(super) fn classify(step: Step, reply: &Reply) -> Blame {
    let blame = match (reply.code, reply.enhanced()) {
        (code, _) if is_of_session(code) || is_about_helo(reply) => Blame::Connection,
        (code, enhanced) => enhanced.and_then(classify_enhanced).unwrap_or_else(|| classify_code(step, code)),
    };
    match (step, blame) {
        // The sender's quota has the number of a full mailbox, and comes with the message.
        (Step::Message, _) if matches!(reply.enhanced(), Some((2, 0 | 2))) => Blame::Connection,
        (Step::Message, Blame::Recipient | Blame::TooMany) => Blame::Message,
        // Greylisting and the like: it is tried again, and nobody is to blame until then.
        (Step::Recipient, Blame::Unclear) if reply.class() == 4 => Blame::Recipient,
        (Step::Message, Blame::Unclear) if reply.class() == 4 => Blame::Message,
        (_, blame) => blame,
    }
}

/// By subject and detail; `None` where they say no more than the code.
fn classify_enhanced((subject, detail): (u16, u16)) -> Option<Blame> {
    Some(match (subject, detail) {
        // A bad sender, or one that may not send as that address; daily limits; a server that is
        // full, closed or in disorder.
        (1, 7 | 8 | 90..=92) | (2, 252) | (3, 1 | 2 | 5) | (4, 5) => Blame::Connection,
        // An address, or a mailbox, and they do not say whose.
        (1 | 2, 0) => Blame::Unclear,
        (2, 3) | (3, 4) | (6, _) => Blame::Message,
        (1 | 2, _) => Blame::Recipient,
        (5, 3) => Blame::TooMany,
        (7, detail) => classify_policy(detail),
        _ => return None,
    })
}

/// X.7: security and policy.
fn classify_policy(detail: u16) -> Blame {
    match detail {
        // Lists and mailboxes that are closed to the sender, owners that have changed.
        2 | 17..=19 | 124 | 133..=136 | 504 | 505 => Blame::Recipient,
        // Integrity, priority, a bad `From`.
        7 | 15 | 16 | 512 => Blame::Message,
        // Not authorized, whoever; not for this domain; spam, as somebody thinks.
        0 | 1 | 12 | 54 | 350 | 507 => Blame::Unclear,
        _ => Blame::Connection,
    }
}

/// Login or protection wanted, a name or a sequence that is not liked, no mail at all.
fn is_of_session(code: u16) -> bool {
    matches!(code, 432 | 454 | 500 | 502..=504 | 521 | 530 | 534 | 535 | 538 | 555)
}

/// Postfix says at a recipient that it does not like the name in EHLO, with the codes of a policy.
pub(super) fn is_about_helo(reply: &Reply) -> bool {
    reply.lines.iter().any(|line| line.to_ascii_lowercase().contains("helo command rejected"))
}

fn classify_code(step: Step, code: u16) -> Blame {
    match code {
        452 | 552 if step == Step::Recipient => Blame::TooMany,
        // An argument, a sender or a name: RFC 5321 has them for recipients, servers for all three.
        501 | 541 | 553 | 571 => Blame::Unclear,
        554 if step == Step::Recipient => Blame::Unclear,
        _ if step == Step::Recipient => Blame::Recipient,
        _ => Blame::Message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blame(step: Step, said: &str) -> Blame {
        let (code, text) = said.split_at(3);
        classify(step, &Reply { code: code.parse().unwrap(), lines: vec![text.trim().to_owned()] })
    }

    #[test]
    fn session_login_sender_and_limits_are_the_connections_at_every_step() {
        for said in [
            "530 5.7.0 Authentication required",
            "530 5.7.57 Client not authenticated to send mail",
            "530",
            "535 5.7.3 Authentication unsuccessful",
            "550 5.7.30 Basic authentication is not supported for Client Submission",
            "503 5.5.1 Bad sequence of commands",
            "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
            "521 5.3.2 Host does not accept mail",
            "550 5.1.8 Access denied, bad outbound sender",
            "553 5.1.8 <leads@nowhere.invalid>: Sender address rejected: Domain not found",
            "553 5.1.7 invalid sender",
            "550 5.1.92 sending limit",
            "554 5.1.90 daily limit for message recipients",
            "554 5.2.252 SendAsDenied; leads@contoso.example not allowed to send as",
            "550 5.4.5 Daily user sending limit exceeded",
            "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
            "550 5.7.64 TenantAttribution; Relay Access Denied",
            "550 5.7.708 Access denied, traffic not accepted from this IP",
            "550 5.7.23 SPF",
            "550 5.7.26 unauthenticated",
            "550 5.7.501 banned sender",
            "550 5.7.606 banned sending IP",
            "550 5.7.232 tenant limit",
            "550 5.7.750 unregistered domain",
            "432 4.3.2 Concurrent connections limit exceeded",
            "452 4.3.1 Insufficient system resources",
            "454 4.7.0 Temporary authentication failure",
            "450 4.7.1 <vm1>: Helo command rejected: Host not found",
            "550 5.7.1 <[10.0.0.4]>: Helo command rejected: no literals",
            "451 4.7.500 Server busy",
        ] {
            assert_eq!(blame(Step::Recipient, said), Blame::Connection, "{said}");
            assert_eq!(blame(Step::Message, said), Blame::Connection, "{said}");
        }
        for said in [
            "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException",
            "554 5.2.2 Submission quota exceeded",
        ] {
            assert_eq!(blame(Step::Message, said), Blame::Connection, "{said}");
        }
    }

    #[test]
    fn recipients_and_messages_have_their_own() {
        for said in [
            "550 5.1.1 no such user",
            "550 #5.1.1 no such user",
            "550 no such user",
            "550",
            "551 moved",
            "556 no mail there",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
            "501 5.1.3 Bad recipient address syntax",
            "552 5.2.2 mailbox full",
            "452 4.2.2 over quota",
            "550 5.2.1 disabled",
            "550 5.2.121 receive limit",
            "550 5.4.1 Recipient address rejected: Access denied",
            "550 5.4.310 DNS domain does not exist",
            "550 5.7.124 sender not in allowed-senders list",
            "550 5.7.133 sender not authenticated for group",
            "550 5.7.134 x",
            "550 5.7.2 list expansion prohibited",
            "550 5.7.504 Recipient address rejected",
            "450 4.2.0 Greylisted",
            "451 4.7.1 Greylisting in action",
            "450 4.7.1 try later",
            "451 later",
        ] {
            assert_eq!(blame(Step::Recipient, said), Blame::Recipient, "{said}");
        }
        for said in [
            "554 this is spam",
            "550 no",
            "552 too big",
            "552 5.3.4 message too big",
            "554 5.6.0 bad content",
            "554 5.6.11 x",
            "550 5.2.3 too large",
            "550 5.1.1 no such user",
            "451 later",
            "451 4.7.1 Greylisting",
            "452 full",
        ] {
            assert_eq!(blame(Step::Message, said), Blame::Message, "{said}");
        }
    }

    #[test]
    fn a_policy_is_unclear_and_too_many_recipients_are_nobodys_fault() {
        for said in [
            "554 5.7.1 <to@fabrikam.example>: Relay access denied",
            "550 5.7.1 Unable to relay",
            "550 5.7.0 no",
            "550 5.7.54 Unable to relay recipient in non-accepted domain",
            "553 sender rejected",
            "501 HELO",
            "571 no",
            "554 Transaction failed",
            "550 5.1.0 Address rejected",
            "550 5.2.0 quota",
        ] {
            assert_eq!(blame(Step::Recipient, said), Blame::Unclear, "{said}");
        }
        for said in [
            "550 5.7.1 this looks like spam",
            "554 5.7.1 rejected",
            "550 5.7.350 remote server: spam",
            "553 sender",
        ] {
            assert_eq!(blame(Step::Message, said), Blame::Unclear, "{said}");
        }
        for said in [
            "452 4.5.3 Too many recipients",
            "552 too many recipients",
            "452",
            "550 5.5.3 too many recipients",
        ] {
            assert_eq!(blame(Step::Recipient, said), Blame::TooMany, "{said}");
        }
    }

    #[test]
    fn every_refusal_has_a_verdict() {
        for code in 400..600 {
            for (subject, detail) in
                (0..10).flat_map(|subject| (0..1_000).map(move |detail| (subject, detail)))
            {
                let reply = Reply { code, lines: vec![format!("{}.{subject}.{detail} x", code / 100)] };
                let at_recipient = classify(Step::Recipient, &reply);
                assert!(at_recipient != Blame::Unclear || code >= 500, "{reply:?}");
                assert!(
                    !matches!(classify(Step::Message, &reply), Blame::Recipient | Blame::TooMany),
                    "{reply:?}"
                );
            }
        }
    }
}
