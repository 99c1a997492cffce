//! Single operations through the public API, beside the reference engine: `cargo bench -p tvar-benches`.

use criterion::Criterion;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};
use tvar_benches::{Engine, Fast, Picks, Reference};

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
    let vars: Vec<E::Var> = (0..VARS).map(|_| E::var(100)).collect();
    for var in &vars {
        E::count(var); // no variable is measured at its initial value
    }
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
    bench("counter", &mut || E::count(&vars[0]));
    bench("transfer_1k", &mut || {
        let (from, to) = picks.two_below(VARS);
        E::transfer(&vars[from], &vars[to]);
    });
    bench("snapshot_take_drop", &mut E::snapshot);
    bench("variable_create_drop", &mut || drop(black_box(E::var(1))));
    bench("variable_create_write_drop", &mut || E::count(&E::var(1)));

    criterion.bench_function(&format!("ping_pong/{}", E::NAME), |b| b.iter_custom(ping_pong::<E>));
}

/// So many round trips between two threads that wait for each other.
fn ping_pong<E: Engine>(rounds: u64) -> Duration {
    let turn = E::var(0);
    thread::scope(|s| {
        s.spawn(|| (0..rounds).for_each(|_| E::take_turn(&turn, 1, 0)));
        let start = Instant::now();
        for _ in 0..rounds {
            E::take_turn(&turn, 0, 1);
        }
        E::take_turn(&turn, 0, 0); // the last answer
        start.elapsed()
    })
}
