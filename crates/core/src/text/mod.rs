//! Text: what comes from others, what people meant, and words with their number.

pub mod advice;
pub mod counted;
pub mod foreign;
pub mod near;
