//! Who is told of exchanges of lanes.

/// Whoever wants to know before a lane is exchanged.
pub(in crate::registry) trait Witness {
    /// The lane has been read, and is about to be exchanged: again, if that was said before.
    fn changing(&mut self);
}

impl Witness for () {
    #[inline]
    fn changing(&mut self) {}
}
