//! leadflow: a scheduled polling daemon that mails the new rows of an Azure Storage table.

pub mod clock;
pub mod condition;
pub mod filter;
pub mod flow;
pub mod mail;
pub mod recurrence;
pub mod row;
pub mod secret;
pub mod spool;
pub mod table;
pub mod window;
