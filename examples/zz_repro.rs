//! temp
use std::sync::{Arc, Mutex, atomic::*};
use std::time::*;
use tvar::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let flag = |s: &str| a[1].contains(s);
    let threads: u64 = a[2].parse().unwrap();
    let n: usize = a[3].parse().unwrap();
    let space = Space::named("r");
    let vars: Mutex<Vec<Arc<TVar<i64>>>> = Mutex::new(vec![]);
    let grow = flag("g");
    let per = if threads > 8 { 20_000u64 } else { 50_000 };
    if !grow {
        for _ in 0..n {
            vars.lock().unwrap().push(Arc::new(TVar::new_in(&space, OPEN)));
        }
    } else {
        for _ in 0..2 {
            vars.lock().unwrap().push(Arc::new(TVar::new_in(&space, OPEN)));
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let hs: Vec<_> = (0..threads)
            .map(|t| {
                let (space, vars) = (&space, &vars);
                s.spawn(move || {
                    let mut x = t + 1;
                    let mut r = || {
                        x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
                        let mut z = x;
                        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                        z ^ (z >> 31)
                    };
                    let mut local: Vec<Arc<TVar<i64>>> = vec![];
                    for i in 0..per {
                        if local.len() < n && i % 64 == 0 {
                            local = vars.lock().unwrap().clone();
                        }
                        let l = local.len() as u64;
                        let (f, to) = ((r() % l) as usize, (r() % l) as usize);
                        if f == to {
                            continue;
                        }
                        let amount = (r() % 100) as i64;
                        let deadline = Instant::now() + Duration::from_millis(1);
                        space.atomically(|tx| {
                            let b = *tx.read(&local[f]);
                            if flag_w(b, amount) {
                                if WAIT.load(Ordering::Relaxed) {
                                    tx.retry_until(deadline)?;
                                }
                                return Ok(());
                            }
                            tx.modify(&local[f], |b| b - amount);
                            tx.modify(&local[to], |b| b + amount);
                            Ok(())
                        });
                    }
                })
            })
            .collect();
        WAIT.store(flag("w"), Ordering::Relaxed);
        if grow {
            let (space, vars) = (&space, &vars);
            s.spawn(move || {
                for i in 0..n {
                    vars.lock().unwrap().push(Arc::new(TVar::new_in(space, OPEN)));
                    if i % 16 == 0 {
                        std::thread::sleep(Duration::from_micros(60));
                    }
                }
            });
        }
        if flag("s") {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let sn = space.snapshot();
                    let l = vars.lock().unwrap().clone();
                    let mut t = 0;
                    for v in &l {
                        t += *sn.read(v);
                    }
                    if t != l.len() as i64 * OPEN {
                        let t2: i64 = l.iter().map(|v| *sn.read(v)).sum();
                        println!(
                            "snapshot v{} total {t} (again {t2}) instead of {}",
                            sn.version(),
                            l.len() as i64 * OPEN
                        );
                        std::process::exit(1)
                    }
                }
            });
        }
        for h in hs {
            h.join().unwrap()
        }
        stop.store(true, Ordering::Relaxed);
    });
    let l = vars.lock().unwrap();
    let t: i64 = l.iter().map(|v| v.load()).sum();
    println!("{:6} threads {threads} vars {}: diff {}", a[1], l.len(), t - l.len() as i64 * OPEN);
}
static WAIT: AtomicBool = AtomicBool::new(false);
fn flag_w(b: i64, amount: i64) -> bool {
    b < amount
}
const OPEN: i64 = 60;
