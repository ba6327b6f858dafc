//! What the rest of the program needs of the machine: its clock, its files and their owners, threads, the log.

pub(crate) mod authorities;
pub mod blocking;
pub mod clock;
pub(crate) mod faults;
pub(crate) mod host;
pub mod lease;
pub mod ownership;
pub(crate) mod package;
pub mod passwords;
pub(crate) mod pieces;
pub mod secrets;
pub mod telemetry;
pub(crate) mod tls;
