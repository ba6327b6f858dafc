//! leadflow: a scheduled polling daemon that mails the new rows of an Azure Storage table.
//!
//! What stands here so far are the pure decisions of a run and the values they work on:
//! [`window`] says how far back a run reads, [`row`] keeps a row and its key, [`spool`] carries
//! the new rows, [`condition`] decides over them. [`secret`] reads secrets and [`clock`] is the
//! only reader of wall time.

pub mod agenda;
pub mod clock;
pub mod clockwork;
pub mod condition;
pub mod config;
pub mod daemon;
pub mod filter;
pub mod flow;
pub mod history;
pub mod lead;
pub mod mail;
pub mod outbox;
pub mod postman;
pub mod recurrence;
pub mod row;
pub mod run;
pub mod secret;
pub mod spool;
pub mod store;
pub mod table;
pub mod telemetry;
pub mod window;
