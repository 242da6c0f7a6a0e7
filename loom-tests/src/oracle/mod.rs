//! The sequential truth about each structure, in obvious code.

pub mod checkpoint;
pub mod context;
pub mod dedup;
pub mod drain;
pub mod groups;
pub mod handlers;
pub mod intensity;
pub mod registry;
pub mod ring;
pub mod spans;
pub mod supervision;
pub mod trace;
