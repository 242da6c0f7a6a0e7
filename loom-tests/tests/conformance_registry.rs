//! Behaviour taken from the test suites of Elixir's Registry, gproc, syn and others, shown by both
//! registries. The numbers are those of the project's list of conformance cases.
//!
//! Where ours differs on purpose, the test says so. Cases of pattern matching are closures here. Counters (R82),
//! resources (R83), standbys (R94) and pools (R100) are not what a registry is for here; a monitor's messages
//! cannot come from one that is unknown (R71).
//! Duplicate keys (R34–R46) are in `conformance_groups.rs`, listeners and subscriptions (R22, R95–R98) in
//! `conformance_changes.rs`.
//! Names of live processes (R7, R25, R56, R62), per-key locks (R49–R52), waiting for a name (R85–R88) and registry
//! metadata (R109) are tested where there are processes: `std/tests/registry_conformance.rs`,
//! `names_are_free_before_death_is_known.rs`.

use bedplate_core::id::Pid;
use bedplate_core::registry::{RegisterError, RegisterManyError};
use core::num::NonZeroU32;
use loom_tests::subject::{Constant, Epoch, Fixed, LIMIT, Mix, Subject};

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// Runs a case on every registry.
macro_rules! cases {
    ($($(#[$attribute:meta])* fn $name:ident<S: Subject>($subject:ident: &S) $body:block)*) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $name() {
                fn case<S: Subject>($subject: &S) $body
                case(&Epoch::<Mix>::new());
                case(&Epoch::<Constant>::new());
                case(&Fixed::new());
            }
        )*
    };
}

cases! {
    /// R1: there are no partitions to configure, and no bottleneck that would ask for them. What they are for
    /// there, that owners are spread, shows in nothing but speed.
    fn r1_one_registry_is_one_whatever_its_owners<S: Subject>(subject: &S) {
        let mut owners: Vec<_> = (0..4).map(|slot| subject.owner(pid(slot))).collect();
        for (key, owner) in (0..).zip(&mut owners) {
            subject.register(owner, key, 0).expect("free");
        }
        assert_eq!(subject.len(), 4);
        assert_eq!(subject.list().len(), 4);
    }

    fn r2_an_empty_registry_counts_nothing<S: Subject>(subject: &S) {
        assert_eq!(subject.len(), 0);
        assert_eq!(subject.list(), []);
    }

    fn r4_registering_again_is_refused_and_changes_nothing<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        subject.register(&mut me, 1, 10).expect("free");
        let refused = subject.register(&mut me, 1, 11).expect_err("held");
        assert!(
            matches!(refused, RegisterError::AlreadyRegistered { holder, .. } if holder == pid(1))
        );
        assert_eq!(subject.own(&me), [(1, 10)]);
        assert_eq!(subject.lookup(1), Some((pid(1), 10)));
    }

    fn r5_one_owner_may_hold_several_keys<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        subject.register(&mut me, 1, 10).expect("free");
        subject.register(&mut me, 2, 20).expect("free");
        let mut own = subject.own(&me);
        own.sort_unstable();
        assert_eq!(own, [(1, 10), (2, 20)]);
    }

    /// R11: there is no pattern syntax, so no key can look like it; each touches only itself.
    fn r11_every_key_is_only_itself<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        for key in [0, 1, u8::MAX] {
            subject.register(&mut me, key, u32::from(key)).expect("free");
        }
        assert!(subject.unregister(&mut me, 0));
        assert_eq!(subject.lookup(0), None);
        assert_eq!(subject.len(), 2);
    }

    /// R13, R14, R40: unregister by a condition that does not hold, then by one that does.
    fn r13_unregister_by_condition<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        let mut other = subject.owner(pid(2));
        subject.register(&mut me, 1, 10).expect("free");
        subject.register(&mut me, 2, 20).expect("free");
        subject.register(&mut other, 3, 20).expect("free");
        assert_eq!(subject.unregister_if(&mut me, |_, value| value > 20), 0);
        assert_eq!(subject.len(), 3);
        assert_eq!(subject.unregister_if(&mut me, |_, value| value == 20), 1);
        assert_eq!(subject.lookup(2), None);
        assert_eq!(subject.lookup(3), Some((pid(2), 20)), "another's is not touched");
    }

    /// R8, R10, R29: matching is Rust's own: a wildcard is `_`, a repeated variable is `==`, a guard is `if`,
    /// and what is malformed does not compile.
    fn r8_r10_matching_and_guards<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        for (key, value) in [(1, 1), (2, 7), (7, 7), (8, 9)] {
            subject.register(&mut me, key, value).expect("free");
        }
        let matching = |wanted: fn(&(u8, Pid, u32)) -> bool| {
            let mut keys: Vec<_> = subject.list().into_iter().filter(wanted).map(|(key, ..)| key).collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(matching(|entry| matches!(entry, (_, _, 7))), [2, 7]);
        assert_eq!(matching(|&(key, _, value)| u32::from(key) == value), [1, 7]);
        assert_eq!(matching(|entry| matches!(entry, (_, _, value) if *value > 7)), [8]);
    }

    fn r16_updating_what_is_not_mine_calls_nothing<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        let mut other = subject.owner(pid(2));
        assert!(!subject.update(&mut me, 1, |_| panic!("nobody holds it")));
        subject.register(&mut other, 1, 10).expect("free");
        assert!(!subject.update(&mut me, 1, |_| panic!("it is another's"))); // R107
        assert_eq!(subject.lookup(1), Some((pid(2), 10)));
    }

    fn r17_updating_my_value_shows<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        let registration = subject.register(&mut me, 1, 1).expect("free");
        assert!(subject.update(&mut me, 1, |value| value + 1));
        assert_eq!(subject.lookup(1), Some((pid(1), 2)));
        assert!(subject.release(&mut me, registration), "it is still the same registration");
    }

    fn r20_after_unregistering_the_others_are_left<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        subject.register(&mut me, 1, 10).expect("free");
        subject.register(&mut me, 2, 20).expect("free");
        assert!(subject.unregister(&mut me, 1));
        assert_eq!(subject.own(&me), [(2, 20)]);
        assert!(subject.unregister(&mut me, 2));
        assert_eq!(subject.own(&me), []);
    }

    /// R28: selection is Rust's own.
    fn r28_selecting_by_key_owner_and_value<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        let mut other = subject.owner(pid(2));
        subject.register(&mut me, 1, 10).expect("free");
        subject.register(&mut me, 2, 20).expect("free");
        subject.register(&mut other, 3, 20).expect("free");
        let list = subject.list();
        let mut twenty: Vec<_> =
            list.iter().filter(|(.., value)| *value == 20).map(|(key, ..)| *key).collect();
        twenty.sort_unstable();
        assert_eq!(twenty, [2, 3]);
        assert_eq!(list.iter().filter(|(_, owner, _)| *owner == pid(1)).count(), 2);
    }

    fn r31_refusals_leave_nothing_behind<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        let mut other = subject.owner(pid(2));
        subject.register(&mut me, 1, 10).expect("free");
        for _ in 0..10_000 {
            assert!(subject.register(&mut me, 1, 11).is_err());
            assert!(subject.register(&mut other, 1, 12).is_err());
        }
        assert_eq!((subject.len(), subject.own(&other).len()), (1, 0));
    }

    fn r32_two_owners_die_and_nothing_is_left<S: Subject>(subject: &S) {
        let mut owners = [subject.owner(pid(1)), subject.owner(pid(2))];
        for (index, owner) in owners.iter_mut().enumerate() {
            for key in 0..3 {
                let key = key * 2 + u8::try_from(index).expect("small");
                subject.register(owner, key, 0).expect("free");
            }
        }
        assert_eq!(subject.len(), 6);
        drop(owners);
        assert_eq!((subject.len(), subject.list()), (0, vec![]));
    }

    fn r53_registered_is_found<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        subject.register(&mut me, 1, 10).expect("free");
        assert_eq!(subject.lookup(1), Some((pid(1), 10)));
    }

    /// R55: a taken name is refused by default; taking it over has a name of its own.
    fn r55_another_is_refused_but_may_take_over<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        let mut other = subject.owner(pid(2));
        let mine = subject.register(&mut me, 1, 10).expect("free");
        assert!(subject.register(&mut other, 1, 20).is_err());
        assert_eq!(subject.take_over(&mut other, 1, 20), Ok(Some((pid(1), 10))));
        assert_eq!(subject.lookup(1), Some((pid(2), 20)));
        // Nothing the former owner has reaches it.
        assert!(!subject.release(&mut me, mine) && !subject.unregister(&mut me, 1));
        assert!(!subject.update(&mut me, 1, |_| 0));
        drop(me);
        assert_eq!(subject.lookup(1), Some((pid(2), 20)));
    }

    fn r58_only_the_living_are_listed<S: Subject>(subject: &S) {
        let mut live = subject.owner(pid(1));
        let mut dead = subject.owner(pid(2));
        subject.register(&mut live, 1, 10).expect("free");
        subject.register(&mut dead, 2, 20).expect("free");
        drop(dead);
        assert_eq!(subject.list(), [(1, pid(1), 10)]);
    }

    /// R59, stricter: unregistering an unknown name is fine, and says that nothing was removed.
    fn r59_unregistering_the_unknown_says_so<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        assert!(!subject.unregister(&mut me, 1));
    }

    /// R61: an entry's value is replaced; of a name that is unknown, nothing.
    fn r61_updating_the_unknown_says_so<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        assert!(!subject.update(&mut me, 1, |_| panic!("there is none")));
        subject.register(&mut me, 1, 10).expect("free");
        assert!(subject.update(&mut me, 1, |_| 11));
        assert_eq!(subject.lookup(1), Some((pid(1), 11)));
    }

    /// R73, stricter: a transaction whose second step fails leaves everything as it was, and no reader sees its
    /// middle (that is shown by models, and by histories of real threads); nor does a crash in it.
    fn r73_a_batch_whose_second_key_is_held_leaves_everything_as_it_was<S: Subject>(subject: &S) {
        let (mut holder, mut me) = (subject.owner(pid(1)), subject.owner(pid(2)));
        subject.register(&mut holder, 2, 20).expect("free");
        subject.register(&mut me, 9, 90).expect("free");
        let pairs = vec![(1, 11), (2, 12), (3, 13)];
        let refused = subject.register_many(&mut me, pairs.clone()).expect_err("held");
        assert!(
            matches!(refused, RegisterManyError::AlreadyRegistered { at: 1, holder, .. } if holder == pid(1))
        );
        assert_eq!(refused.into_inner(), pairs, "all come back");
        assert_eq!([1, 2, 3].map(|key| subject.lookup(key)), [None, Some((pid(1), 20)), None]);
        assert_eq!(subject.own(&me), [(9, 90)]);
        assert_eq!(subject.len(), 2);
        // What is in the way once is not in the way for ever.
        assert!(subject.unregister(&mut holder, 2));
        assert_eq!(subject.register_many(&mut me, pairs).map(|made| made.len()).ok(), Some(3));
        assert_eq!(subject.len(), 4);
    }

    /// R89: register all, or none, for whatever reason; what was registered together goes together with its
    /// owner, or one by one, since each is a registration like others.
    fn r89_several_names_are_registered_all_or_none<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        assert_eq!(subject.register_many(&mut me, vec![]).map(|made| made.len()).ok(), Some(0));
        let twice = subject.register_many(&mut me, vec![(1, 1), (2, 2), (1, 3)]).expect_err("twice");
        assert!(matches!(twice, RegisterManyError::Repeated { at: 2, .. }));
        assert_eq!(subject.len(), 0);
        let made = subject.register_many(&mut me, vec![(1, 11), (2, 12), (3, 13)]).expect("free");
        for (at, key) in (1..=3).enumerate() {
            assert_eq!(made[at].owner(), pid(1));
            assert_eq!(subject.lookup(key), Some((pid(1), 10 + u32::from(key))));
        }
        // There are three, and there may be eight.
        let more = (10..13).map(|key| (key, 0)).collect();
        assert!(subject.register_many(&mut me, more).is_ok());
        let too_many: Vec<_> = (20..23).map(|key| (key, 0)).collect();
        let full = subject.register_many(&mut me, too_many.clone()).expect_err("full");
        assert!(matches!(full, RegisterManyError::Full { limit: LIMIT, .. }));
        assert_eq!(full.into_inner(), too_many);
        assert_eq!(subject.len(), 6);
        // A key that is held is refused for that, also where there is no room.
        let held = subject.register_many(&mut me, vec![(20, 0), (21, 0), (1, 0)]).expect_err("held");
        assert!(matches!(held, RegisterManyError::AlreadyRegistered { at: 2, .. }));
        assert!(subject.release(&mut me, made[1]));
        assert!(!subject.release(&mut me, made[1]));
        assert_eq!(subject.unregister_if(&mut me, |key, _| key < 10), 2);
        drop(me);
        assert_eq!(subject.len(), 0);
    }

    /// R77: to have a name with a value, whether one had it or not, is to take it over, from oneself if need
    /// be; what was there before tells which it was.
    fn r77_ensure_registered<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        assert_eq!(subject.take_over_if(&mut me, 1, 10, |holder, _| holder == pid(1)), Ok(None));
        let again = subject.take_over_if(&mut me, 1, 11, |holder, _| holder == pid(1));
        assert_eq!(again, Ok(Some((pid(1), 10))));
        assert_eq!((subject.own(&me), subject.len()), (vec![(1, 11)], 1));
        let mut other = subject.owner(pid(2));
        assert!(subject.take_over_if(&mut other, 1, 20, |holder, _| holder == pid(2)).is_err());
        assert_eq!(subject.lookup(1), Some((pid(1), 11)));
    }

    /// R80: who comes first registers whom it has started; the others locate that one, and stop theirs.
    fn r80_register_another_or_locate<S: Subject>(subject: &S) {
        let mut started = subject.owner(pid(7));
        assert_eq!(subject.get_or_register(&mut started, 1, 10), Ok((pid(7), 10)));
        let mut superfluous = subject.owner(pid(8));
        assert_eq!(subject.get_or_register(&mut superfluous, 1, 10), Ok((pid(7), 10)));
        drop(superfluous);
        assert_eq!(subject.lookup(1), Some((pid(7), 10)));
    }

    /// R92: there is nothing to suspend: cleaning up is part of dying, so with and without a check of who
    /// lives, no dead entry is listed. R104: nor is there a server that could be killed.
    fn r92_r104_no_dead_entry_is_ever_listed<S: Subject>(subject: &S) {
        for round in 0..100 {
            let mut dead = subject.owner(pid(round));
            for key in 0..4 {
                subject.register(&mut dead, key, round).expect("free");
            }
            assert_eq!(subject.list().len(), 4);
            drop(dead);
            assert_eq!(subject.list(), []);
        }
    }

    fn r79_register_or_locate<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        let mut other = subject.owner(pid(2));
        assert_eq!(subject.get_or_register(&mut me, 1, 10), Ok((pid(1), 10)));
        assert_eq!(subject.get_or_register(&mut other, 1, 20), Ok((pid(1), 10)));
        assert_eq!(subject.own(&other), []);
    }

    /// R91: to another it goes, with its value; to oneself is excluded by the borrow checker, and there is
    /// no owner that is unknown.
    fn r91_giving_away<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        let mut other = subject.owner(pid(2));
        assert!(subject.give_away(&mut me, 1, &mut other).is_err());
        let old = subject.register(&mut me, 1, 10).expect("free");
        assert!(subject.give_away(&mut other, 1, &mut me).is_err());
        let new = subject.give_away(&mut me, 1, &mut other).expect("held");
        assert_eq!(subject.lookup(1), Some((pid(2), 10)));
        assert_eq!((new.owner(), subject.own(&me)), (pid(2), vec![]));
        assert!(!subject.release(&mut me, old), "the old registration is over");
        // … and back again.
        subject.give_away(&mut other, 1, &mut me).expect("held");
        assert!(!subject.release(&mut other, new));
        drop(other);
        assert_eq!(subject.lookup(1), Some((pid(1), 10)));
        assert_eq!((subject.len(), subject.own(&me)), (1, vec![(1, 10)]));
    }

    /// Who is known to be dead may be robbed, and nobody else.
    fn a_name_is_taken_over_from_the_dead_only<S: Subject>(subject: &S) {
        let mut dead = subject.owner(pid(1));
        let mut live = subject.owner(pid(2));
        let mut me = subject.owner(pid(3));
        subject.register(&mut dead, 1, 10).expect("free");
        subject.register(&mut live, 2, 20).expect("free");
        let is_dead = |holder, _| holder == pid(1);
        assert_eq!(subject.take_over_if(&mut me, 1, 11, is_dead), Ok(Some((pid(1), 10))));
        let refused = subject.take_over_if(&mut me, 2, 21, is_dead).expect_err("alive");
        assert!(
            matches!(refused, RegisterError::AlreadyRegistered { holder, key: 2, value: 21 } if holder == pid(2))
        );
        let free = subject.take_over_if(&mut me, 3, 31, |_, _| panic!("nobody holds it"));
        assert_eq!(free, Ok(None));
        let mut list = subject.list();
        list.sort_unstable();
        assert_eq!(list, [(1, pid(3), 11), (2, pid(2), 20), (3, pid(3), 31)]);
    }

    /// R103, as far as it applies: a taken name is refused, an unknown one is not removed. A dead
    /// process cannot register, for its owner is gone; there are no scopes.
    fn r103_taken_and_unknown<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        subject.register(&mut me, 1, 10).expect("free");
        let mut other = subject.owner(pid(2));
        assert!(subject.register(&mut other, 1, 20).is_err());
        assert!(!subject.unregister(&mut other, 2));
    }

    /// R106: two owners end up with one name only by a take-over; the loser's other names stay, and
    /// do not linger behind its death.
    fn r106_the_loser_keeps_its_other_names_while_it_lives<S: Subject>(subject: &S) {
        let mut loser = subject.owner(pid(1));
        let mut winner = subject.owner(pid(2));
        subject.register(&mut loser, 1, 10).expect("free");
        subject.register(&mut loser, 2, 11).expect("free");
        subject.take_over(&mut winner, 1, 20).expect("room");
        assert_eq!(subject.own(&loser), [(2, 11)]);
        drop(loser);
        assert_eq!(subject.list(), [(1, pid(2), 20)]);
    }

    fn a_full_registry_refuses_the_new_but_not_the_known<S: Subject>(subject: &S) {
        let mut me = subject.owner(pid(1));
        for key in 0..8 {
            subject.register(&mut me, key, 0).expect("room");
        }
        assert_eq!(subject.len(), LIMIT);
        let full = subject.register(&mut me, 8, 1).expect_err("full");
        assert!(matches!(full, RegisterError::Full { limit: LIMIT, key: 8, value: 1 }), "{full}");
        assert!(subject.take_over(&mut me, 8, 1).is_err());
        assert!(subject.get_or_register(&mut me, 8, 1).is_err());
        assert_eq!(subject.take_over(&mut me, 7, 1), Ok(Some((pid(1), 0))));
        assert_eq!(subject.get_or_register(&mut me, 7, 2), Ok((pid(1), 1)));
        assert!(subject.unregister(&mut me, 0));
        subject.register(&mut me, 8, 1).expect("room again");
    }

    fn names_fought_over_for_long_leave_nothing_behind<S: Subject>(subject: &S) {
        let mut owners = [subject.owner(pid(1)), subject.owner(pid(2))];
        for round in 0..10_000 {
            let owner = &mut owners[(round % 2) as usize];
            subject.take_over(owner, 1, round).expect("room");
        }
        assert_eq!(subject.own(&owners[0]), []);
        assert_eq!(subject.own(&owners[1]), [(1, 9_999)]);
        assert_eq!(subject.len(), 1);
    }
}
