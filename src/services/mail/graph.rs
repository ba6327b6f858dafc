//! Microsoft Graph `sendMail`: the mail's own bytes, in base64, by one request.
//!
//! <https://learn.microsoft.com/graph/api/user-sendmail>. One request has one outcome for all
//! recipients, and Graph reads them out of the message itself ([`address`]).

mod address;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use url::Url;
use uuid::Uuid;

use super::{ConnectError, Fault, Handover, OutgoingMail};
use crate::flow::{Audience, GraphConnection};
use crate::outbox::Receipt;
use crate::platform::clock::Clock;
use crate::platform::lease::Lease;
use crate::platform::tls::Trust;
use crate::services::entra::{Token, Tokens};
use crate::services::http::{self, NoAnswer};
use verdict::{Reply, Verdict};

const TO_CONNECT: Duration = Duration::from_secs(10);
/// For a whole exchange; Graph itself gives up earlier, with 504.
const IN_ALL: Duration = Duration::from_mins(5);
/// Bytes of a request that are written at a time.
const CHUNK: usize = 64 << 10;
/// Of the body of an answer.
const LARGEST_ANSWER: usize = 64 << 10;
/// Requests under way for one mailbox: <https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits>.
const AT_ONCE: usize = 4;

/// A signed-in way to a mailbox.
pub struct Graph {
    connection: GraphConnection,
    tokens: Tokens,
    client: reqwest::Client,
    url: Url,
    usable: bool,
    wait: Option<Duration>,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("usable", &self.usable).finish_non_exhaustive()
    }
}

/// What became of one request.
enum Sent {
    /// The server has answered.
    Answered(Reply),
    /// The request went out whole and no answer came.
    Lost(String),
    /// The server was reached, and the connection broke before the request was out.
    Broke(NoAnswer),
    /// Nothing went out.
    Unsent(NoAnswer),
    /// The last piece was kept back, since the lease had ended.
    Withheld,
}

impl Graph {
    /// Gets a token and prepares the client; nothing is asked of the mailbox yet.
    ///
    /// # Errors
    /// When there is no token, or no TLS.
    pub(super) async fn open(connection: &GraphConnection, tokens: Tokens) -> Result<Self, ConnectError> {
        tokens.token(Audience::Graph).await?;
        // Each mail has a connection of its own: one that the server closes while it is idle would
        // leave a mail in doubt.
        let client = http::builder().connect_timeout(TO_CONNECT).timeout(IN_ALL).pool_max_idle_per_host(0);
        let client = client.build().map_err(|error| {
            let help = "install the system's certificates (package ca-certificates)";
            ConnectError::new(
                format!("cannot prepare TLS for Graph: {}", http::innermost(&error)),
                Some(help),
            )
        })?;
        let mut url = Url::parse(connection.entra.cloud.graph())
            .map_err(|error| ConnectError::new(format!("no address of Graph: {error}"), None))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(["v1.0", "users", connection.mailbox.address.as_str(), "sendMail"]);
        }
        Ok(Self { connection: connection.clone(), tokens, client, url, usable: true, wait: None })
    }

    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    pub(super) fn take_wait(&mut self) -> Option<Duration> {
        self.wait.take()
    }

    /// Hands over one mail. One receipt holds for all recipients.
    pub(super) async fn send(&mut self, mail: OutgoingMail<'_>) -> Handover {
        match self.receipt(mail).await {
            Ok(receipt) => Handover::judged(vec![receipt; mail.recipients.len()]),
            Err(fault) => Handover::nothing(mail.recipients.len(), fault),
        }
    }

    async fn receipt(&mut self, mail: OutgoingMail<'_>) -> Result<Receipt, Fault> {
        let message = address::addressed(mail.bytes, mail.recipients);
        Ok(match self.judged(&message, mail.lease).await.map_err(Fault::Connection)? {
            Sent::Answered(reply) => match verdict::classify(&reply, &self.connection) {
                Verdict::Accepted(words) => {
                    self.wait = reply.retry_after;
                    Receipt::Accepted(words)
                }
                Verdict::Refused(words) => Receipt::Refused(words),
                Verdict::Later(words) => {
                    self.usable = false;
                    Receipt::Later(words)
                }
                Verdict::Unknown(words) => {
                    self.usable = false;
                    Receipt::Unknown(words)
                }
                Verdict::Connection(error) => {
                    self.usable = false;
                    return Err(Fault::Connection(error));
                }
            },
            Sent::Lost(reason) => {
                self.usable = false;
                Receipt::Unknown(format!("no answer after the whole request was sent: {reason}"))
            }
            Sent::Broke(why) => {
                self.usable = false;
                return Err(Fault::Broke { error: self.no_connection(&why), at: None });
            }
            Sent::Unsent(why) => {
                self.usable = false;
                return Err(Fault::Connection(self.no_connection(&why)));
            }
            Sent::Withheld => {
                self.usable = false;
                return Err(Fault::Withheld(ConnectError::withheld()));
            }
        })
    }

    /// Sends a message without recipients, which the mailbox refuses as such once it has let the
    /// sender in.
    pub(super) async fn try_mailbox(&self) -> Result<(), ConnectError> {
        let mailbox = &self.connection.mailbox.address;
        let message = format!(
            "From: {mailbox}\r\nSubject: leadflow check\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nThis has no recipients and is not sent.\r\n"
        );
        match self.judged(message.as_bytes(), &Lease::endless(Clock::System)).await? {
            Sent::Answered(reply) => match verdict::classify(&reply, &self.connection) {
                Verdict::Accepted(_) => Ok(()),
                Verdict::Refused(_) if reply.code == verdict::NO_RECIPIENTS => Ok(()),
                Verdict::Connection(error) => Err(error),
                Verdict::Refused(words) | Verdict::Later(words) | Verdict::Unknown(words) => {
                    let help = "leadflow test-mail FLOW --to ADDRESS sends a real one";
                    Err(ConnectError::new(
                        format!("the mailbox answers an empty mail with {words}"),
                        Some(help),
                    ))
                }
            },
            Sent::Lost(reason) => Err(self.no_connection(&NoAnswer::because(reason))),
            Sent::Broke(why) | Sent::Unsent(why) => Err(self.no_connection(&why)),
            Sent::Withheld => Err(ConnectError::withheld()),
        }
    }

    /// One request, and a second one where the first was refused for a token that had been at hand.
    async fn judged(&self, message: &[u8], lease: &Lease) -> Result<Sent, ConnectError> {
        let body = Bytes::from(BASE64_STANDARD.encode(message));
        let slots = slots_of(&self.connection);
        let _slot = slots.acquire().await;
        let token = self.tokens.token(Audience::Graph).await?;
        let sent = self.post(&body, &token, lease).await;
        let is_refused = matches!(&sent, Sent::Answered(reply) if reply.status == 401);
        if is_refused && self.tokens.put_away(&token).await {
            let token = self.tokens.token(Audience::Graph).await?;
            return Ok(self.post(&body, &token, lease).await);
        }
        Ok(sent)
    }

    async fn post(&self, body: &Bytes, token: &Token, lease: &Lease) -> Sent {
        let all_written = Arc::new(AtomicBool::new(false));
        let pieces = watched(body.clone(), Arc::clone(&all_written), lease.clone());
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.secret.expose_secret()))
        else {
            return Sent::Unsent(NoAnswer::because("the token is not valid in a header"));
        };
        bearer.set_sensitive(true);
        let request = self
            .client
            .post(self.url.clone())
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "text/plain")
            .header(CONTENT_LENGTH, body.len())
            .header("client-request-id", Uuid::new_v4().to_string())
            .body(reqwest::Body::wrap_stream(pieces));
        let lost = |error: &reqwest::Error| {
            let why = NoAnswer::from_error(error);
            if !all_written.load(Ordering::Relaxed) && !lease.is_held() {
                Sent::Withheld
            } else if all_written.load(Ordering::Relaxed) {
                Sent::Lost(why.reason)
            } else if error.is_connect() {
                Sent::Unsent(why)
            } else {
                Sent::Broke(why)
            }
        };
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return lost(&error),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut answer = Vec::new();
        // The status is the verdict; its words are worth having and no more.
        while let Ok(Some(piece)) = response.chunk().await {
            answer.extend_from_slice(&piece);
            if answer.len() > LARGEST_ANSWER {
                break;
            }
        }
        Sent::Answered(Reply::read(status, &headers, &answer))
    }

    fn no_connection(&self, why: &NoAnswer) -> ConnectError {
        let place = self.url.host_str().unwrap_or_default();
        let help = why.help(place, Trust::SystemAlone);
        let help = help.as_deref().unwrap_or("check the network, the firewall, and HTTPS_PROXY");
        ConnectError::new(format!("{place} cannot be reached: {}", why.reason), Some(help))
    }
}

/// The body in pieces; notes when the last one was taken.
fn watched(
    mut rest: Bytes,
    all_written: Arc<AtomicBool>,
    lease: Lease,
) -> impl futures::Stream<Item = io::Result<Bytes>> {
    futures::stream::iter(std::iter::from_fn(move || {
        let piece = rest.split_to(rest.len().min(CHUNK));
        if rest.is_empty() && !piece.is_empty() {
            if !lease.is_held() {
                return Some(Err(io::Error::other("the lease has ended")));
            }
            all_written.store(true, Ordering::Relaxed);
        }
        (!piece.is_empty()).then_some(Ok(piece))
    }))
}

/// Places for requests, shared by all that send from one mailbox, whatever their connection's name.
fn slots_of(connection: &GraphConnection) -> Arc<Semaphore> {
    static SLOTS: Mutex<BTreeMap<String, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());
    let mailbox = connection.mailbox.address.to_lowercase();
    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(slots.entry(mailbox).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
}
