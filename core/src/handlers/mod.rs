//! Who is to be told of which events: names, handlers in the order in which they were attached, and a way to
//! detach one that is a *barrier*, after which it neither runs nor will.
//!
//! [`EventName`], [`Pattern`] and [`Strikes`] are plain values and there on every target. [`Handlers`] needs an
//! allocator and a native compare-and-swap.
//!
//! # Picture
//! ```text
//!  version 7            list ──► ┌──────────────────────────────────────────┐  immutable; an edit makes
//!  (0: nobody is        (null:   │ version 7 │ routes │ entry  entry  entry …│  another one and retires this
//!   attached)            nobody) └──────────────────────────────────────────┘
//!                                                       │
//!  one seat for each caller                             ▼
//!  ┌─────────┬──────────────────────┐                 ┌──────────────────┐
//!  │ level 0 │ list      running    │                 │ dead │ the value │  shared by all lists it is in
//!  │ level 1 │ list      running    │  a handler      └──────────────────┘
//!  │   …     │                      │  that calls
//!  └─────────┴──────────────────────┘
//! ```
//!
//! # Paths
//! *Call, nobody wants it*: the version is zero, or it is the one that the call site found to have no
//! handler for its event: one load, or two.
//!
//! *Call*: note the list in the seat, fence, look whether it still is the list (else note the one that is).
//! For each entry whose pattern matches, in order: note the entry in the seat, fence, and unless it is dead,
//! call it. At the end take both notes back.
//!
//! *Detach*: a list without the entry is put in the place of the one with it; the entry is marked dead; fence.
//! Whoever notes the entry afterwards finds it dead. Whoever noted it before is seen in its seat: the entry is
//! *silent* once no seat notes it, and only then is its value taken out.
//!
//! *Reap*: fence; a retired list that no seat notes is freed, and with the last list of an entry the entry.
//!
//! Why two notes? With the list alone, who detaches one handler would have to wait for every other that happens
//! to be slow, and might wait for ever if one of those waits for it.
//!
//! # Orderings
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | H1 | `Editor::publish`: the list, Release | `Caller::enter`: Acquire | the list is initialised |
//! | H2 | a seat's list, fence(SeqCst), the list | the list, fence(SeqCst), the seats' lists | a caller sees that the list was replaced, or whoever reaps sees the caller |
//! | H3 | a seat's entry, fence(SeqCst), *dead* | *dead*, fence(SeqCst), the seats' entries | a caller sees that the entry is dead, or whoever detaches sees the caller |
//! | H4 | `Caller::call`: the entry's note taken back, Release | `Seats::any_runs`: Acquire | what the handler did is done before its value is taken |
//! | H5 | `Caller::call`: the list's note taken back, Release | `Seats::noted_lists`: Acquire | the list was read before it is freed |
//! | H6 | a seat is given back, Release | it is taken, Acquire | its next holder's notes come after the last one's |
//! | H7 | a chunk of seats is linked, CAS Release | its load, Acquire | the seats are initialised |
//! | H8 | the right to edit is given back, Release | it is claimed, Acquire | the last editor's edits |
//!
//! # Limits
//! [`MAX_HANDLERS`], [`MAX_PATTERNS`] of each, [`MAX_CALLERS`]; a caller's handlers may call others
//! [`MAX_DEPTH`] deep. Versions are machine words: a call site that was quiet through all 2³² edits that a 32-bit
//! target can tell apart might take the list for the one it knew.
//!
//! Literature: M. M. Michael, *Hazard Pointers: Safe Memory Reclamation for Lock-Free Objects* (IEEE TPDS 2004),
//! for the notes.
//!
// What is not there cannot be linked to.
#![cfg_attr(
    not(all(feature = "alloc", target_has_atomic = "ptr")),
    doc = "[`Handlers`]: self",
    doc = "[`MAX_HANDLERS`]: self",
    doc = "[`MAX_PATTERNS`]: self",
    doc = "[`MAX_CALLERS`]: self",
    doc = "[`MAX_DEPTH`]: self"
)]

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod caller;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod editor;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod list;
mod name;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod seats;
mod strikes;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod table;

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use self::{
    caller::{Attached, Called, Caller, TooDeep},
    editor::{
        AttachError, Detaching, Editor, MAX_HANDLERS, MAX_ID_LENGTH, MAX_PATTERNS, Reaped,
        RefusedAttachment,
    },
    seats::{MAX_CALLERS, MAX_DEPTH, TooManyCallers},
    table::{Handlers, Interest},
};
pub use name::{BadName, EventName, MAX_LENGTH, MAX_SEGMENTS, Pattern};
pub use strikes::{FailurePolicy, MAX_STRIKES, Strikes, Verdict};
