//! Locks, for the structures that have one, as a type parameter.
//!
//! A lock is named by whoever instantiates a structure, so adding one never changes another. The
//! interface is closure-only: no guard can be leaked, and the time under the lock is visible.
