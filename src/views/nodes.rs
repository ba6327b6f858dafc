//! `nodes`.

use jiff::Timestamp;
use serde::Serialize;

use crate::store::{NewNode, NodeRecord};

/// A machine that shares the state, or a command that works on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct NodeView {
    /// Its name.
    pub node: String,
    /// It renews its lease.
    pub alive: bool,
    /// It is a command that does its work itself, and not a daemon.
    pub is_command: bool,
    /// When it joined.
    pub joined: Timestamp,
    /// When it was heard of last.
    pub seen: Timestamp,
    /// Of leadflow.
    pub version: String,
    /// It has the flows.toml and the templates that this machine has.
    pub has_same_files: bool,
}

impl NodeView {
    /// As one sees it whose files are these.
    pub fn new(record: NodeRecord, digest: &str) -> Self {
        let is_command = record.is_command();
        let NodeRecord { node: NewNode { name, version, digest: theirs }, joined, seen, is_alive } = record;
        Self {
            node: name,
            alive: is_alive,
            is_command,
            joined,
            seen,
            version,
            has_same_files: theirs == digest,
        }
    }
}
