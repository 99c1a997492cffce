//! §6.3: every operation means what a plain collection's does, in any order, with parts undone by abort, retry and panic (§2.7 to §2.9, §3.2).
#![allow(clippy::unit_arg, reason = "a closure of one statement ends with it")]

mod collections_common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::marker::PhantomData;

use collections_common::{Item, Model, Random, run, transactions};
use tvar::{Space, TArray, TBoundedQueue, TBroadcast, TMVar, TPriorityQueue, TQueue, TReceiver, TSet, Tx};

const SEEDS: u64 = 12;

#[track_caller]
fn same<T: Item>(real: Option<&T>, model: Option<&u64>) {
    assert_eq!(real.map(Item::number), model.copied());
}

fn numbers<T: Item>(items: Vec<&T>) -> Vec<u64> {
    items.into_iter().map(Item::number).collect()
}

// ---- queues ----

/// Items are numbered as they are made, so no two are alike.
#[derive(Clone)]
struct Queue<R> {
    items: VecDeque<u64>,
    made: u64,
    /// How much likelier it is to write than to read.
    bias: u64,
    real: PhantomData<R>,
}

impl<R> Queue<R> {
    fn new(bias: u64) -> Self {
        Queue { items: VecDeque::new(), made: 0, bias, real: PhantomData }
    }

    fn make(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

impl<T: Item> Model for Queue<TQueue<T>>
where
    Self: Clone,
{
    type Real = TQueue<T>;

    fn step(&mut self, tx: &Tx<'_>, real: &TQueue<T>, random: &mut Random) {
        let many = random.below(4) * random.below(20);
        match random.below(12 + self.bias) {
            0 => (0..many).for_each(|_| same(real.try_read(tx), self.items.pop_front().as_ref())),
            1..=3 => same(real.try_read(tx), self.items.pop_front().as_ref()),
            4 if !self.items.is_empty() => same(real.read(tx).ok(), self.items.pop_front().as_ref()),
            5 => same(real.try_peek(tx), self.items.front()),
            6 if !self.items.is_empty() => same(real.peek(tx).ok(), self.items.front()),
            7 => assert_eq!(real.is_empty(tx), self.items.is_empty()),
            8 => {
                let number = self.make();
                real.unget(tx, T::of(number));
                self.items.push_front(number);
            }
            9 => {
                for _ in 0..many {
                    let number = self.make();
                    real.unget(tx, T::of(number));
                    self.items.push_front(number);
                }
            }
            10 if many > 40 => self.compare(tx, real),
            _ => {
                let number = self.make();
                real.write(tx, T::of(number));
                self.items.push_back(number);
            }
        }
    }

    fn compare(&mut self, tx: &Tx<'_>, real: &TQueue<T>) {
        assert_eq!(numbers(real.flush(tx)), self.items.drain(..).collect::<Vec<_>>());
    }
}

#[test]
fn s6_3_a_queue_is_a_queue() {
    for seed in 0..SEEDS {
        let space = Space::new();
        run(&space, seed, transactions(), &TQueue::new_in(&space), Queue::<TQueue<u64>>::new(seed % 4));
        let space = Space::new();
        run(&space, seed, transactions(), &TQueue::new_in(&space), Queue::<TQueue<Box<u64>>>::new(seed % 4));
    }
}

#[test]
fn s6_3_a_queue_begins_with_what_it_is_made_of() {
    for length in [0, 1, 30, 31, 32, 61, 62, 63, 200] {
        let space = Space::new();
        let queue = TQueue::with_items_in(&space, 1..=length);
        let mut model = Queue::<TQueue<u64>>::new(0);
        model.made = length;
        model.items = (1..=length).collect();
        run(&space, length, 50, &queue, model);
    }
}

#[derive(Clone)]
struct Bounded<T> {
    items: VecDeque<u64>,
    made: u64,
    real: PhantomData<T>,
}

impl<T: Item + Clone> Model for Bounded<T> {
    type Real = TBoundedQueue<T>;

    fn step(&mut self, tx: &Tx<'_>, real: &TBoundedQueue<T>, random: &mut Random) {
        self.made += 1;
        let (number, room) = (self.made, real.capacity() - self.items.len());
        match random.below(16) {
            0..=2 => same(real.try_read(tx), self.items.pop_front().as_ref()),
            3 if !self.items.is_empty() => same(real.read(tx).ok(), self.items.pop_front().as_ref()),
            4 => same(real.try_peek(tx), self.items.front()),
            5 if !self.items.is_empty() => same(real.peek(tx).ok(), self.items.front()),
            6 => assert_eq!((real.is_empty(tx), real.is_full(tx)), (self.items.is_empty(), room == 0)),
            7 => assert_eq!(real.len(tx), self.items.len()),
            8 | 9 if room > 0 => {
                assert!(real.unget(tx, T::of(number)).is_ok());
                self.items.push_front(number);
            }
            10 if random.below(5) == 0 => self.compare(tx, real),
            11 if room > 0 => {
                assert!(real.write(tx, T::of(number)).is_ok());
                self.items.push_back(number);
            }
            _ => match real.try_write(tx, T::of(number)) {
                Ok(()) => {
                    self.items.push_back(number);
                    assert!(room > 0);
                }
                Err(item) => assert_eq!((item.number(), room), (number, 0)),
            },
        }
    }

    fn compare(&mut self, tx: &Tx<'_>, real: &TBoundedQueue<T>) {
        assert_eq!(numbers(real.flush(tx)), self.items.drain(..).collect::<Vec<_>>());
        assert_eq!(real.len(tx), 0);
    }
}

#[test]
fn s6_3_a_bounded_queue_is_a_queue() {
    for capacity in [1, 2, 3, 31, 32, 33, 64, 65] {
        for seed in 0..3 {
            let model = Bounded::<u64> { items: VecDeque::new(), made: 0, real: PhantomData };
            let space = Space::new();
            run(&space, seed, transactions(), &TBoundedQueue::new_in(&space, capacity), model);
            let model = Bounded::<Box<u64>> { items: VecDeque::new(), made: 0, real: PhantomData };
            let space = Space::new();
            run(&space, seed, transactions(), &TBoundedQueue::new_in(&space, capacity), model);
        }
    }
}

/// The places of slots are made in groups of 32,768: nothing is different beyond the first.
#[test]
fn s6_3_a_bounded_queue_of_several_groups() {
    const CAPACITY: u64 = 32_768 + 33;
    let space = Space::new();
    let queue = TBoundedQueue::new_in(&space, CAPACITY as usize);
    for lap in 0..3 {
        for part in 0..CAPACITY.div_ceil(500) {
            let from = lap * CAPACITY + part * 500;
            let to = (from + 500).min((lap + 1) * CAPACITY);
            space.atomically(|tx| (from..to).try_for_each(|n| queue.write(tx, n)));
        }
        space.atomically(|tx| {
            assert!(queue.is_full(tx));
            assert_eq!(queue.len(tx), CAPACITY as usize);
            assert_eq!(queue.try_write(tx, 0), Err(0));
            Ok(())
        });
        let items = space.atomically(|tx| Ok(queue.flush(tx).into_iter().copied().collect::<Vec<_>>()));
        assert!(items.into_iter().eq(lap * CAPACITY..(lap + 1) * CAPACITY));
    }
}

// ---- broadcasts ----

#[derive(Clone)]
struct Broadcast<T> {
    /// What each receiver has not read.
    unread: Vec<VecDeque<u64>>,
    made: u64,
    real: PhantomData<T>,
}

impl<T: Item + Clone> Model for Broadcast<T> {
    type Real = (TBroadcast<T>, std::cell::RefCell<Vec<TReceiver<T>>>);

    fn step(&mut self, tx: &Tx<'_>, (broadcast, receivers): &Self::Real, random: &mut Random) {
        // A receiver that was made in a part that was undone is not one that the model knows.
        receivers.borrow_mut().truncate(self.unread.len());
        let which = random.below(self.unread.len().max(1) as u64) as usize;
        let made: Vec<TReceiver<T>> = receivers.borrow().clone();
        let (Some(receiver), Some(unread)) = (made.get(which), self.unread.get_mut(which)) else {
            receivers.borrow_mut().push(broadcast.subscribe(tx));
            return self.unread.push(VecDeque::new());
        };
        match random.below(20) {
            0 if made.len() < 8 => {
                receivers.borrow_mut().push(broadcast.subscribe(tx));
                self.unread.push(VecDeque::new());
            }
            1 if made.len() < 8 => {
                receivers.borrow_mut().push(receiver.duplicate(tx));
                let same = unread.clone();
                self.unread.push(same);
            }
            2..=9 => same(receiver.try_read(tx), unread.pop_front().as_ref()),
            10 if !unread.is_empty() => same(receiver.read(tx).ok(), unread.pop_front().as_ref()),
            11 => same(receiver.try_peek(tx), unread.front()),
            12 if !unread.is_empty() => same(receiver.peek(tx).ok(), unread.front()),
            13 => assert_eq!(receiver.is_empty(tx), unread.is_empty()),
            14 => {
                self.made += 1;
                receiver.unget(tx, T::of(self.made));
                unread.push_front(self.made);
            }
            _ => {
                for _ in 0..1 + random.below(3) {
                    self.made += 1;
                    broadcast.write(tx, T::of(self.made));
                    self.unread.iter_mut().for_each(|unread| unread.push_back(self.made));
                }
            }
        }
    }

    fn compare(&mut self, tx: &Tx<'_>, (_, receivers): &Self::Real) {
        for (receiver, unread) in receivers.borrow().iter().zip(&mut self.unread) {
            let made = receiver.clone();
            while let Some(number) = unread.pop_front() {
                same(made.try_read(tx), Some(&number));
            }
            assert!(made.is_empty(tx));
        }
    }
}

#[test]
fn s6_3_every_receiver_sees_everything_once() {
    for seed in 0..SEEDS {
        let space = Space::new();
        let model = Broadcast::<u64> { unread: Vec::new(), made: 0, real: PhantomData };
        run(&space, seed, transactions(), &(TBroadcast::new_in(&space), Vec::new().into()), model);
        let space = Space::new();
        let model = Broadcast::<Box<u64>> { unread: Vec::new(), made: 0, real: PhantomData };
        run(&space, seed, transactions(), &(TBroadcast::new_in(&space), Vec::new().into()), model);
    }
}

// ---- priorities, sets, boxes, arrays ----

/// By priority, the greatest first, then by the order of pushes.
#[derive(Clone, Default)]
struct Priorities {
    items: BTreeMap<(std::cmp::Reverse<u64>, u64), u64>,
    made: u64,
}

impl Model for Priorities {
    type Real = TPriorityQueue<u64, Box<u64>>;

    fn step(&mut self, tx: &Tx<'_>, real: &Self::Real, random: &mut Random) {
        let first = self.items.iter().next().map(|(key, item)| (key.0.0, *item));
        let shown = |found: Option<(&u64, &Box<u64>)>| found.map(|(priority, item)| (*priority, **item));
        match random.below(10) {
            0..=2 => {
                assert_eq!(shown(real.try_pop(tx)), first);
                self.items.pop_first();
            }
            3 if first.is_some() => {
                assert_eq!(shown(real.pop(tx).ok()), first);
                self.items.pop_first();
            }
            4 => assert_eq!(shown(real.try_peek(tx)), first),
            5 if first.is_some() => assert_eq!(shown(real.peek(tx).ok()), first),
            6 => assert_eq!((real.len(tx), real.is_empty(tx)), (self.items.len(), first.is_none())),
            7 if random.below(20) == 0 => {
                real.clear(tx);
                self.items.clear();
            }
            _ => {
                self.made += 1;
                let priority = random.below(6);
                real.push(tx, priority, Box::new(self.made));
                self.items.insert((std::cmp::Reverse(priority), self.made), self.made);
            }
        }
    }

    fn compare(&mut self, tx: &Tx<'_>, real: &Self::Real) {
        while let Some((key, item)) = self.items.pop_first() {
            assert_eq!(real.try_pop(tx).map(|(priority, item)| (*priority, **item)), Some((key.0.0, item)));
        }
        assert!(real.try_pop(tx).is_none());
    }
}

#[test]
fn s6_3_a_priority_queue_hands_out_the_greatest_and_of_equals_the_oldest() {
    for seed in 0..SEEDS {
        let space = Space::new();
        run(&space, seed, transactions(), &TPriorityQueue::new_in(&space), Priorities::default());
    }
}

#[test]
fn s6_3_a_priority_queue_goes_on_from_what_it_is_made_of() {
    let space = Space::new();
    let queue = TPriorityQueue::with_items_in(&space, [(1, "a"), (2, "b"), (1, "c")]);
    space.atomically(|tx| Ok([(2, "d"), (1, "e")].map(|(priority, item)| queue.push(tx, priority, item))));
    let order = space.atomically(|tx| Ok(std::iter::from_fn(|| queue.try_pop(tx).map(|(_, item)| *item)).collect()));
    let order: Vec<&str> = order;
    assert_eq!(order, ["b", "d", "a", "c", "e"]);
}

#[derive(Clone, Default)]
struct Set(BTreeSet<String>);

impl Model for Set {
    type Real = TSet<String>;

    fn step(&mut self, tx: &Tx<'_>, real: &TSet<String>, random: &mut Random) {
        let element = random.below(40).to_string();
        match random.below(12) {
            0..=4 => assert_eq!(real.insert(tx, element.clone()), self.0.insert(element)),
            5..=7 => assert_eq!(real.remove(tx, element.as_str()), self.0.remove(&element)),
            8 => assert_eq!(real.contains(tx, element.as_str()), self.0.contains(&element)),
            9 => assert_eq!((real.len(tx), real.is_empty(tx)), (self.0.len(), self.0.is_empty())),
            10 if random.below(20) == 0 => {
                real.clear(tx);
                self.0.clear();
            }
            _ => assert_eq!(real.iter(tx).cloned().collect::<BTreeSet<_>>(), self.0),
        }
    }

    fn compare(&mut self, tx: &Tx<'_>, real: &TSet<String>) {
        assert!(real.iter(tx).collect::<BTreeSet<_>>().into_iter().eq(&self.0));
    }
}

#[test]
fn s6_3_a_set_is_a_set() {
    for seed in 0..SEEDS {
        let space = Space::new();
        run(&space, seed, transactions(), &TSet::new_in(&space), Set::default());
    }
}

#[derive(Clone, Default)]
struct Slot {
    value: Option<u64>,
    made: u64,
}

impl Model for Slot {
    type Real = TMVar<Box<u64>>;

    fn step(&mut self, tx: &Tx<'_>, real: &Self::Real, random: &mut Random) {
        self.made += 1;
        let (number, full) = (self.made, self.value.is_some());
        match random.below(9) {
            0 => same(real.try_take(tx), self.value.take().as_ref()),
            1 if full => same(real.take(tx).ok(), self.value.take().as_ref()),
            2 => same(real.try_read(tx), self.value.as_ref()),
            3 if full => same(real.read(tx).ok(), self.value.as_ref()),
            4 => match real.try_put(tx, Box::new(number)) {
                Ok(()) => assert_eq!(self.value.replace(number), None),
                Err(value) => assert_eq!((*value, full), (number, true)),
            },
            5 if !full => {
                assert!(real.put(tx, Box::new(number)).is_ok());
                self.value = Some(number);
            }
            6 if full => same(real.swap(tx, Box::new(number)).ok(), self.value.replace(number).as_ref()),
            7 => {
                real.write(tx, Box::new(number));
                self.value = Some(number);
            }
            _ => assert_eq!(real.is_empty(tx), !full),
        }
    }

    fn compare(&mut self, tx: &Tx<'_>, real: &Self::Real) {
        same(real.try_read(tx), self.value.as_ref());
    }
}

#[test]
fn s6_3_a_box_is_empty_or_full() {
    for seed in 0..SEEDS {
        let space = Space::new();
        run(&space, seed, transactions(), &TMVar::empty_in(&space), Slot::default());
        let full = Slot { value: Some(0), made: 0 };
        let space = Space::new();
        run(&space, seed, 20, &TMVar::new_in(&space, Box::new(0)), full);
    }
}

impl Model for Vec<String> {
    type Real = TArray<String>;

    fn step(&mut self, tx: &Tx<'_>, real: &TArray<String>, random: &mut Random) {
        let (index, text) = (random.below(self.len() as u64) as usize, random.below(1000).to_string());
        match random.below(4) {
            0 => assert_eq!(*real.read(tx, index), self[index]),
            1 => {
                real.write(tx, index, text.clone());
                self[index] = text;
            }
            2 => {
                real.modify(tx, index, |old| format!("{:.20}{text}", old));
                self[index] = format!("{:.20}{text}", self[index]);
            }
            _ => self.compare(tx, real),
        }
    }

    fn compare(&mut self, tx: &Tx<'_>, real: &TArray<String>) {
        assert!(real.iter(tx).eq(self.iter()) && real.iter(tx).rev().eq(self.iter().rev()));
        assert_eq!((real.len(), real.is_empty(), real.iter(tx).len()), (self.len(), false, self.len()));
    }
}

#[test]
fn s6_3_an_array_is_an_array() {
    for seed in 0..SEEDS {
        let space = Space::new();
        let model: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        run(&space, seed, transactions(), &TArray::new_in(&space, model.clone()), model);
    }
}
