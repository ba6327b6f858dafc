//! Services elsewhere: tables, mail servers, Microsoft Entra ID, and how they are reached.

pub(crate) mod entra;
pub(crate) mod http;
pub mod mail;
mod online;
pub mod table;

use std::fmt;

use async_trait::async_trait;

use crate::flow::{MailConnection, TableRef};
use mail::{ConnectError, MailSession};
use table::{TableError, TableReader};

pub use online::OnlineServices;

/// Opens what lies elsewhere, by the connections of flows.toml. Handed in with the context of runs, so that
/// who plays a whole history puts a world of its own in the place of the network.
#[async_trait]
pub trait Services: fmt::Debug + Send + Sync {
    /// A table; nothing is asked of it yet.
    ///
    /// # Errors
    /// A secret that cannot be read, a connection string or a `ca_file` that is wrong.
    async fn table(&self, table: TableRef<'_>) -> Result<Box<dyn TableReader>, TableError>;

    /// A session with the mail server of the connection of this name, signed in.
    ///
    /// # Errors
    /// Anything from DNS to AUTH, a missing secret included.
    async fn mail(
        &self,
        name: &str,
        connection: &MailConnection,
    ) -> Result<Box<dyn MailSession>, ConnectError>;

    /// A run over this table connection has failed: the next one reads its secret and its authorities again.
    fn forget_sign_in(&self, name: &str);

    /// flows.toml, a secret or an authority may have changed: nothing that was read or signed in before is used.
    fn forget_all_sign_ins(&self);

    /// Closes what nobody has used for a while.
    fn close_idle(&self);
}
