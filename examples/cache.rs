//! A cache that is read from snapshots while others fill, evict and invalidate it.
//!
//! Shows what snapshots are for. Statistics over the whole cache take a while and touch every
//! entry; made in a transaction of a busy cache, or under a lock, they would get in everybody's
//! way. A snapshot is one version of everything: the reader sums up at leisure, nobody waits, and
//! the entries, their count and the generation that they belong to always fit together.
//! `Snapshot::diff` then tells which parts have to be looked at again.
//!
//! Run with `cargo run --release --example cache`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tvar::{Snapshot, Space, Stm, TVar, Tx, atomically};

const SHARDS: usize = 64;
const PER_SHARD: usize = 4;
const KEYS: u64 = 1_000;
const LOOKUPS: u64 = 30_000;
const INVALIDATIONS: u64 = 50;

struct Entry {
    generation: u64,
    value: u64,
}

/// Entries are shared, not copied, when a shard is replaced.
type Shard = BTreeMap<u64, Arc<Entry>>;

struct Cache {
    shards: Vec<TVar<Shard>>,
    entries: TVar<usize>,
    /// What the values are computed from; a new generation makes all of them stale at once.
    generation: TVar<u64>,
}

/// Stands for something that takes long to find out.
fn compute(key: u64, generation: u64) -> u64 {
    (0..200).fold(key ^ (generation << 32), |x, _| x.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (x >> 29))
}

impl Cache {
    fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| TVar::default()).collect(), entries: TVar::new(0), generation: TVar::new(0) }
    }

    fn shard(&self, key: u64) -> &TVar<Shard> {
        &self.shards[key as usize % SHARDS]
    }

    /// The entry, and whether it was there already.
    fn get(&self, key: u64) -> (Arc<Entry>, bool) {
        let (hit, generation) = atomically(|tx| {
            let hit = tx.read(self.shard(key)).get(&key).cloned();
            Ok((hit, *tx.read(&self.generation)))
        });
        if let Some(entry) = hit {
            return (entry, true);
        }
        // Outside of a transaction, which could have to do it several times.
        let entry = Arc::new(Entry { generation, value: compute(key, generation) });
        atomically(|tx| self.insert(tx, key, &entry));
        (entry, false)
    }

    fn insert(&self, tx: &Tx<'_>, key: u64, entry: &Arc<Entry>) -> Stm<()> {
        if *tx.read(&self.generation) != entry.generation {
            return Ok(());
        }
        let old = tx.read(self.shard(key));
        let mut new = old.clone();
        new.insert(key, Arc::clone(entry));
        if new.len() > PER_SHARD {
            // Some entry has to go; which one is not the point here.
            let victim = new.keys().copied().find(|k| *k != key);
            victim.and_then(|k| new.remove(&k));
        }
        // Written only on a change, or filling any two shards would conflict.
        if new.len() != old.len() {
            let (before, after) = (old.len(), new.len());
            tx.modify(&self.entries, |n| n + after - before);
        }
        tx.write(self.shard(key), new);
        Ok(())
    }

    /// All entries at once: no reader meets an old one beside the new generation.
    fn invalidate(&self) {
        atomically(|tx| {
            for shard in &self.shards {
                tx.write(shard, Shard::new());
            }
            tx.write(&self.entries, 0);
            tx.modify(&self.generation, |g| g + 1);
            Ok(())
        });
    }

    /// Everything that must hold in every version; the number of entries.
    fn check(&self, now: &Snapshot) -> usize {
        let generation = *now.read(&self.generation);
        let mut entries = 0;
        for shard in &self.shards {
            let shard = now.read(shard);
            assert!(shard.len() <= PER_SHARD, "a shard holds {} entries", shard.len());
            entries += shard.len();
            for (key, entry) in shard {
                assert_eq!(entry.generation, generation, "a stale entry for key {key}");
                assert_eq!(entry.value, compute(*key, generation), "a wrong value for key {key}");
            }
        }
        assert_eq!(entries, *now.read(&self.entries), "the count is wrong");
        entries
    }

    /// Compares two versions: what `diff` calls unchanged must be unchanged.
    fn compare(&self, older: &Snapshot, newer: &Snapshot) -> usize {
        let diff = older.diff(newer);
        let (changed, same): (Vec<_>, Vec<_>) = self.shards.iter().partition(|s| diff.changed(s));
        for shard in same {
            let (old, new) = (older.read(shard), newer.read(shard));
            let equal = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1));
            assert!(equal, "a shard changed unnoticed");
        }
        changed.len()
    }
}

fn main() {
    let cache = Cache::new();
    let over = AtomicBool::new(false);

    let (hits, misses, looks, changed) = thread::scope(|scope| {
        let users: Vec<_> = (0..2)
            .map(|user| {
                let cache = &cache;
                scope.spawn(move || {
                    let (mut hits, mut random) = (0_u64, user + 1);
                    for _ in 0..LOOKUPS {
                        random = compute(random, 0);
                        // Low keys are asked for more often.
                        let key = (random >> 40) % (1 + (random >> 20) % KEYS);
                        let (entry, hit) = cache.get(key);
                        assert_eq!(entry.value, compute(key, entry.generation));
                        hits += u64::from(hit);
                    }
                    hits
                })
            })
            .collect();
        let invalidator = scope.spawn(|| {
            for _ in 0..INVALIDATIONS {
                thread::sleep(std::time::Duration::from_millis(1));
                cache.invalidate();
            }
        });
        let reader = scope.spawn(|| {
            let (mut looks, mut changed) = (0_u64, 0);
            let mut older = Space::global().snapshot();
            while !over.load(Ordering::Relaxed) {
                let newer = Space::global().snapshot();
                let entries = cache.check(&newer);
                changed += cache.compare(&older, &newer);
                assert_eq!(cache.check(&newer), entries, "a snapshot changed");
                looks += 1;
                older = newer;
            }
            (looks, changed)
        });
        let users: Vec<_> = users.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let invalidated = invalidator.join();
        over.store(true, Ordering::Relaxed);
        let (looks, changed) = reader.join().expect("the reader found a bad snapshot");
        assert!(invalidated.is_ok(), "the invalidator panicked");
        let hits: u64 = users.into_iter().map(|u| u.expect("a user panicked")).sum();
        (hits, 2 * LOOKUPS - hits, looks, changed)
    });

    let left = cache.check(&Space::global().snapshot());
    assert_eq!(cache.generation.load(), INVALIDATIONS);
    assert!(hits > 0, "the cache was of no use");
    println!("{hits} hits, {misses} misses, {INVALIDATIONS} invalidations, {left} entries left");
    println!("{looks} snapshots checked; shards that changed between two of them: {changed}");
}
