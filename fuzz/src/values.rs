//! Values that are counted, and know when they are dead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tvar::{Space, TVar};

const SEAL: u64 = 0x5eed_ab1e_cafe_f00d;

/// The numbers of the values that live, with how many there are of each.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<u64, usize>>>);

impl Ledger {
    pub fn value(&self, number: u64) -> Counted {
        *self.0.lock().unwrap().entry(number).or_default() += 1;
        Counted { number, seal: SEAL, ledger: self.clone() }
    }

    pub fn live(&self) -> BTreeMap<u64, usize> {
        self.0.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap().values().sum()
    }
}

/// A value with a destructor, behind a pointer in the tree.
pub struct Counted {
    number: u64,
    seal: u64,
    ledger: Ledger,
}

impl Counted {
    pub fn number(&self) -> u64 {
        assert_eq!(self.seal, SEAL, "read after its end");
        self.number
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // A panic in a destructor would be caught (§1.7).
        let mut live = self.ledger.0.lock().unwrap_or_else(|_| std::process::abort());
        let last = match live.get_mut(&self.number) {
            Some(count) if self.seal == SEAL => {
                *count -= 1;
                *count == 0
            }
            _ => {
                eprintln!("value {} was dropped twice", self.number);
                std::process::abort();
            }
        };
        if last {
            live.remove(&self.number);
        }
        self.seal = 0;
    }
}

/// So many commits that have nothing to do with anything.
pub fn ticks(space: &Space, count: u64) {
    let tick = TVar::new_in(space, 0);
    (1..=count).for_each(|n| tick.store(n));
}

/// Runs `f` on another thread, to the end of both.
pub fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| scope.spawn(f).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
