//! §7.2 with the feature `tracing`: a subscriber for the whole process, which nothing but the crate keeps from being told of its own
//! transactions.

mod common;
#[path = "observe_common/subscriber.rs"]
mod subscriber;

use subscriber::Notes;
use tracing::Level;
use tvar::{Space, TVar};

#[test]
fn s7_2_transactions_of_a_subscriber_send_nothing() {
    let space = Space::new();
    let (v, told) = (TVar::new_in(&space, 0), TVar::new_in(&space, 0));
    let (log, asked) = (told.clone(), told.clone());
    let notes =
        Notes::new(Level::TRACE).at_events(move || log.update(|n| n + 1)).at_questions(move || asked.update(|n| n + 1));
    tracing::subscriber::set_global_default(notes.clone()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| v.update(|n| n + 1)));
        }
    });
    let committed = notes.take().iter().filter(|line| line.starts_with("TRACE committed")).count();
    assert_eq!((committed, v.load()), (400, 400));
    assert!(told.load() >= 800);
}
