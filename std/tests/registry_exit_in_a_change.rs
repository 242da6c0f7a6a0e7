//! A thread that ends the process out of a key's `Eq`, in the middle of a change, waits for nobody: least of all for
//! itself, who has borrowed what it holds.

mod alone;

use alone::alone;
use bedplate::registry::Registry;
use core::hash::{Hash, Hasher};
use std::cell::Cell;

thread_local! {
    static ENDS: Cell<bool> = const { Cell::new(false) };
}

/// Has the process end when it is compared, if it is told to.
struct Ending(u64);

impl PartialEq for Ending {
    fn eq(&self, other: &Self) -> bool {
        if ENDS.get() {
            println!("{}", alone::DONE);
            std::process::exit(0);
        }
        self.0 == other.0
    }
}

impl Eq for Ending {}

impl Hash for Ending {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn a_process_ends_out_of_the_middle_of_a_change() {
    alone("a_process_ends_out_of_the_middle_of_a_change", || {
        let (registry, other) = (
            Registry::<Box<Ending>, u64>::new(),
            Registry::<u64, u64>::new(),
        );
        other.register(1, 1).unwrap();
        registry.register(Box::new(Ending(1)), 1).unwrap();
        ENDS.set(true);
        let registered = registry.register(Box::new(Ending(1)), 2);
        unreachable!("the process has ended: {registered:?}");
    });
}
