//! Tests of the whole: the real binary against Azurite, SMTP servers and scripted servers.

mod commands;
mod daemon;
mod faults;
mod guide;
mod messages;
mod rows;
mod support;
