//! Single operations through the public API, beside the reference engine: `cargo bench -p tvar-benches`.

use criterion::Criterion;
use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};
use tvar_benches::Picks;
use tvar_benches::engine::{Engine, Fast, Reference};

const VARS: usize = 1_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    engine::<Fast>(&mut criterion);
    engine::<Reference>(&mut criterion);
    criterion.final_summary();
}

fn engine<E: Engine>(criterion: &mut Criterion) {
    let vars = E::heap((0..VARS).map(|_| 100));
    E::add_first(&vars, VARS, &AtomicU64::new(0)); // no variable is measured at its initial value
    let mut picks = Picks::new(1);
    let mut bench = |name: &str, operation: &mut dyn FnMut()| {
        criterion.bench_function(&format!("{name}/{}", E::NAME), |b| b.iter(&mut *operation));
    };

    bench("read_1", &mut || {
        black_box(E::sum(&vars, &[picks.below(VARS)]));
    });
    bench("read_10", &mut || {
        let ten = [(); 10].map(|()| picks.below(VARS));
        black_box(E::sum(&vars, &ten));
    });
    bench("counter", &mut || E::add(&vars, 0));
    bench("transfer_1k", &mut || {
        let (from, to) = picks.two_below(VARS);
        E::transfer(&vars, from, to);
    });
    bench("snapshot_take_drop", &mut || E::snapshot(&vars));
    bench("variable_create_drop", &mut || E::create_drop(1));
    bench("variable_create_write_drop", &mut || E::add(&E::heap([1].into_iter()), 0));

    criterion.bench_function(&format!("ping_pong/{}", E::NAME), |b| b.iter_custom(ping_pong::<E>));
}

/// So many round trips between two threads that wait for each other.
fn ping_pong<E: Engine>(rounds: u64) -> Duration {
    let turn = E::heap([0].into_iter());
    let take_turn = |theirs, next| E::turn(&turn, theirs, |_| next);
    thread::scope(|s| {
        s.spawn(|| (0..rounds).for_each(|_| _ = take_turn(0, 0)));
        let start = Instant::now();
        for _ in 0..rounds {
            take_turn(1, 1);
        }
        take_turn(1, 0); // the last answer
        start.elapsed()
    })
}
