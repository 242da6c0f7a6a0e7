//! The registry against Elixir's, in rounds that take turns with a running virtual machine.
//!
//! | case | Elixir's figure |
//! |---|---|
//! | `beam lookup` | `Registry.lookup/2` |
//! | `beam whereis` | `Registry.whereis_name/1` |
//! | `beam pair` | `Registry.register/3` and `Registry.unregister/2` of the same name |
//! | `beam owner release of 100` | a name, from killing the owners until all their names are gone |
//! | `beam owner cleanup of 100` | of that, what the registry does |
//!
//! Ours is the same for both lookups, `whereis`, and for both releases, dropping the owner. A virtual
//! machine with one scheduler takes no locks: it is a contender too, of the kind that serves one
//! thread only.

use super::keys::{CHURNED, Key, World};
use super::owners;
use super::peers::Bedplate;
use super::samples::{self, Guard, Outcome};
use super::subject::{NAMES_OF_AN_OWNER, Session as _, Subject as _, fill_and_tidy};
use super::{row, wanted};
use crate::harness::{Contender, Settings, Table, interleave};
use crate::machine::Machine;
use crate::pinned;
use std::cell::RefCell;
use std::io;

/// Entries of a registry before anything is measured.
const ENTRIES: usize = 10_000;

/// What a virtual machine is called in the table, and what it is started with.
const MACHINES: [(&str, &str); 2] = [
    ("Elixir Registry", ""),
    ("Elixir Registry, one scheduler", "+S 1"),
];

/// The names of the cases, what the script calls each, and what it is compared with.
const CASES: [(&str, &str, Ours); 5] = [
    ("beam lookup", "lookup", Ours::Lookup),
    ("beam whereis", "whereis", Ours::Lookup),
    ("beam pair", "pair", Ours::Pair),
    ("beam owner release of 100", "release", Ours::Release),
    ("beam owner cleanup of 100", "cleanup", Ours::Release),
];

#[derive(Clone, Copy, Debug)]
enum Ours {
    Lookup,
    Pair,
    Release,
}

/// Measures the cases, if there is an Elixir to measure them with.
pub fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    let wants = |(case, ..): &(&str, _, _)| {
        [u64::NAME, String::NAME]
            .iter()
            .any(|keys| settings.wants(&format!("{case} {keys}")))
    };
    if !CASES.iter().any(wants) {
        return Ok(());
    }
    let mut machines = Vec::new();
    for (name, flags) in MACHINES {
        let Some(machine) = Machine::start(flags, "registry.exs", ENTRIES)? else {
            eprintln!("no elixir in PATH: the comparison with Elixir's Registry is left out");
            return Ok(());
        };
        eprintln!("{name}: {}", machine.versions());
        machines.push((name, RefCell::new(machine)));
    }
    measure::<u64>(settings, table, &machines)?;
    measure::<String>(settings, table, &machines)
}

/// All cases with keys of one type.
fn measure<K: Key>(
    settings: &Settings,
    table: &mut Table,
    machines: &[(&'static str, RefCell<Machine>)],
) -> io::Result<()> {
    let world = World::<K>::new(ENTRIES);
    let ours = Bedplate::<K>::new(ENTRIES);
    fill_and_tidy(ours.session(), &world);
    for (case, called, what) in CASES {
        let Some(case) = wanted::<K>(settings, case, ENTRIES) else {
            continue;
        };
        let mut number = 0;
        let mut contenders = vec![Contender {
            name: Bedplate::<K>::NAME.into(),
            run: Box::new(|| {
                number += 1;
                sample(&ours, &world, what, number)
            }),
        }];
        contenders.extend(machines.iter().map(|(name, machine)| Contender {
            name: (*name).into(),
            run: Box::new(move || {
                machine
                    .borrow_mut()
                    .sample(&format!("{called} {}", K::NAME))
            }),
        }));
        let measured = interleave(settings.pick(5, 9), &mut contenders)?;
        for (machine, _) in machines {
            for name in [Bedplate::<K>::NAME, machine] {
                let row = row(&case, 1, ENTRIES, name);
                table.add(row.with(&measured, name, machine, machine));
            }
        }
    }
    Ok(())
}

fn sample<K: Key>(
    ours: &Bedplate<K>,
    world: &World<K>,
    what: Ours,
    number: usize,
) -> io::Result<f64> {
    match what {
        Ours::Lookup => {
            let what = (Outcome::Hit, Guard::PerCall);
            samples::lookups(ours, world, what, 1, number)
        }
        Ours::Pair => pairs(ours, world),
        Ours::Release => owners::release(ours, world, NAMES_OF_AN_OWNER),
    }
}

/// Registering a name and unregistering it at once, by an owner of one other; nanoseconds for both.
/// An owner in Elixir's Registry that holds many names goes through all of them to give one up.
fn pairs<K: Key>(ours: &Bedplate<K>, world: &World<K>) -> io::Result<f64> {
    pinned::mean(1, CHURNED - 1, |_, gate| {
        let mut session = ours.session();
        let [kept, keys @ ..] = &world.churned[0][..] else {
            unreachable!("there are many");
        };
        assert!(session.insert(K::of(kept), 0));
        let mut churn = |keys: &[K::Item]| {
            let mut done = 0;
            for key in keys {
                done += usize::from(session.insert(K::of(key), 0));
                done += usize::from(session.remove(K::of(key)));
            }
            done
        };
        churn(&keys[..CHURNED / 4]);
        let mut done = 0;
        let sample = gate.time(|| done = churn(keys));
        assert_eq!(done, 2 * keys.len());
        assert!(session.remove(K::of(kept)));
        sample
    })
}
