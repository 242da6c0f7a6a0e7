//! Epoch-based reclamation, from crossbeam: behind the door because its pointers are atomics.

pub(crate) use crossbeam_epoch::{
    Atomic, Collector, Guard, LocalHandle, Owned, Shared, unprotected,
};
