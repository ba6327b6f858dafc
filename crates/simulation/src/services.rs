//! What lies elsewhere, in the simulated world: tables and mail servers by the names of their connections.

use std::sync::Arc;

use async_trait::async_trait;
use leadflow::flow::{MailConnection, TableConnection, TableRef};
use leadflow::platform::blocking::Interruption as _;
use leadflow::services::Services;
use leadflow::services::mail::{ConnectError, MailSession};
use leadflow::services::table::{TableError, TableReader};

use super::mail;
use super::seat::Seat;
use super::table::{SimulatedTable, number_of};

/// The services of a world, as a process sees them.
#[derive(Debug)]
pub(super) struct SimulatedServices(pub(super) Arc<Seat>);

/// The name of a flow's table connection.
pub(super) fn table_connection(flow: &str) -> String {
    format!("{flow}-table")
}

/// The name of a server's connection.
pub(super) fn mail_connection(server: usize) -> String {
    format!("mail{server}")
}

/// The server of a connection.
pub(super) fn server_of(connection: &str) -> Option<usize> {
    connection.strip_prefix("mail")?.parse().ok()
}

/// The file that a table connection is from, which its database is named by.
fn file_of(connection: &TableConnection) -> Option<usize> {
    match connection {
        TableConnection::Embedded { file } => file.file_name()?.to_str()?.parse().ok(),
        TableConnection::Azure(_) => None,
    }
}

#[async_trait]
impl Services for SimulatedServices {
    async fn table(&self, table: TableRef<'_>) -> Result<Box<dyn TableReader>, TableError> {
        let TableRef { connection_name: name, connection, table } = table;
        let seat = &self.0;
        seat.point().await;
        let flow = seat.world.story.plans.iter().position(|plan| table_connection(&plan.name) == name);
        let found = flow.zip(number_of(table)).zip(file_of(connection));
        let seat = Arc::clone(seat);
        let found = found.map(|((flow, table), file)| SimulatedTable { seat, flow, table, file });
        self.0.point().await;
        Ok(Box::new(
            found.ok_or_else(|| TableError::new(format!("no table {table} of {name} is simulated")))?,
        ))
    }

    async fn mail(&self, name: &str, _: &MailConnection) -> Result<Box<dyn MailSession>, ConnectError> {
        let server = server_of(name).ok_or_else(|| ConnectError::new(format!("no server {name}"), None))?;
        Ok(Box::new(mail::open(&self.0, server).await?))
    }

    fn forget_sign_in(&self, _: &str) {}

    fn forget_all_sign_ins(&self) {}

    fn close_idle(&self) {}
}
