//! What may be sent and shared between threads, checked by the compiler.

use bedplate_core::dedup::{
    DedupWindow, EveryNth, LockedDedupWindow, OncePer, SharedDedupWindow, Source, TokenBucket,
};
use bedplate_core::drain::Drain;
use bedplate_core::event::Event;
use bedplate_core::registry::{FixedOwner, FixedRegistry, SpinLock};
use bedplate_core::ring::{EventRing, NestedRing, Overwrite, Reader, SharedRing, Writer};

fn send<T: Send>() {}
fn sync<T: Sync>() {}

#[test]
fn rings_are_shared_and_their_ends_are_sent() {
    sync::<EventRing<8>>();
    send::<EventRing<8>>();
    send::<Writer<'static, 8, Overwrite, Event>>();
    send::<Reader<'static, Event>>();
    sync::<NestedRing<8>>();
    send::<NestedRing<8>>();
    sync::<SharedRing<8>>();
    send::<SharedRing<8>>();
}

#[test]
fn windows_are_shared_and_their_sources_are_sent() {
    send::<DedupWindow<8>>();
    send::<Drain<Event, 8>>();
    sync::<LockedDedupWindow<8, SpinLock>>();
    sync::<SharedDedupWindow<2, 2>>();
    send::<Source<'static, 2, 2>>();
    sync::<OncePer>();
    sync::<TokenBucket>();
    sync::<EveryNth>();
}

#[test]
fn registries_are_shared() {
    sync::<FixedRegistry<u8, u8, 8, SpinLock>>();
    send::<FixedOwner<'static, u8, u8, 8, SpinLock>>();
    #[cfg(feature = "alloc")]
    {
        use bedplate_core::registry::groups::{EpochGroups, Member, Members};
        use bedplate_core::registry::{EpochRegistry, Owner, Reader};
        use std::hash::RandomState;
        sync::<EpochRegistry<String, String, RandomState>>();
        send::<EpochRegistry<String, String, RandomState>>();
        send::<Owner<String, String, RandomState>>();
        send::<Reader<String, String, RandomState>>();
        sync::<Reader<String, String, RandomState>>();
        sync::<EpochGroups<String, String, RandomState>>();
        send::<EpochGroups<String, String, RandomState>>();
        send::<Member<String, String, RandomState>>();
        send::<Members<'static, String, Box<u8>>>();
    }
}
