//! leadflow: a scheduled polling daemon that mails the new rows of an Azure Storage table.
//!
//! # A row's way
//! [`daemon::ticker`] ticks, [`planner`] says which flows are due, and [`engine::run`] takes each on
//! its way: how far back to read, the scan of the table, which rows are new, the condition, the composed
//! mail, and one transaction of the [`store`]. [`engine::delivery`] delivers what was committed; [`outbox`]
//! says what a server's reply means.
//!
//! # The rooms
//! Values and decisions: [`flow`], [`schedule`], [`rows`], [`filter`], [`template`], [`planner`], [`outbox`],
//! [`history`], [`stats`], [`alarm`], [`text`]. [`config`] turns flows.toml into them. [`store`] is the state, [`services`] are
//! tables and mail servers, [`compose`] makes mails, [`engine`] does the work, [`daemon`] is the process
//! around it, [`tasks`] are what commands do beside it, [`views`] are their JSON, [`web`] is its page, and
//! [`platform`] is the machine.
//! `docs/development/architecture.md` has the invariants and who may use whom.

pub use leadflow_core::{
    alarm, filter, flow, history, outbox, planner, rows, schedule, stats, template, text,
};

pub mod compose;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod platform;
pub mod services;
pub mod store;
pub mod tasks;
pub mod views;
pub mod web;
