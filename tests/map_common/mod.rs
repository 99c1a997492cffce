//! Helpers of the tests of maps: every kind of map behind one face, and a transaction with a foreign commit in its middle.
#![allow(dead_code, unreachable_pub)]

use std::hash::{BuildHasher, Hasher};
use std::thread;

use tvar::{Isolation, Snapshot, Space, TMap, TOrdMap, TVar, Tx, TxOptions};

/// What comes out does not matter.
pub fn ignore<T>(_: T) {}

/// What all maps can do, by numbers.
pub trait Keyed: Send + Sync {
    fn get(&self, tx: &Tx<'_>, key: u64) -> Option<i64>;
    fn at(&self, snapshot: &Snapshot, key: u64) -> Option<i64>;
    fn insert(&self, tx: &Tx<'_>, key: u64, value: i64) -> Option<i64>;
    fn insert_new(&self, tx: &Tx<'_>, key: u64, value: i64) -> bool;
    fn upsert(&self, tx: &Tx<'_>, key: u64, value: i64);
    fn upsert_with(&self, tx: &Tx<'_>, key: u64, value: i64, f: fn(&i64) -> i64);
    fn remove(&self, tx: &Tx<'_>, key: u64) -> Option<i64>;
    fn modify(&self, tx: &Tx<'_>, key: u64, f: fn(&i64) -> i64) -> bool;
    fn or_insert(&self, tx: &Tx<'_>, key: u64, value: i64) -> i64;
    fn len(&self, tx: &Tx<'_>) -> usize;
    fn clear(&self, tx: &Tx<'_>);
    fn sum(&self, tx: &Tx<'_>) -> i64;
}

macro_rules! keyed {
    ($map:ty, $n:ident => $key:expr) => {
        impl Keyed for $map {
            fn get(&self, tx: &Tx<'_>, $n: u64) -> Option<i64> {
                <$map>::get(self, tx, &$key).copied()
            }
            fn at(&self, snapshot: &Snapshot, $n: u64) -> Option<i64> {
                <$map>::get(self, snapshot, &$key).copied()
            }
            fn insert(&self, tx: &Tx<'_>, $n: u64, value: i64) -> Option<i64> {
                <$map>::insert(self, tx, $key, value).copied()
            }
            fn insert_new(&self, tx: &Tx<'_>, $n: u64, value: i64) -> bool {
                <$map>::insert_new(self, tx, $key, value)
            }
            fn upsert(&self, tx: &Tx<'_>, $n: u64, value: i64) {
                <$map>::upsert(self, tx, $key, value);
            }
            fn upsert_with(&self, tx: &Tx<'_>, $n: u64, value: i64, f: fn(&i64) -> i64) {
                <$map>::upsert_with(self, tx, $key, value, f);
            }
            fn remove(&self, tx: &Tx<'_>, $n: u64) -> Option<i64> {
                <$map>::remove(self, tx, &$key).copied()
            }
            fn modify(&self, tx: &Tx<'_>, $n: u64, f: fn(&i64) -> i64) -> bool {
                <$map>::modify(self, tx, &$key, f)
            }
            fn or_insert(&self, tx: &Tx<'_>, $n: u64, value: i64) -> i64 {
                *<$map>::entry(self, tx, $key).or_insert(value)
            }
            fn len(&self, tx: &Tx<'_>) -> usize {
                <$map>::len(self, tx)
            }
            fn clear(&self, tx: &Tx<'_>) {
                <$map>::clear(self, tx);
            }
            fn sum(&self, tx: &Tx<'_>) -> i64 {
                <$map>::values(self, tx).sum()
            }
        }
    };
}

keyed!(TMap<u64, i64>, n => n);
keyed!(TMap<u64, i64, Hashes>, n => n);
keyed!(TOrdMap<u64, i64>, n => n);
keyed!(TOrdMap<String, i64>, n => format!("with the same front {n:09}"));
keyed!(TOrdMap<(u64, u64), i64>, n => (n / 3, n));

/// An empty map of every kind, with what it is called.
pub fn maps(space: &Space) -> Vec<(&'static str, Box<dyn Keyed>)> {
    vec![
        ("hash", Box::new(TMap::<u64, i64>::new_in(space))),
        ("integers", Box::new(TOrdMap::<u64, i64>::new_in(space))),
        ("strings", Box::new(TOrdMap::<String, i64>::new_in(space))),
        ("pairs", Box::new(TOrdMap::<(u64, u64), i64>::new_in(space))),
    ]
}

/// Also those whose keys have few hashes, or one.
pub fn all_maps(space: &Space) -> Vec<(&'static str, Box<dyn Keyed>)> {
    let mut maps = maps(space);
    maps.push(("four hashes", Box::new(TMap::<u64, i64, Hashes>::with_hasher_in(space, Hashes(4)))));
    maps.push(("one hash", Box::new(TMap::<u64, i64, Hashes>::with_hasher_in(space, Hashes(1)))));
    maps
}

/// A hasher of numbers with so many hashes.
#[derive(Clone, Copy, Default)]
pub struct Hashes(pub u64);

pub struct Modulo(u64, u64);

impl BuildHasher for Hashes {
    type Hasher = Modulo;

    fn build_hasher(&self) -> Modulo {
        Modulo(self.0.max(1), 0)
    }
}

impl Hasher for Modulo {
    fn finish(&self) -> u64 {
        self.1 % self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.1 = self.1.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    }

    fn write_u64(&mut self, n: u64) {
        self.1 = n;
    }
}

/// A space for transactions that others get in the way of.
pub struct Ring {
    pub space: Space,
    mark: TVar<u64>,
    isolation: Isolation,
}

impl Ring {
    pub fn new() -> Self {
        Self::with(Isolation::Serializable)
    }

    pub fn with(isolation: Isolation) -> Self {
        let space = Space::new();
        let mark = TVar::new_in(&space, 0);
        Ring { space, mark, isolation }
    }

    /// One transaction.
    pub fn commit<R>(&self, mut f: impl FnMut(&Tx<'_>) -> R) -> R {
        self.space.atomically(|tx| Ok(f(tx)))
    }

    /// How often `mine`, which also writes a variable of its own, runs if `theirs` commits when it has run for the first time.
    pub fn runs(&self, mut mine: impl FnMut(&Tx<'_>), theirs: impl Fn(&Tx<'_>) + Sync) -> u64 {
        let mut runs = 0;
        let call = TxOptions::new().space(&self.space).isolation(self.isolation).run(|tx| {
            runs += 1;
            mine(tx);
            tx.modify(&self.mark, |n| n + 1);
            if runs == 1 {
                let theirs = || self.commit(|tx| theirs(tx));
                thread::scope(|scope| scope.spawn(theirs).join().expect("the foreign commit"));
            }
            Ok(())
        });
        call.expect("no limits");
        runs
    }
}
