//! The loops of the workloads on maps.
//!
//! Which operation comes next is no matter of chance: a branch that nobody can predict would cost as much as some operations do.
//! Every value that is ever written is its key and a multiple of [`SPAN`], so that what a map holds in the end can be checked.

use super::{Case, KEYS, MapLoad, RANGE, SPAN};
use crate::Picks;
use crate::lap::{Done, Stop};
use crate::map::{HashEngine, MapEngine, OrderedEngine};
use std::hint::black_box;
use std::sync::atomic::{AtomicI64, Ordering};

/// A load and its hash map.
pub struct HashLoops<E: HashEngine> {
    load: MapLoad,
    map: E::Map,
    /// How many more entries there are than at first.
    grown: AtomicI64,
}

impl<E: HashEngine> HashLoops<E> {
    /// The case.
    pub fn boxed(load: MapLoad) -> Box<dyn Case> {
        let apart = if load == MapLoad::MapInsertRemove { SPAN / KEYS } else { 1 };
        Box::new(Self { load, map: E::make(pairs(apart)), grown: AtomicI64::new(0) })
    }

    fn inserts_and_removes(&self, picks: &mut Picks, stop: &Stop) -> Done {
        let (mut grown, mut turn) = (0, 0);
        let done = stop.batches(|| {
            let key = picks.below(SPAN) as u64;
            turn += 1;
            if turn % 2 == 0 {
                grown += i64::from(E::insert(&self.map, key, key + turn * SPAN as u64));
            } else {
                grown -= i64::from(E::remove(&self.map, key));
            }
        });
        self.grown.fetch_add(grown, Ordering::Relaxed);
        done
    }
}

impl<E: HashEngine> Case for HashLoops<E> {
    fn run(&self, _: usize, seed: u64, stop: &Stop) -> Done {
        let mut picks = Picks::new(seed);
        match self.load {
            MapLoad::MapInsertRemove => self.inserts_and_removes(&mut picks, stop),
            load => reads_and_upserts::<E>(load, &self.map, &mut picks, stop, |key| {
                black_box(E::get(&self.map, key));
            }),
        }
    }

    fn verify(&self, _: u64) -> Result<(), String> {
        verify::<E>(&self.map, KEYS as i64 + self.grown.load(Ordering::Relaxed))
    }
}

/// A load and its ordered map.
pub struct OrderedLoops<E: OrderedEngine> {
    load: MapLoad,
    map: E::Map,
}

impl<E: OrderedEngine> OrderedLoops<E> {
    /// The case.
    pub fn boxed(load: MapLoad) -> Box<dyn Case> {
        Box::new(Self { load, map: E::make(pairs(1)) })
    }
}

impl<E: OrderedEngine> Case for OrderedLoops<E> {
    fn run(&self, _: usize, seed: u64, stop: &Stop) -> Done {
        let mut picks = Picks::new(seed);
        if self.load == MapLoad::OrdmapRange {
            reads_and_upserts::<E>(self.load, &self.map, &mut picks, stop, |key| {
                black_box(E::sum_from(&self.map, key, RANGE));
            })
        } else {
            reads_and_upserts::<E>(self.load, &self.map, &mut picks, stop, |key| {
                black_box(E::get(&self.map, key));
            })
        }
    }

    fn verify(&self, _: u64) -> Result<(), String> {
        verify::<E>(&self.map, KEYS as i64)?;
        for from in (0..KEYS).step_by(KEYS / 10).chain([KEYS - 3]) {
            let (from, end) = (from as u64, (from + RANGE) as u64);
            let expected: u64 = (from..end).filter_map(|key| E::get(&self.map, key)).sum();
            let found = E::sum_from(&self.map, from, RANGE);
            if found != expected {
                return Err(format!("the entries from {from} on add up to {found} instead of {expected}"));
            }
        }
        Ok(())
    }
}

/// What a map holds at first: keys so far apart.
fn pairs(apart: usize) -> impl ExactSizeIterator<Item = (u64, u64)> {
    (0..KEYS).map(move |n| ((n * apart) as u64, (n * apart) as u64))
}

/// Reads and upserts of random keys, all of them there.
fn reads_and_upserts<E: MapEngine>(
    load: MapLoad,
    map: &E::Map,
    picks: &mut Picks,
    stop: &Stop,
    read: impl Fn(u64),
) -> Done {
    let (reads, mut turn) = (load.reads_of_ten(), 0);
    stop.batches(|| {
        let key = picks.below(KEYS) as u64;
        turn += 1;
        if turn % 10 < reads {
            read(key);
        } else {
            E::upsert(map, key, key + turn * SPAN as u64);
        }
    })
}

/// Whether so many keys are there, each with a value that was written to it.
fn verify<E: MapEngine>(map: &E::Map, entries: i64) -> Result<(), String> {
    let mut found = 0;
    for key in 0..SPAN as u64 {
        let Some(value) = E::get(map, key) else { continue };
        if value % SPAN as u64 != key {
            return Err(format!("the value of {key} is {value}, which belongs to another key"));
        }
        found += 1;
    }
    if found == entries { Ok(()) } else { Err(format!("there are {found} entries instead of {entries}")) }
}
