//! §1.2: what a variable is, where it can be made, what it holds before it is written, and that
//! values of every kind come back as they went in.

mod common;

use std::cell::RefCell;
use std::fmt::Debug;
use std::num::NonZeroU8;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use common::elsewhere;
use tvar::{Space, TVar, atomically};

#[test]
fn s1_2_clones_of_a_handle_are_the_same_variable() {
    let var = TVar::new(1);
    let same = var.clone();
    let other = TVar::new(1);
    assert!(var.ptr_eq(&same) && !var.ptr_eq(&other));
    same.store(2);
    assert_eq!((var.load(), other.load()), (2, 1));
    let seen = atomically(|tx| {
        tx.write(&var, 3);
        Ok(*tx.read(&same))
    });
    assert_eq!(seen, 3);
    drop(var);
    assert_eq!(same.load(), 3);
}

#[test]
fn s1_2_constructors_and_names() {
    let space = Space::new();
    assert_eq!(TVar::<String>::default().load(), "");
    assert_eq!(TVar::from(4).load(), 4);
    assert_eq!(TVar::new(0).name(), None);
    assert_eq!(TVar::named("stock", 0).name(), Some("stock"));
    let named = TVar::named_in(&space, "balance", 8);
    assert_eq!(named.name(), Some("balance"));
    assert_eq!(named.clone().name(), Some("balance"));
    assert!(named.space().ptr_eq(&space));
    let text = format!("{named:?}");
    assert!(text.contains("balance") && text.contains('8'), "{text}");
}

#[test]
fn s1_2_new_publishes_no_root() {
    let space = Space::new();
    let (version, older) = (space.version(), space.snapshot());
    let vars: Vec<_> = (0..10_000).map(|n| TVar::new_in(&space, n)).collect();
    assert_eq!(space.version(), version);
    assert_eq!(space.stats().commits, 0);
    assert!(older.diff(&space.snapshot()).is_empty());
    assert!((0..).zip(&vars).all(|(n, var)| *older.read(var) == n));
}

/// Not even the growth of the tree for the new slots makes a transaction conflict.
#[test]
fn s1_2_new_never_conflicts() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let mut runs = 0;
    let made = space.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&var);
        let made: Vec<_> = elsewhere(|| (0..5_000).map(|n| TVar::new_in(&space, n)).collect());
        // Writing the last of them elsewhere makes the tree deeper under this attempt.
        elsewhere(|| made[4_999].store(7));
        tx.write(&var, n + 1);
        Ok(made)
    });
    assert_eq!(runs, 1);
    assert_eq!((var.load(), made[0].load(), made[4_999].load()), (1, 0, 7));
}

#[test]
fn s1_2_a_variable_made_in_a_transaction_is_a_variable() {
    let space = Space::new();
    let head = TVar::new_in(&space, None);
    space.atomically(|tx| {
        let inner = TVar::new_in(&space, String::from("initial"));
        assert_eq!(tx.read(&inner), "initial");
        tx.modify(&inner, |text| text.clone() + ", written");
        assert_eq!(tx.read(&inner), "initial, written");
        tx.write(&head, Some(inner));
        Ok(())
    });
    let inner = head.load().expect("the link");
    assert_eq!(elsewhere(|| inner.load()), "initial, written");
}

#[test]
fn s1_2_a_variable_made_in_an_aborted_transaction_holds_its_initial_value() {
    let space = Space::new();
    let escaped = RefCell::new(None);
    let result: Result<(), &str> = space.try_atomically(|tx| {
        let number = TVar::new_in(&space, 7);
        let text = TVar::new_in(&space, String::from("initial"));
        tx.write(&number, 8);
        tx.write(&text, String::from("written"));
        *escaped.borrow_mut() = Some((number, text));
        tx.abort("no")
    });
    assert_eq!(result, Err("no"));
    let (number, text) = escaped.into_inner().expect("the handles");
    assert_eq!((number.load(), text.load()), (7, "initial".into()));
    number.store(9);
    assert_eq!(number.load(), 9);
}

#[test]
fn s1_2_a_variable_made_in_an_attempt_that_re_ran_holds_its_initial_value() {
    let space = Space::new();
    let contended = TVar::new_in(&space, 0);
    let made = RefCell::new(Vec::new());
    space.atomically(|tx| {
        let var = TVar::new_in(&space, 10);
        tx.write(&var, 11);
        made.borrow_mut().push(var);
        let n = *tx.read(&contended);
        if made.borrow().len() == 1 {
            elsewhere(|| contended.store(5));
        }
        tx.write(&contended, n + 1);
        Ok(())
    });
    let made: Vec<_> = made.into_inner().iter().map(TVar::load).collect();
    assert_eq!(made, [10, 11]);
    assert_eq!(contended.load(), 6);
}

static COUNTER: LazyLock<TVar<i64>> = LazyLock::new(|| TVar::new(5));

#[test]
fn s1_2_a_variable_in_a_static() {
    elsewhere(|| COUNTER.update(|n| n + 1));
    let seen = atomically(|tx| {
        tx.modify(&COUNTER, |n| n + 1);
        Ok(*tx.read(&COUNTER))
    });
    assert_eq!((seen, COUNTER.load()), (7, 7));
}

#[test]
fn s1_2_a_static_first_touched_in_a_transaction_that_aborts() {
    static LATE: LazyLock<TVar<String>> = LazyLock::new(|| TVar::new("initial".into()));
    let result: Result<(), ()> = tvar::try_atomically(|tx| {
        tx.write(&LATE, "written".into());
        tx.abort(())
    });
    assert_eq!(result, Err(()));
    assert_eq!(LATE.load(), "initial");
    LATE.store("stored".into());
    assert_eq!(elsewhere(|| LATE.load()), "stored");
}

/// A variable that no transaction has written holds its initial value in every snapshot, and an
/// older snapshot keeps showing it when the variable has been written since.
#[test]
fn s1_2_the_initial_value_shows_in_older_snapshots_too() {
    let space = Space::new();
    let neighbour = TVar::new_in(&space, 0);
    let oldest = space.snapshot();
    neighbour.store(1);
    let older = space.snapshot();
    let number = TVar::new_in(&space, 1_u64);
    let text = TVar::new_in(&space, String::from("initial"));
    for snapshot in [&oldest, &older, &space.snapshot()] {
        assert_eq!((*snapshot.read(&number), &**snapshot.read(&text)), (1, "initial"));
    }
    number.store(2);
    text.store("written".into());
    for snapshot in [&oldest, &older] {
        assert_eq!((*snapshot.read(&number), &**snapshot.read(&text)), (1, "initial"));
    }
    let newest = space.snapshot();
    assert_eq!((*newest.read(&number), &**newest.read(&text)), (2, "written"));
}

/// Slots far beyond the size that the tree had when the snapshot was taken.
#[test]
fn s1_2_older_snapshots_know_variables_of_a_tree_that_grew_later() {
    let space = Space::new();
    let first = TVar::new_in(&space, 0);
    let old = space.snapshot();
    let vars: Vec<_> = (0..40_000).map(|n| TVar::new_in(&space, n)).collect();
    for var in vars.iter().rev().step_by(97) {
        var.update(|n| n + 1_000_000);
    }
    assert!((0..).zip(&vars).all(|(n, var)| *old.read(var) == n));
    first.store(1);
    assert_eq!(*old.read(&first), 0);
    let new = space.snapshot();
    for (n, var) in (0..).zip(&vars) {
        let written = (39_999 - n) % 97 == 0;
        assert_eq!(*new.read(var), if written { n + 1_000_000 } else { n });
    }
}

/// Every way of reading and writing, beside neighbours of the same type.
fn round_trip<T: Clone + PartialEq + Debug + Send + Sync + 'static>(a: T, b: T) {
    let space = Space::new();
    let vars: Vec<_> = (0..70).map(|_| TVar::new_in(&space, a.clone())).collect();
    let var = &vars[33];
    let old = space.snapshot();
    assert_eq!(old.read(var), &a);
    assert_eq!(space.atomically(|tx| Ok(tx.read(var).clone())), a);
    space.atomically(|tx| {
        let before = tx.read(var);
        tx.write(var, b.clone());
        assert_eq!((before, tx.read(var)), (&a, &b));
        Ok(())
    });
    assert_eq!(var.load(), b);
    assert_eq!(elsewhere(|| var.load()), b);
    let middle = space.snapshot();
    space.atomically(|tx| {
        let replaced = tx.replace(var, a.clone());
        assert_eq!(replaced, &b);
        tx.modify(var, |value| {
            assert_eq!(value, &a);
            b.clone()
        });
        tx.modify(var, |value| {
            assert_eq!(value, &b);
            a.clone()
        });
        Ok(())
    });
    assert_eq!((old.read(var), middle.read(var), &var.load()), (&a, &b, &a));
    let mut neighbours = vars.iter().filter(|other| !other.ptr_eq(var));
    assert!(neighbours.all(|other| other.load() == a));
}

#[derive(Clone, PartialEq, Debug)]
struct Padded(u8, u64, u8);

#[derive(Clone, PartialEq, Debug)]
#[repr(align(1024))]
struct Aligned(u8);

#[derive(Clone, PartialEq, Debug)]
enum Shape {
    Nothing,
    Text(String),
    Pair { left: u8, right: Box<[u16]> },
}

#[test]
fn s1_2_plain_values_of_every_kind() {
    round_trip(i8::MIN, i8::MAX);
    round_trip(i16::MIN, i16::MAX);
    round_trip(i32::MIN, i32::MAX);
    round_trip(i64::MIN, i64::MAX);
    round_trip(i128::MIN, i128::MAX);
    round_trip(isize::MIN, isize::MAX);
    round_trip(0_u8, u8::MAX);
    round_trip(0_u16, u16::MAX);
    round_trip(0_u32, u32::MAX);
    round_trip(0_u64, u64::MAX);
    round_trip(1_u128 << 100 | 5, u128::MAX - 1);
    round_trip(0_usize, usize::MAX);
    round_trip(0.5_f32, f32::INFINITY);
    round_trip(-1.25e300_f64, f64::MIN_POSITIVE);
    round_trip(false, true);
    round_trip('a', '\u{10FFFF}');
    round_trip((), ());
}

#[test]
fn s1_2_compound_values_of_every_kind() {
    round_trip(String::from("a"), "b".repeat(5_000));
    round_trip(None, Some(Box::new(5)));
    round_trip(Some(Box::new(5)), None);
    round_trip(NonZeroU8::new(1), None);
    round_trip(Padded(1, 2, 3), Padded(4, 5, 6));
    round_trip(Aligned(1), Aligned(2));
    round_trip([1_u64; 4096], [u64::MAX; 4096]);
    round_trip("static", "text");
    round_trip((1_u8, 2_u16), (3, 4));
    round_trip([(); 3], [(); 3]);
    round_trip(Arc::new(5), Arc::new(6));
    round_trip(Shape::Text("t".into()), Shape::Pair { left: 1, right: [2, 3].into() });
    round_trip(Shape::Nothing, Shape::Text(String::new()));
    round_trip(usize::wrapping_add as fn(usize, usize) -> usize, usize::wrapping_mul);
}

#[test]
fn s1_2_floats_come_back_bit_by_bit() {
    let space = Space::new();
    let wide = [f64::NAN.to_bits(), 0x7ff0_0000_dead_beef, 0xfff8_0000_0000_0001, (-0.0_f64).to_bits(), 0, 1];
    for bits in wide {
        let var = TVar::new_in(&space, f64::from_bits(bits));
        assert_eq!(var.load().to_bits(), bits);
        var.store(1.0);
        var.store(f64::from_bits(bits));
        assert_eq!(var.load().to_bits(), bits);
        assert_eq!(space.snapshot().read(&var).to_bits(), bits);
    }
    for bits in [f32::NAN.to_bits(), 0x7f80_beef, (-0.0_f32).to_bits()] {
        let var = TVar::new_in(&space, 1.0);
        var.store(f32::from_bits(bits));
        assert_eq!(var.load().to_bits(), bits);
    }
    // Equal for `==`, different in bits: a change.
    let zero = TVar::new_in(&space, 0.0_f64);
    zero.store(1.0);
    zero.store(0.0);
    let older = space.snapshot();
    zero.store(-0.0);
    assert!(zero.load().is_sign_negative());
    assert!(older.diff(&space.snapshot()).changed(&zero));
}

#[test]
fn s1_2_alignment_is_kept() {
    fn assert_aligned(value: &Aligned) {
        assert_eq!(std::ptr::from_ref(value).addr() % 1024, 0);
    }
    let var = TVar::new(Aligned(1));
    atomically(|tx| {
        assert_aligned(tx.read(&var));
        tx.write(&var, Aligned(2));
        assert_aligned(tx.read(&var));
        tx.modify(&var, |value| {
            assert_aligned(value);
            Aligned(value.0 + 1)
        });
        assert_aligned(tx.read(&var));
        Ok(())
    });
    let snapshot = Space::global().snapshot();
    assert_aligned(snapshot.read(&var));
    assert_eq!(snapshot.read(&var).0, 3);
}

#[test]
fn s1_2_zero_sized_values_run_their_destructors() {
    static LIVE: AtomicU64 = AtomicU64::new(0);
    struct Empty;
    impl Empty {
        fn new() -> Self {
            LIVE.fetch_add(1, Ordering::SeqCst);
            Self
        }
    }
    impl Drop for Empty {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let space = Space::new();
    let vars: Vec<_> = (0..10).map(|_| TVar::new_in(&space, Empty::new())).collect();
    for _ in 0..100 {
        space.atomically(|tx| {
            vars.iter().for_each(|var| tx.write(var, Empty::new()));
            Ok(())
        });
    }
    let tick = TVar::new_in(&space, 0);
    tick.store(1);
    assert_eq!(LIVE.load(Ordering::SeqCst), 10);
    let old = space.snapshot();
    vars[0].store(Empty::new());
    tick.store(2);
    assert_eq!(LIVE.load(Ordering::SeqCst), 11);
    drop((old, vars, tick, space));
    assert_eq!(LIVE.load(Ordering::SeqCst), 0);
}

/// Not an inline copy: every reader, older and newer, sees one and the same atomic.
#[test]
fn s1_2_an_atomic_in_a_variable_is_one_atomic() {
    let space = Space::new();
    let vars: Vec<_> = (0..40).map(|_| TVar::new_in(&space, AtomicU64::new(0))).collect();
    let plain = TVar::new_in(&space, 0_u64);
    for written in [false, true] {
        let var = &vars[17];
        if written {
            var.store(AtomicU64::new(0));
        }
        let older = space.snapshot();
        let add = || {
            space.atomically(|tx| {
                tx.read(var).fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
        };
        add();
        // Commits that copy the leaf around it.
        plain.update(|n| n + 1);
        for (n, neighbour) in (0..).zip(&vars).filter(|(n, _)| *n != 17) {
            neighbour.store(AtomicU64::new(n + u64::from(written)));
        }
        elsewhere(add);
        let newer = space.snapshot();
        newer.read(var).fetch_add(1, Ordering::SeqCst);
        assert!(std::ptr::eq(older.read(var), newer.read(var)));
        assert_eq!(older.read(var).load(Ordering::SeqCst), 3);
        assert!(!older.diff(&newer).changed(var));
    }
}

#[test]
fn s1_2_values_need_no_clone() {
    struct Solitary(Box<i64>);
    let var = TVar::new(Solitary(Box::new(1)));
    let seen = atomically(|tx| {
        tx.modify(&var, |old| Solitary(Box::new(*old.0 + 1)));
        let old = tx.replace(&var, Solitary(Box::new(10)));
        Ok(*old.0 + *tx.read(&var).0)
    });
    assert_eq!(seen, 12);
    let lock = TVar::new(Mutex::new(1));
    atomically(|tx| {
        *tx.read(&lock).lock().expect("not poisoned") += 1;
        Ok(())
    });
    let snapshot = Space::global().snapshot();
    assert_eq!(*snapshot.read(&lock).lock().expect("not poisoned"), 2);
    // Handles are `Clone` even so.
    assert_eq!(*atomically(|tx| Ok(tx.read(&var.clone()).0.clone())), 10);
}

#[test]
fn s1_2_trait_objects_and_closures() {
    type Function = Box<dyn Fn(i64) -> i64 + Send + Sync>;
    let var: TVar<Function> = TVar::new(Box::new(|n| n + 1));
    let call = |n| atomically(|tx| Ok(tx.read(&var)(n)));
    assert_eq!(call(1), 2);
    let factor = 10;
    var.store(Box::new(move |n| n * factor));
    assert_eq!(call(4), 40);
}

/// Types of all kinds side by side in one leaf, written together and one by one.
#[test]
fn s1_2_variables_of_many_types_do_not_disturb_each_other() {
    let space = Space::new();
    let bytes: Vec<_> = (0..20).map(|n| TVar::new_in(&space, n)).collect();
    let text = TVar::new_in(&space, String::from("t"));
    let flag = TVar::new_in(&space, false);
    let wide = TVar::new_in(&space, 1_u128);
    let unit = TVar::new_in(&space, ());
    let boxed = TVar::new_in(&space, Some(Box::new(5)));
    let float = TVar::new_in(&space, 1.5_f32);
    let shared = TVar::new_in(&space, Arc::new(3));
    for round in 1..=20_u8 {
        let old = space.snapshot();
        space.atomically(|tx| {
            tx.modify(&bytes[usize::from(round) % 20], |n: &u8| n + 1);
            tx.modify(&text, |text| format!("{text}{round}"));
            tx.modify(&flag, |flag| !flag);
            tx.modify(&wide, |wide| wide * 3);
            tx.write(&unit, ());
            tx.modify(&boxed, |boxed| boxed.is_none().then(|| Box::new(5)));
            tx.modify(&float, |float| float + 1.0);
            tx.modify(&shared, |shared| Arc::new(**shared + 1));
            Ok(())
        });
        assert_eq!(*old.read(&flag), round % 2 == 0);
        assert_eq!(*old.read(&wide), 3_u128.pow(u32::from(round) - 1));
    }
    assert!((0..).zip(&bytes).all(|(n, byte)| byte.load() == n + 1));
    assert_eq!(text.load().len(), 1 + 9 + 2 * 11);
    assert_eq!((flag.load(), wide.load()), (false, 3_u128.pow(20)));
    assert_eq!((boxed.load(), float.load()), (Some(Box::new(5)), 21.5));
    assert_eq!(*shared.load(), 23);
}

/// The closure stays on its thread.
#[test]
fn s1_2_closures_may_hold_what_is_not_send() {
    let local = Rc::new(5);
    let var = TVar::new(0);
    atomically(|tx| {
        tx.write(&var, *local);
        Ok(())
    });
    assert_eq!(var.load(), 5);
}
