//! What commands and the page do beside the engine.

pub mod doctor;
pub mod erasure;
pub mod flow_list;
pub mod health;
pub mod lead_export;
pub mod leads;
pub mod made_up_leads;
pub mod outbox;
pub mod preview;
pub mod replay;
pub mod state_copy;
pub mod test_mail;
