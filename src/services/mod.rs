//! Services elsewhere: tables, mail servers, Microsoft Entra ID, and how they are reached.

pub mod entra;
pub(crate) mod http;
pub mod mail;
pub mod table;
pub(crate) mod tls;
