//! What commands do beside the engine.

pub mod doctor;
pub mod erasure;
pub mod lead_export;
pub mod made_up_leads;
pub mod preview;
pub mod replay;
pub mod state_copy;
