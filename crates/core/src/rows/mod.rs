//! Rows of a table, and the leads that are in them.

pub mod columns;
pub mod lead;
pub mod newest;
pub mod query;
pub mod row;
