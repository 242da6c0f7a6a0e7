//! What only a registry with owners does: everything an owner holds goes with it, and giving up one
//! name does not depend on how many others its owner has.

use super::keys::{CHURNED, Key, World, scramble};
use super::peers::{Bedplate, pid};
use super::samples::insert_each;
use super::subject::{Hasher, Session, Subject};
use crate::pinned;
use bedplate_core::registry::{Handle, Owner};
use std::io;

/// Names that are released in a sample, whatever the number of their owners.
const RELEASED: usize = 16_000;

/// Names that are held while single ones are unregistered, whatever the number of their owners.
const HELD: usize = 32_000;

const UNREGISTERED: usize = 1_600;

const _: () = assert!(RELEASED <= CHURNED && HELD <= CHURNED);

/// Drops owners of `names` names each; nanoseconds for each name.
pub fn release<K: Key>(subject: &Bedplate<K>, world: &World<K>, names: usize) -> io::Result<f64> {
    pinned::mean(1, RELEASED, |_, gate| {
        let handle = subject.registry.handle();
        let owners = owners(subject, &handle, &world.churned[0][..RELEASED], names);
        let before = subject.registry.len();
        let sample = gate.time(|| drop(owners));
        assert_eq!(before - subject.registry.len(), RELEASED);
        sample
    })
}

/// Removes as many names one by one, as one must where there are no owners; nanoseconds for each.
pub fn remove_each<K: Key, S: Subject<K>>(subject: &S, world: &World<K>) -> io::Result<f64> {
    pinned::mean(1, RELEASED, |_, gate| {
        let mut session = subject.session();
        let keys = &world.churned[0][..RELEASED];
        insert_each(&mut session, keys);
        let mut removed = 0;
        let sample = gate.time(|| {
            for key in keys {
                removed += usize::from(session.remove(K::of(key)));
            }
        });
        assert_eq!(removed, RELEASED);
        sample
    })
}

/// Unregisters a few names of owners of `names` names each; nanoseconds for each.
pub fn unregister_one<K: Key>(
    subject: &Bedplate<K>,
    world: &World<K>,
    names: usize,
) -> io::Result<f64> {
    pinned::mean(1, UNREGISTERED, |_, gate| {
        let handle = subject.registry.handle();
        let keys = &world.churned[0][..HELD];
        let mut owners = owners(subject, &handle, keys, names);
        // One of every so many, so that no owner of two loses both; in no order.
        let mut chosen: Vec<_> = (0..HELD).step_by(HELD / UNREGISTERED).collect();
        chosen.sort_by_key(|&index| scramble(index as u64));
        let mut unregistered = 0;
        let sample = gate.time(|| {
            for &index in &chosen {
                let (owner, key) = (&mut owners[index / names], K::of(&keys[index]));
                unregistered += usize::from(owner.unregister(&handle.pin(), key));
            }
        });
        assert_eq!(unregistered, UNREGISTERED);
        sample
    })
}

fn owners<K: Key>(
    subject: &Bedplate<K>,
    handle: &Handle<K, u64, Hasher>,
    keys: &[K::Item],
    names: usize,
) -> Vec<Owner<K, u64, Hasher>> {
    let owners = keys.chunks(names).map(|keys| {
        let mut owner = subject.registry.owner(pid(u32::MAX));
        for key in keys {
            let registered = owner.register(&handle.pin(), K::own(K::of(key)), 0);
            assert!(registered.is_ok());
        }
        owner
    });
    owners.collect()
}
