//! The store on its own: pins, vacuum, slots, undo. Small enough for Miri, which checks the `unsafe` code under them.

use super::*;
use crate::sync::plain::{AtomicU64 as Counter, Ordering as CountOrdering};

/// A boxed value that counts its life.
struct Counted(Arc<Counter>, u64);

impl Counted {
    fn new(live: &Arc<Counter>, value: u64) -> Counted {
        // ORDERING: Relaxed: a count that is looked at when the threads have been joined.
        live.fetch_add(1, CountOrdering::Relaxed);
        Counted(live.clone(), value)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // ORDERING: Relaxed: as above.
        self.0.fetch_sub(1, CountOrdering::Relaxed);
    }
}

fn count(live: &Counter) -> u64 {
    // ORDERING: Relaxed: as above.
    live.load(CountOrdering::Relaxed)
}

/// Commits what `f` writes, whatever others have committed meanwhile.
fn commit(store: &Arc<Store>, f: impl Fn(&Workspace<'_>)) {
    let mut ws = Workspace::begin(store);
    f(&ws);
    loop {
        ws.choose_base();
        assert!(ws.evaluate().is_ok());
        match ws.publish(false) {
            Published::Lost => ws.discard_evaluation(),
            Published::Unchanged => {
                ws.discard_evaluation();
                break;
            }
            Published::Yes => break,
        }
    }
    ws.deliver();
    finish(ws);
}

/// Ends the attempt and gives the record back.
fn finish(mut ws: Workspace<'_>) {
    ws.end();
    ws.dispose();
    ws.leave();
}

#[test]
fn a_replaced_value_lives_as_long_as_a_snapshot_that_reaches_it() {
    let (store, live) = (Store::new(None), Arc::new(Counter::new(0)));
    let var = Var::new(&store, None, Counted::new(&live, 0));
    let first = KeptSnapshot::take(&store);
    commit(&store, |ws| ws.write(&var, Counted::new(&live, 1)));
    let second = KeptSnapshot::take(&store);
    for n in 2..10 {
        commit(&store, |ws| ws.write(&var, Counted::new(&live, n)));
    }
    assert_eq!(count(&live), 3, "one for each snapshot and the newest");
    assert_eq!((first.read(&var).1, second.read(&var).1), (0, 1));
    assert_eq!(first.diff(&second).len(), 1);
    drop(first);
    assert_eq!(count(&live), 2);
    drop(second);
    assert_eq!(count(&live), 1);
    drop(var);
    assert_eq!(count(&live), 0);
}

#[test]
fn the_tree_grows_and_old_versions_stay_readable() {
    let store = Store::new(None);
    let vars: Vec<_> = (0..70 * FAN as u64).map(|n| Var::new(&store, None, n)).collect();
    commit(&store, |ws| ws.write(&vars[0], 1000));
    let low = KeptSnapshot::take(&store);
    commit(&store, |ws| ws.write(&vars[69 * FAN], 1001));
    let high = KeptSnapshot::take(&store);
    assert_eq!((*low.read(&vars[0]), *low.read(&vars[69 * FAN])), (1000, 69 * FAN as u64));
    assert_eq!((*high.read(&vars[0]), *high.read(&vars[69 * FAN])), (1000, 1001));
    let changed: Vec<_> = low.diff(&high).iter().map(|(slot, _, _)| *slot).collect();
    assert_eq!(changed, [vars[69 * FAN].slot()]);
    assert!(high.diff(&high).is_empty());
}

/// A tree of this height has so many levels above its leaves, and each node so many children.
#[test]
fn a_tree_holds_what_its_height_allows() {
    assert_eq!([0, 1, 2, 3, 4].map(node::capacity), [2, 3, 4, 5, 6].map(|levels| (FAN as u64).pow(levels)));
}

#[test]
fn a_part_is_undone_with_its_values_and_lent_references_stay() {
    let (store, live) = (Store::new(None), Arc::new(Counter::new(0)));
    let (kept, undone) = (Var::new(&store, None, Counted::new(&live, 0)), Var::new(&store, None, 0u64));
    commit(&store, |ws| {
        ws.write(&kept, Counted::new(&live, 1));
        let Own::Value(lent) = ws.own(&kept) else { panic!("written") };
        let mark = ws.mark();
        ws.write(&kept, Counted::new(&live, 2));
        ws.write(&undone, 7);
        ws.undo(mark);
        assert!(!ws.has_own(undone.slot()));
        let inner = ws.mark();
        ws.write(&kept, Counted::new(&live, 3));
        ws.keep(inner);
        assert_eq!(lent.1, 1);
        ws.modify_own(&kept, |old| Counted::new(&live, old.1 + 1));
    });
    assert_eq!(KeptSnapshot::take(&store).read(&kept).1, 4);
    assert_eq!(count(&live), 1);
}

#[test]
fn merges_apply_to_the_newest_value_and_report_it() {
    let store = Store::new(None);
    let text = Var::new(&store, None, String::from("a"));
    let mut outbox = None;
    let mut ws = Workspace::begin(&store);
    ws.merge(&text, |t| format!("{t}b"));
    ws.merge(&text, |t| format!("{t}c"));
    outbox.replace(ws.then(&text, |t| t.len()));
    commit(&store, |ws| ws.write(&text, String::from("xyz")));
    assert_eq!(ws.choose_base(), Base::Newer);
    assert!(ws.evaluate().is_ok());
    assert_eq!(ws.publish(true), Published::Yes);
    ws.set_told();
    ws.deliver();
    finish(ws);
    assert_eq!(KeptSnapshot::take(&store).read(&text), "xyzbc");
    assert_eq!(outbox.and_then(|outbox| outbox.with(Option::take)), Some(5));
}

#[test]
fn slots_are_reused_with_other_types_and_old_snapshots_see_initial_values() {
    let store = Store::new(None);
    let old = KeptSnapshot::take(&store);
    let mut numbers = 0;
    for round in 0..200u64 {
        let text = Var::new(&store, None, String::from("initial"));
        let number = Var::new(&store, None, round);
        commit(&store, |ws| {
            ws.write(&text, format!("written {round}"));
            ws.write(&number, round + 1);
        });
        assert_eq!((old.read(&text).as_str(), *old.read(&number)), ("initial", round));
        numbers = numbers.max(text.slot()).max(number.slot());
    }
    assert!(numbers < 10 * FAN as u32, "400 variables, two at a time, fit into a few leaves: {numbers}");
}

#[test]
fn a_chain_of_variables_goes_at_once() {
    let (store, live) = (Store::new(None), Arc::new(Counter::new(0)));
    struct Link(#[allow(dead_code, reason = "kept for its drop")] Option<Var<Link>>, #[allow(dead_code)] Counted);
    let mut head = Var::new(&store, None, Link(None, Counted::new(&live, 0)));
    for n in 0..if cfg!(miri) { 50 } else { 20_000 } {
        let next = Var::new(&store, None, Link(None, Counted::new(&live, n)));
        commit(&store, |ws| ws.write(&next, Link(Some(head.clone()), Counted::new(&live, n))));
        head = next;
    }
    drop(head);
    assert_eq!(count(&live), 0);
}

#[test]
fn threads_commit_exit_and_leave_nothing() {
    let (store, live) = (Store::new(None), Arc::new(Counter::new(0)));
    let total = Var::new(&store, None, 0u64);
    let boxed = Var::new(&store, None, Counted::new(&live, 0));
    let rounds = if cfg!(miri) { 20 } else { 2_000 };
    std::thread::scope(|s| {
        let work = || {
            for n in 0..rounds {
                commit(&store, |ws| ws.merge(&total, |n| n + 1));
                commit(&store, |ws| ws.write(&boxed, Counted::new(&live, n)));
                let snapshot = KeptSnapshot::take(&store);
                assert!(*snapshot.read(&total) > 0 && snapshot.read(&boxed).1 < rounds);
                drop(Var::new(&store, None, n.to_string()));
            }
        };
        // Joined: a scope ends before the destructors of its threads' locals do, which give the records back.
        let threads = [(); 3].map(|()| s.spawn(work));
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
    assert_eq!(*KeptSnapshot::take(&store).read(&total), 3 * rounds);
    // What the exited threads have left is adopted by vacuums of this one.
    for _ in 0..20 {
        commit(&store, |ws| ws.write(&boxed, Counted::new(&live, 0)));
    }
    assert_eq!(count(&live), 1);
    drop((total, boxed));
    assert_eq!(count(&live), 0);
}

#[test]
fn the_end_of_a_store_frees_what_its_limbos_hold() {
    let live = Arc::new(Counter::new(0));
    let store = Store::new(None);
    let var = Var::new(&store, None, Counted::new(&live, 0));
    let reader = Workspace::begin(&store);
    for n in 0..5 {
        // Joined, as above: the thread's locals may be the last to have the store.
        std::thread::scope(|s| {
            s.spawn(|| commit(&store, |ws| ws.write(&var, Counted::new(&live, n)))).join().expect("no panic");
        });
    }
    assert_eq!(reader.read(&var).1, 0);
    assert_eq!(count(&live), 2, "the reader's and the newest");
    drop(var);
    finish(reader);
    drop(store);
    assert_eq!(count(&live), 0);
}

/// Leaves of the newest version.
fn leaves(store: &Arc<Store>) -> usize {
    let root = KeptSnapshot::take(store);
    (0..100_000).step_by(node::FAN).filter(|slot| root.has_leaf(*slot)).count()
}

#[test]
fn leaves_without_variables_are_cut_off() {
    let store = Store::new(None);
    let count = if cfg!(miri) { 2_560 } else { 10_000 };
    let vars: Vec<_> = (0..count).map(|n| Var::new(&store, None, n)).collect();
    for vars in vars.chunks(count / 10) {
        commit(&store, |ws| vars.iter().for_each(|var| ws.write(var, 7)));
    }
    let full = leaves(&store);
    assert!(full >= count / node::FAN);
    let old = KeptSnapshot::take(&store);
    let (kept, dropped): (Vec<_>, Vec<_>) = vars.into_iter().enumerate().partition(|(i, _)| i % (count / 4) == 0);
    drop(dropped);
    assert!(leaves(&store) < full / 4, "{} of {full} leaves are left", leaves(&store));
    for (_, var) in &kept {
        assert_eq!((*old.read(var), *KeptSnapshot::take(&store).read(var)), (7, 7));
    }
    // The slots are in use again, for other types too, and the old snapshot sees initial values.
    let again: Vec<_> = (0..count / 2).map(|n| Var::new(&store, None, format!("{n}"))).collect();
    commit(&store, |ws| again.iter().for_each(|var| ws.write(var, "new".into())));
    assert!(again.iter().enumerate().all(|(n, var)| *old.read(var) == n.to_string()));
    assert!(again.iter().all(|var| KeptSnapshot::take(&store).read(var) == "new"));
}

/// The last handle of a map ends while another thread has the list of the maps: a claim in there makes no handle any more.
#[test]
fn the_claim_of_an_ended_map_gives_no_handle() {
    let store = Store::new(None);
    let var = Var::new(&store, None, 5u64);
    var.note_map(&store);
    let list = store.maps.lock();
    let claim = &list[&var.slot()];
    assert!(claim.upgrade().is_some());
    let ends = std::thread::spawn(move || drop(var));
    while claim.handles() > 0 {
        std::thread::yield_now();
    }
    assert!(claim.upgrade().is_none());
    drop(list);
    ends.join().expect("no panic");
    assert!(store.maps.lock().is_empty());
}
