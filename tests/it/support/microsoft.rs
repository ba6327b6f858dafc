//! A stand-in for the services of Microsoft that leadflow talks to, in this process, written from
//! Microsoft's documentation; the page stands at each behaviour.
//!
//! It is a proxy on loopback (`HTTPS_PROXY`) that ends TLS with certificates of the tests' own
//! authority (`SSL_CERT_FILE`), so that leadflow is the program as shipped and asks the real names
//! by TLS. The one redirection is that of the metadata service, which no proxy may stand before:
//! `LEADFLOW_TEST_IMDS` names another one, in builds for tests alone and on loopback alone.

pub(crate) mod connections;
mod entra;
mod graph;
mod http;
mod table;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use super::certificates::certificates;
use super::scripted::serve;
pub(crate) use graph::Scripted;
pub(crate) use http::tls;

pub(crate) const TENANT: &str = "5f3c1e62-0000-4000-8000-00000000c0de";
pub(crate) const APPLICATION: &str = "7b0f6d4e-0000-4000-8000-000000000a99";
pub(crate) const SECRET: &str = "canary-client-secret~8Q";
pub(crate) const USER_ASSIGNED: &str = "9d2a8c10-0000-4000-8000-000000000b1d";
pub(crate) const MAILBOX: &str = "leads@contoso.example";

/// A running stand-in.
pub(crate) struct Microsoft {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

/// What the services know; a test changes it at will.
pub(crate) struct State {
    /// The secret that the application has now.
    pub(crate) secret: String,
    /// It is past its end.
    pub(crate) is_secret_expired: bool,
    /// Client IDs of the machine's identities; the system-assigned one is empty.
    pub(crate) identities: BTreeSet<String>,
    /// The metadata service answers so many requests with that status first.
    pub(crate) imds_trouble: VecDeque<u16>,
    /// What was granted: a resource's host and who may use it (an application or an identity).
    pub(crate) grants: BTreeSet<(&'static str, String)>,
    /// Every token that was issued.
    pub(crate) tokens: Vec<Issued>,
    /// What Graph does with the next requests, before its own judgement.
    pub(crate) graph: VecDeque<Scripted>,
    /// Requests to Graph that are under way, and the most there ever were.
    pub(crate) at_once: (usize, usize),
    /// The mails that Graph has taken.
    pub(crate) mails: Vec<Sent>,
    /// The storage tokens end when the table is asked for the nth time.
    pub(crate) ends_at_table_request: Option<usize>,
    /// Requests to each host.
    pub(crate) asked: Vec<String>,
    /// `user token` lines for the SMTP server, if there is one.
    pub(crate) smtp_tokens: Option<std::path::PathBuf>,
}

/// An access token.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) audience: String,
    pub(crate) to: String,
    pub(crate) is_over: bool,
}

/// A mail that Graph has taken, as it delivers it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) recipients: Vec<String>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) const STORAGE: &str = "storage.azure.com";
pub(crate) const GRAPH: &str = "graph.microsoft.com";
pub(crate) const SMTP: &str = "outlook.office365.com";

impl Microsoft {
    /// Everything is as it should be: application and both identities may do all.
    pub(crate) fn start() -> Self {
        let identities: BTreeSet<String> = [String::new(), USER_ASSIGNED.to_owned()].into();
        let who = identities.iter().cloned().chain([APPLICATION.to_owned()]);
        let grants =
            who.flat_map(|who| [STORAGE, GRAPH, SMTP].map(|resource| (resource, who.clone()))).collect();
        let state = State {
            secret: SECRET.to_owned(),
            is_secret_expired: false,
            identities,
            imds_trouble: VecDeque::new(),
            grants,
            tokens: Vec::new(),
            graph: VecDeque::new(),
            at_once: (0, 0),
            mails: Vec::new(),
            ends_at_table_request: None,
            asked: Vec::new(),
            smtp_tokens: None,
        };
        let state = Arc::new(Mutex::new(state));
        let of_server = Arc::clone(&state);
        let tls = http::tls();
        let port = serve(move |stream| http::converse(stream, &tls, &of_server));
        Self { port, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What makes a program see it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let place = format!("http://127.0.0.1:{}", self.port);
        vec![
            ("HTTPS_PROXY", place.clone()),
            ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
            ("SSL_CERT_FILE", certificates().authority.display().to_string()),
            ("LEADFLOW_TEST_IMDS", place),
        ]
    }

    /// How often a host was asked.
    pub(crate) fn asked(&self, host: &str) -> usize {
        self.state().asked.iter().filter(|asked| asked.contains(host)).count()
    }
}

impl State {
    /// A token of some length, as real ones are.
    fn issue(&mut self, audience: &str, to: &str) -> String {
        let token = format!("canary-token-{}.{}", self.tokens.len(), "Zm9v".repeat(400));
        let (audience, to) = (audience.trim_end_matches('/').to_owned(), to.to_owned());
        self.tokens.push(Issued { token: token.clone(), audience, to, is_over: false });
        self.tell_smtp();
        token
    }

    /// Ends all tokens of a resource.
    pub(crate) fn end_tokens(&mut self, resource: &str) {
        self.tokens
            .iter_mut()
            .filter(|token| token.audience.contains(resource))
            .for_each(|token| token.is_over = true);
        self.tell_smtp();
    }

    /// Takes a permission away from everybody.
    pub(crate) fn take_back(&mut self, resource: &str) {
        self.grants.retain(|(granted, _)| *granted != resource);
        self.tell_smtp();
    }

    pub(crate) fn may(&self, resource: &'static str, who: &str) -> bool {
        self.grants.contains(&(resource, who.to_owned()))
    }

    /// Exchange takes tokens of the right audience, whose holder has SMTP.SendAsApp and the mailbox.
    pub(crate) fn tell_smtp(&self) {
        let Some(path) = &self.smtp_tokens else { return };
        let good =
            |token: &&Issued| !token.is_over && token.audience.contains(SMTP) && self.may(SMTP, &token.to);
        let lines: Vec<_> =
            self.tokens.iter().filter(good).map(|token| format!("{MAILBOX} {}", token.token)).collect();
        std::fs::write(path, lines.join("\n")).unwrap();
    }
}
