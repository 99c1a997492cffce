//! Chains of segments: what queues and broadcasts keep their items in (Q1 to Q4).

use crate::sync::Arc;
use crate::{Snapshot, Space, TVar, Tx};
use std::iter;

/// Slots of a segment: with the variable that leads on, as many variables as a leaf of the tree has.
const SLOTS: usize = 31;

/// The position of a chain's first item. There is room for as many before it, for items that are put back.
const FIRST: u64 = 1 << 63;

/// Consecutive slots of a chain.
pub(super) struct Segment<T> {
    /// The position of the first slot.
    first: u64,
    /// Positions that no item has had are `None` (Q1).
    slots: Box<[TVar<Option<T>>]>,
    /// Where the position after the last slot is found: not always as the first one of its segment (Q4).
    next: TVar<Option<Arc<Segment<T>>>>,
}

impl<T: Send + Sync + 'static> Segment<T> {
    fn new(
        space: &Space,
        first: u64,
        slots: impl IntoIterator<Item = Option<T>>,
        next: Option<Arc<Segment<T>>>,
    ) -> Arc<Self> {
        let slots = slots.into_iter().map(|item| TVar::new_in(space, item)).collect();
        Arc::new(Segment { first, slots, next: TVar::new_in(space, next) })
    }

    /// The slot of a position; `None` if it is further on.
    fn slot(&self, position: u64) -> Option<&TVar<Option<T>>> {
        self.slots.get((position - self.first) as usize)
    }
}

/// A place in a chain that moves on: where items are taken, or where they are added.
pub(super) struct End<T> {
    position: TVar<u64>,
    /// The segment of the position, or one before it (Q2).
    segment: TVar<Arc<Segment<T>>>,
}

/// The next item of an end.
pub(super) struct Found<'a, T> {
    pub(super) item: &'a T,
    slot: &'a TVar<Option<T>>,
    position: u64,
    /// The segment that the item is in, if the end is not there yet.
    moved: Option<&'a Arc<Segment<T>>>,
}

/// The ends of a new chain with these items: where they are taken, and where more are added.
pub(super) fn chain<T: Send + Sync + 'static>(space: &Space, items: impl IntoIterator<Item = T>) -> (End<T>, End<T>) {
    let mut items = items.into_iter().peekable();
    let mut pieces: Vec<Vec<T>> = Vec::new();
    while items.peek().is_some() {
        pieces.push(items.by_ref().take(SLOTS).collect());
    }
    if pieces.is_empty() {
        pieces.push(Vec::new());
    }
    let last_piece = pieces.len() - 1;
    let tail = FIRST + (last_piece * SLOTS + pieces[last_piece].len()) as u64;
    let (mut last, mut next) = (None, None);
    for (n, piece) in pieces.into_iter().enumerate().rev() {
        let slots = piece.into_iter().map(Some).chain(iter::repeat_with(|| None)).take(SLOTS);
        let segment = Segment::new(space, FIRST + (n * SLOTS) as u64, slots, next);
        last.get_or_insert_with(|| segment.clone());
        next = Some(segment);
    }
    let (head, last) = (next.expect("there is a piece"), last.expect("there is a piece"));
    (End::at(space, FIRST, head), End::at(space, tail, last))
}

impl<T: Send + Sync + 'static> End<T> {
    fn at(space: &Space, position: u64, segment: Arc<Segment<T>>) -> Self {
        End { position: TVar::new_in(space, position), segment: TVar::new_in(space, segment) }
    }

    /// Another end at the same place.
    pub(super) fn another(&self, tx: &Tx<'_>) -> Self {
        End::at(&self.position.space(), *tx.read(&self.position), tx.read(&self.segment).clone())
    }

    /// How many items have passed here. An end that has been put back counts as such.
    pub(super) fn count(&self, snapshot: &Snapshot) -> u64 {
        snapshot.read(&self.position).wrapping_sub(FIRST)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.position.space().snapshot()
    }

    /// Adds an item. Slots are written without being read (Q3).
    pub(super) fn push(&self, tx: &Tx<'_>, item: T) {
        let position = *tx.read(&self.position);
        let segment = tx.read(&self.segment);
        match segment.slot(position) {
            Some(slot) => tx.write(slot, Some(item)),
            None => self.push_in_new(tx, segment, position, item),
        }
        tx.write(&self.position, position + 1);
    }

    #[cold]
    fn push_in_new(&self, tx: &Tx<'_>, segment: &Segment<T>, position: u64, item: T) {
        let slots = iter::once(Some(item)).chain(iter::repeat_with(|| None)).take(SLOTS);
        let new = Segment::new(&self.position.space(), position, slots, None);
        tx.write(&segment.next, Some(new.clone()));
        tx.write(&self.segment, new);
    }

    /// The next item. Its absence is read as a slot, or as a segment, that is not there yet (Q3).
    pub(super) fn find<'a>(&'a self, tx: &'a Tx<'_>) -> Option<Found<'a, T>> {
        let position = *tx.read(&self.position);
        let (mut segment, mut moved) = (tx.read(&self.segment), None);
        loop {
            if let Some(slot) = segment.slot(position) {
                return tx.read(slot).as_ref().map(|item| Found { item, slot, position, moved });
            }
            segment = tx.read(&segment.next).as_ref()?;
            moved = Some(segment);
        }
    }

    /// Goes on behind an item.
    pub(super) fn pass<'a>(&self, tx: &Tx<'_>, found: &Found<'a, T>) -> &'a T {
        tx.write(&self.position, found.position + 1);
        if let Some(segment) = found.moved {
            tx.write(&self.segment, segment.clone());
        }
        found.item
    }

    /// Goes on behind an item that nobody else takes, and clears its slot if its value has anything to drop (Q2).
    pub(super) fn take<'a>(&self, tx: &Tx<'_>, found: &Found<'a, T>) -> &'a T {
        if const { std::mem::needs_drop::<T>() } {
            tx.write(found.slot, None);
        }
        self.pass(tx, found)
    }

    /// Takes all items. Whole segments go with the link to them; only the last one has slots to clear.
    pub(super) fn take_all<'a>(&'a self, tx: &'a Tx<'_>) -> Vec<&'a T> {
        let begin = *tx.read(&self.position);
        let (mut position, mut segment, mut moved) = (begin, tx.read(&self.segment), false);
        let mut items = Vec::new();
        loop {
            let Some(slot) = segment.slot(position) else {
                let Some(next) = tx.read(&segment.next) else { break };
                (segment, moved) = (next, true);
                continue;
            };
            let Some(item) = tx.read(slot) else { break };
            items.push(item);
            position += 1;
        }
        if position != begin {
            if const { std::mem::needs_drop::<T>() } {
                let from = begin.max(segment.first);
                (from..position).filter_map(|p| segment.slot(p)).for_each(|slot| tx.write(slot, None));
            }
            tx.write(&self.position, position);
            if moved {
                tx.write(&self.segment, segment.clone());
            }
        }
        items
    }

    /// Puts an item before all others of an end that nobody shares the chain with: into the slot before it, else into a new segment (Q4).
    pub(super) fn put_back(&self, tx: &Tx<'_>, item: T) {
        let position = *tx.read(&self.position) - 1;
        let segment = tx.read(&self.segment);
        if position >= segment.first {
            // The end may be behind the last slot of its segment, but by one at most.
            let slot = segment.slot(position).expect("an end is in its segment or right behind it");
            tx.write(slot, Some(item));
        } else {
            let slots = iter::repeat_with(|| None).take(SLOTS - 1).chain(iter::once(Some(item)));
            let first = position + 1 - SLOTS as u64;
            let new = Segment::new(&self.position.space(), first, slots, Some(segment.clone()));
            tx.write(&self.segment, new);
        }
        tx.write(&self.position, position);
    }

    /// Puts an item before all others of this end, and of no other: into a segment of one slot (Q4).
    pub(super) fn put_back_apart(&self, tx: &Tx<'_>, item: T) {
        let position = *tx.read(&self.position);
        let mut segment = tx.read(&self.segment);
        // One that was put back and taken again must not stay in the chain. Its link never changes, so this meets no writer.
        while let ([_], None) = (&*segment.slots, segment.slot(position)) {
            segment =
                tx.read(&segment.next).as_ref().expect("an item that was put back leads to what it was put before");
        }
        let apart = Segment::new(&self.position.space(), position - 1, [Some(item)], Some(segment.clone()));
        tx.write(&self.segment, apart);
        tx.write(&self.position, position - 1);
    }

    /// What this end has before it in a snapshot.
    pub(super) fn items<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a T> {
        let (mut position, mut segment) = (*snapshot.read(&self.position), snapshot.read(&self.segment));
        iter::from_fn(move || {
            let slot = loop {
                match segment.slot(position) {
                    Some(slot) => break slot,
                    None => segment = snapshot.read(&segment.next).as_ref()?,
                }
            };
            position += 1;
            snapshot.read(slot).as_ref()
        })
    }
}
