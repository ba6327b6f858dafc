//! What commands do beside the engine.

pub mod doctor;
pub mod forget;
pub mod preview;
pub mod replay;
