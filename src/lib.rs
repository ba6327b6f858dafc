//! leadflow: a scheduled polling daemon that mails the new rows of an Azure Storage table.
//!
//! # A row's way
//! [`clockwork`] ticks, [`agenda`] says which flows are due by their [`recurrence`], and [`run`]
//! takes each on its way: how far back to read ([`window`]), the scan of the [`table`], which rows
//! are new, the [`condition`], the composed [`mail`], and one transaction of the [`store`].
//! [`postman`] delivers what was committed; [`outbox`] says what a server's reply means.
//!
//! # The map
//! [`config`] turns flows.toml into the values of [`flow`]; [`daemon`] holds it all together.
//! [`row`], [`lead`] and [`history`] are values, [`filter`] is the table's query language,
//! [`preview`] composes without recording, [`newest`] picks the newest rows, [`doctor`] looks for what keeps leads from coming,
//! [`alarm`] and [`notice`] say what is wrong and who hears of it, [`state`] notices that the state
//! was lost, [`replay`] looks at what a replay would mail, [`forget`] erases a person, [`stats`]
//! counts runs by day, [`spool`] carries rows, [`secret`] reads secrets, [`entra`] gets tokens,
//! [`telemetry`] starts the log, and [`clock`] is the only reader of wall time.
//! `docs/ARCHITECTURE.md` tells the invariants.

pub mod agenda;
pub mod alarm;
mod authorities;
mod blocking;
pub mod clock;
pub mod clockwork;
pub mod columns;
pub mod condition;
pub mod config;
pub mod counted;
mod crash_point;
pub mod daemon;
pub mod doctor;
pub mod entra;
pub mod filter;
pub mod flow;
pub mod foreign;
pub mod forget;
mod hang_point;
pub mod history;
#[cfg(test)]
mod hostile;
mod http;
pub mod lead;
pub mod mail;
mod near;
pub mod newest;
pub mod notice;
pub mod old_rows;
pub mod outbox;
pub mod ownership;
pub mod postman;
pub mod preview;
pub mod recurrence;
pub mod replay;
pub mod row;
pub mod run;
pub mod secret;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod spool;
pub mod state;
pub mod stats;
pub mod store;
pub mod table;
pub mod telemetry;
mod time_zone;
mod tls;
pub mod window;
