//! Supervision decisions.
