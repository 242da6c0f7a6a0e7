//! Guards may go in any order: what is still held stays in force, and all is restored in the end.

use core::mem;

use bedplate::context::{self, Context, Key};

static A: Key<u32> = Key::new("a");

fn holding(value: u32) -> Context {
    Context::empty().with_value(&A, value)
}

#[test]
fn the_older_guard_first() {
    let older = holding(1).attach();
    let newer = holding(2).attach();
    drop(older);
    assert_eq!(context::get(&A), Some(2));
    drop(newer);
    assert_eq!(context::get(&A), None);
}

#[test]
fn the_middle_guards_first() {
    let first = holding(1).attach();
    let second = holding(2).attach();
    let third = holding(3).attach();
    let fourth = holding(4).attach();
    drop(second);
    drop(third);
    assert_eq!(context::get(&A), Some(4));
    drop(fourth);
    assert_eq!(context::get(&A), Some(1));
    let fifth = holding(5).attach();
    drop(first);
    assert_eq!(context::get(&A), Some(5));
    drop(fifth);
    assert_eq!(context::get(&A), None);
}

#[test]
fn a_guard_from_outside_dropped_inside_a_scope() {
    let guard = holding(1).attach();
    context::with(&A, 2, || {
        drop(guard);
        assert_eq!(context::get(&A), Some(2));
        let inner = holding(3).attach();
        assert_eq!(context::get(&A), Some(3));
        drop(inner);
        assert_eq!(context::get(&A), Some(2));
    });
    assert_eq!(context::get(&A), None);
}

#[test]
fn a_guard_that_outlives_its_scope_is_void() {
    let escaped = context::with(&A, 1, || holding(2).attach());
    assert_eq!(context::get(&A), None);
    let other = holding(3).attach();
    drop(escaped);
    assert_eq!(context::get(&A), Some(3));
    drop(other);
    assert_eq!(context::get(&A), None);
}

#[test]
fn a_forgotten_guard_ends_with_its_scope() {
    context::with(&A, 1, || {
        context::with(&A, 2, || mem::forget(holding(3).attach()));
        assert_eq!(context::get(&A), Some(1));
    });
    assert_eq!(context::get(&A), None);
}
