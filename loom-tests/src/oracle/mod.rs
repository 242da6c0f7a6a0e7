//! The sequential truth about each structure, in obvious code.

pub mod dedup;
pub mod registry;
pub mod ring;
