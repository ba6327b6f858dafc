//! Looks at what flows.toml names from the outside in: signs in, finds the table, counts and shows
//! the newest rows, signs in to the mail servers; for "why do no leads come?".

mod first_run;
mod page;
mod secrets;
mod sign_in;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::flow::{Audience, Config, Flow, MailConnection, TableConnection};
use crate::platform::clock::Clock;
use crate::rows::columns::Columns;
use crate::rows::newest::Newest;
use crate::rows::row::Row;
use crate::schedule::window::CLOCKS_DIFFER;
use crate::schedule::window::EVER;
use crate::services::OnlineServices;
use crate::services::table::{Query, Table, TableError, TableErrorKind, TableReader as _};
use crate::store::Store;
use crate::text::advice::Advice;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `flow leads` or `connection relay`.
    pub about: String,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was found, and what to do about it.
    pub advice: Advice,
    /// The help is a line to type, which is shown as it is.
    pub is_typed: bool,
}

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Well,
    /// Not known, or not yet.
    Open,
    /// Not as it should be.
    Wrong,
}

impl Finding {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.verdict != Verdict::Wrong
    }
}

/// What is known of runs before.
#[derive(Debug, Clone, Copy)]
pub enum Memory<'a> {
    /// Whoever asks cannot read the state.
    Closed,
    /// There was no run yet.
    Empty,
    /// The state.
    Open(&'a Store),
}

/// Rows that are counted at most; more are "more than".
const MOST_COUNTED: usize = 20_000;
/// Newest rows that are shown.
const SHOWN: usize = 3;

/// Looks at every flow's table, then at every mail connection that a flow or the failures use, then at the page.
pub async fn examine(config: &Config, clock: &Clock, memory: Memory<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let services = OnlineServices::new(clock.clone());
    sign_in::signatures(config, clock, &mut found);
    for flow in config.flows.values() {
        let mut visit = Visit { about: format!("flow {}", flow.name), found: &mut found };
        if let Err(error) = table(&services, config, flow, clock, memory, &mut visit).await {
            visit.report(Verdict::Wrong, error.advice);
        }
    }
    for (name, connection) in used_mails(config) {
        let mut visit = Visit { about: format!("connection {name}"), found: &mut found };
        sign_in::mail(&services, name, connection, &mut visit).await;
    }
    secrets::check_page(config, &mut found);
    page::check(config, clock, &mut found);
    found
}

/// The mail connections that a flow or the failures use.
fn used_mails(config: &Config) -> impl Iterator<Item = (&String, &MailConnection)> {
    let of_flows = config.flows.values().flat_map(|flow| &flow.email.connections);
    let of_failures = config.settings.failures.iter().flat_map(|failures| &failures.connections);
    let used: BTreeSet<&String> = of_flows.chain(of_failures).collect();
    config.mails.iter().filter(move |(name, _)| used.contains(name))
}

/// What can be seen without asking anybody: whether secrets are there, and of the tables whose secrets can be
/// read what is wrong, and when signatures end.
pub async fn glance(config: &Config, clock: &Clock) -> Vec<Finding> {
    let mut found = Vec::new();
    secrets::check(config, &mut found);
    page::check(config, clock, &mut found);
    sign_in::signatures(config, clock, &mut found);
    let services = OnlineServices::new(clock.clone());
    for flow in config.flows.values() {
        let Ok(of_flow) = config.table_of(flow) else { continue };
        let TableConnection::Azure(azure) = of_flow.connection else { continue };
        if azure.login.secret().is_some_and(|source| crate::platform::secrets::read(source).is_err()) {
            continue;
        }
        let mut visit = Visit { about: format!("flow {}", flow.name), found: &mut found };
        match services.open_table(of_flow).await {
            Ok(table) => cosmos(&table, flow, &mut visit),
            Err(error) => visit.report(Verdict::Wrong, error.advice),
        }
    }
    found
}

struct Visit<'a> {
    about: String,
    found: &'a mut Vec<Finding>,
}

impl Visit<'_> {
    fn well(&mut self, message: impl Into<String>) {
        self.add(Verdict::Well, message.into(), None);
    }

    fn wrong(&mut self, message: impl Into<String>, help: Option<String>) {
        self.add(Verdict::Wrong, message.into(), help);
    }

    fn add(&mut self, verdict: Verdict, message: String, help: Option<String>) {
        self.report(verdict, Advice { message, help });
    }

    fn report(&mut self, verdict: Verdict, advice: Advice) {
        self.found.push(Finding { about: self.about.clone(), verdict, advice, is_typed: false });
    }
}

async fn table(
    services: &OnlineServices,
    config: &Config,
    flow: &Arc<Flow>,
    clock: &Clock,
    memory: Memory<'_>,
    visit: &mut Visit<'_>,
) -> Result<(), TableError> {
    let of_flow = match config.table_of(flow) {
        Ok(found) => found,
        Err(error) => {
            visit.wrong(error.to_string(), None);
            return Ok(());
        }
    };
    if let TableConnection::Azure(azure) = of_flow.connection
        && let Some(entra) = azure.login.entra()
        && !sign_in::token(services, of_flow.connection_name, entra, Audience::Storage, visit).await
    {
        return Ok(());
    }
    let table = services.open_table(of_flow).await?;
    let served = match table.ask_time().await {
        Ok(served) => served,
        Err(error) => {
            // Whoever has the name of the table wrong wants to know the names.
            let names = match error.kind {
                TableErrorKind::NoTable => table.names().await.ok(),
                TableErrorKind::Passing | TableErrorKind::NoRole | TableErrorKind::Lasting => None,
            };
            let help = names.map(|names| match names.as_slice() {
                [] => "the account has no table yet; press Validate in Partner Center, or create one in \
                       the portal"
                    .to_owned(),
                names => format!("the account has {}", names.join(", ")),
            });
            return Err(match help {
                Some(help) => error.help(help),
                None => error,
            });
        }
    };
    visit.well(format!("signed in, and the table `{}` is there", flow.table.name));
    clocks(served.date, clock, visit);
    cosmos(&table, flow, visit);
    if rows(&table, flow, visit).await? {
        first_run::report(flow, &table, clock, memory, visit).await?;
    }
    Ok(())
}

fn clocks(server: Option<Timestamp>, clock: &Clock, visit: &mut Visit<'_>) {
    let Some(server) = server else {
        let help = "each run reads more than the last, because the watermark is kept in the service's time"
            .to_owned();
        return visit.wrong("the table service sent no Date header", Some(help));
    };
    let apart = clock.now().duration_since(server).abs();
    if apart > CLOCKS_DIFFER {
        let help = "set this machine's clock: timedatectl set-ntp true".to_owned();
        visit.wrong(
            format!("this machine's clock and the service's are {} s apart", apart.as_secs()),
            Some(help),
        );
    }
}

fn cosmos(table: &Table, flow: &Flow, visit: &mut Visit<'_>) {
    if table.is_cosmos() && flow.table.filter.as_ref().is_some_and(|filter| filter.contains("Timestamp")) {
        let help = "filter on a column of your own, such as CreatedTime".to_owned();
        visit.wrong("this is Cosmos DB, where a filter on Timestamp matches no rows", Some(help));
    }
}

/// Counts what the filter matches and shows the newest. Returns whether there is any.
async fn rows(table: &Table, flow: &Arc<Flow>, visit: &mut Visit<'_>) -> Result<bool, TableError> {
    let (count, newest) = newest(table, flow.table.query(EVER)).await?;
    if count == 0 {
        let (all, _) = if flow.table.filter.is_some() {
            self::newest(table, Query::default()).await?
        } else {
            (0, Vec::new())
        };
        let (message, help) = if all == 0 {
            (
                "the table is empty",
                "in Partner Center press Validate beside the connection string: it writes a test lead",
            )
        } else {
            ("the table has rows, and the filter matches none of them", "check the flow's filter")
        };
        visit.wrong(message, Some(help.to_owned()));
        return Ok(false);
    }
    visit.well(match count {
        1 => "1 row matches the filter".to_owned(),
        count if count > MOST_COUNTED => format!("more than {MOST_COUNTED} rows match the filter"),
        count => format!("{count} rows match the filter"),
    });
    let Some(first) = newest.first() else { return Ok(true) };
    for row in &newest {
        visit.well(format!("{}  {} / {}", row.timestamp, row.partition_key, row.row_key));
    }
    if let Some(whole) = whole(table, first, flow).await? {
        columns(&whole.columns(), flow, visit);
    }
    Ok(true)
}

async fn newest(table: &Table, query: Query) -> Result<(usize, Vec<Row>), TableError> {
    let mut scan = table.scan(query.keys_only());
    let mut count = 0;
    let mut newest = Newest::new(SHOWN);
    while let Some(page) = scan.next().await? {
        count += page.rows.len();
        newest.extend(page.rows);
        if count > MOST_COUNTED {
            break;
        }
    }
    Ok((count, newest.into_rows()))
}

/// The row with the columns that the flow asks for.
async fn whole(table: &Table, row: &Row, flow: &Flow) -> Result<Option<Row>, TableError> {
    let of_row = Query::of_keys(Some(&row.partition_key), &row.row_key);
    let page = table.scan(Query { select: flow.table.select.clone(), ..of_row }).next().await?;
    Ok(page.and_then(|page| page.rows.into_iter().next()))
}

/// What the templates name and the newest row does not have.
fn columns(row: &Columns<'_>, flow: &Flow, visit: &mut Visit<'_>) {
    let missing: BTreeSet<&str> = flow
        .email
        .templates
        .columns()
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| row.get(name).is_none() && !flow.table.declares(name))
        .collect();
    if !missing.is_empty() {
        let names: Vec<_> = missing.into_iter().collect();
        let known: Vec<_> = row.iter().map(|(name, _)| name).collect();
        let message = format!("the newest row has no column {}, which the template uses", names.join(", "));
        visit.wrong(message, Some(format!("it has {}", known.join(", "))));
    } else if row.find("CustomerInfo").is_some() {
        visit.well("the newest row is a lead");
    }
}
