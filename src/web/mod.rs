//! The page of the daemon: what commands show and do, in a browser, and the same as JSON for programs.
//!
//! It is served by a thread of its own, which has its own connection to the state: whatever comes in over the network,
//! runs and mails go on beside it. What it does is asked of the daemon by the requests that commands leave.

mod access;
mod actions;
mod api;
mod assets;
mod data;
mod extract;
mod failure;
mod fields;
mod frame;
mod guard;
mod language;
mod metrics;
mod pages;
mod parts;
mod privacy;
mod routes;
mod server;
mod site;

pub use server::WebServer;
pub use site::DaemonSigns;
