//! A commit that takes announced ones along: what they all write together, and what becomes of each (C6).
//!
//! First a plan is made, in which merge functions run; then the draft, in which no user code does.

use super::announce::{Announced, Announcement, Batch, Content, Ruling, Verdict, Word as VerdictWord};
use super::build::{Buffers, Published, Watch};
use super::draft::Draft;
use super::functions::Made;
use super::index::{Index, OfSlot};
use super::limbo::{Retired, What};
use super::member::Count;
use super::merge::{self, OwnedWord, Source};
use super::node;
use super::pins;
use super::reclaim::Garbage;
use super::value::{Header, Word};
use super::workspace::{Workspace, slot_at};
use super::writes::Entry;
use crate::sync::probe::Probe;
use crate::sync::steps::{Point, pass};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// Reads and writes of a commit that announces at most: everybody validates them.
const MOST: usize = 1024;

/// The last write to a slot.
struct Write {
    slot: u32,
    /// What the write set that it is from has of the variable; pinned with its announcement (C8), or the attempt's own.
    entry: NonNull<Entry>,
    word: Word,
}

impl OfSlot for Write {
    #[inline(always)]
    fn slot(&self) -> u32 {
        self.slot
    }
}

/// What a batch writes and decides.
#[derive(Default)]
pub(super) struct Plan {
    writes: Vec<Write>,
    index: Index,
    rulings: Vec<Ruling>,
    /// Results of the members' merge functions.
    merged: Vec<OwnedWord>,
    /// Values that a member writes and a later one overwrites.
    superseded: Vec<NonNull<Header>>,
    found: Vec<NonNull<Announcement>>,
}

impl Plan {
    /// Adds a write, the last one to its slot so far. `base` is pinned.
    fn put(&mut self, base: *const node::Root, entry: &Entry, word: Word) {
        match self.index.find(entry.slot, &self.writes) {
            Some(at) => {
                let write = &mut self.writes[at];
                if !entry.state.is_inline() {
                    // SAFETY: both writes are to one variable, whose type is boxed.
                    self.superseded.extend(NonNull::new(unsafe { write.word.header() }));
                }
                write.entry = entry.into();
                write.word = word;
            }
            None if entry.keeps(slot_at(base, entry.slot), word) => {}
            None => {
                self.writes.push(Write { slot: entry.slot, entry: entry.into(), word });
                self.index.inserted(entry.slot, &self.writes);
            }
        }
    }

    /// Whether any member has merge functions.
    fn has_functions(&self) -> bool {
        // SAFETY: C8: undecided in the base, which is pinned.
        self.found.iter().any(|member| unsafe { member.as_ref().content.as_ref() }.functions)
    }

    /// The oldest version that a member's owner has pinned.
    fn oldest(&self) -> Option<u64> {
        // SAFETY: C8: undecided in the base, which is pinned.
        self.found.iter().map(|member| unsafe { member.as_ref() }.pinned).min()
    }

    /// Writes it all into a draft, and notes which slots that changes.
    #[cold]
    pub(super) fn write_to(&self, draft: &mut Draft<'_>, changed: &mut Vec<u32>) {
        for write in &self.writes {
            // SAFETY: C8: pinned by the base; or the attempt's own.
            let entry = unsafe { write.entry.as_ref() };
            // Even if it is what the base has: then it was something else in between, and a commit that asks must see that.
            draft.put(entry, slot_at(draft.base, write.slot), write.word);
            changed.push(write.slot);
        }
        let born = self.oldest().unwrap_or(draft.version - 1);
        for value in &self.superseded {
            // Never in a root; but other helpers may be looking at it, as long as at its announcement (C8).
            draft.limbo.push(Retired::new(born, draft.version, What::Value(value.as_ptr())));
        }
        if !self.rulings.is_empty() {
            draft.begin();
            let batch = Box::new(Batch { probe: Probe::new(), rulings: self.rulings.clone() });
            batch.probe.write(true);
            // SAFETY: I2: the draft is private.
            unsafe { (*draft.root).batch = Box::into_raw(batch) };
        }
    }

    /// Forgets everything; what was not published ends in `trash`.
    fn clear(&mut self, published: bool, trash: &mut Vec<Garbage>) {
        for owned in self.merged.drain(..) {
            if published {
                owned.publish();
            } else {
                trash.extend(owned.into_garbage());
            }
        }
        for ruling in self.rulings.drain(..).filter(|_| !published) {
            // SAFETY: never published.
            trash.extend(unsafe { ruling.verdict.into_garbage() });
        }
        self.writes.clear();
        self.index.clear();
        self.superseded.clear();
        self.found.clear();
    }
}

impl Workspace<'_> {
    /// Whether any commit may be announced. To be asked after the base was chosen (C5). If so, the base's verdicts are finished now (C7).
    #[inline(always)]
    pub(crate) fn finish_if_announced(&self) -> bool {
        let any = self.seat.store.board.any();
        if any {
            // SAFETY: I3: the base is pinned.
            unsafe { self.seat.store.board.finish(&*self.base.get()) };
        }
        any
    }

    /// Whether any commit may be announced, for a commit that then leaves its short way.
    #[inline(always)]
    pub(crate) fn is_any_announced(&self) -> bool {
        self.seat.store.board.any()
    }

    /// Announces the attempt's writes, which from here on end with a verdict (C5, C9). `None` if they cannot be announced.
    #[cold]
    pub(crate) fn announce(&mut self, watch: Watch<'_>, party: u64) -> Option<Announced> {
        let member = self.seat.member;
        // SAFETY: I9: no user code runs in here.
        let (own, scratch) = unsafe { (member.own(), member.scratch()) };
        let writes = &mut scratch.writes;
        let needs_initial =
            |entry: &Entry| entry.state.is_merge() && !entry.state.is_inline() && entry.before.cell.is_some();
        let changes = |entry: &Entry| {
            entry.state.is_merge() || !entry.keeps(slot_at(self.base.get(), entry.slot), entry.state.word)
        };
        if !writes.thens.is_empty()
            || writes.maps
            || scratch.maps.has_reads()
            || writes.entries.len() > MOST
            || writes.entries.iter().any(needs_initial)
            || !writes.entries.iter().any(changes)
        {
            return None;
        }
        let content = own.pool.content();
        // SAFETY: private until it is linked.
        let made = unsafe { &mut *content };
        match watch {
            Watch::Reads => member.reads.add_to(&mut made.watched),
            Watch::Writes { ensured } => made.watched.extend(ensured.iter().copied().chain(writes.written())),
        }
        let pinned = self.pinned();
        let announced = (made.watched.len() + writes.entries.len() <= MOST).then(|| {
            made.take(writes);
            // SAFETY: the content is not null; the attempt goes on, with its snapshot pinned, until the verdict.
            let linked = unsafe {
                let content = NonNull::new_unchecked(content);
                self.seat.store.board.link(Announcement::new(self.version.get(), pinned, party, content))
            };
            if linked.is_err() {
                made.give_back(writes);
            }
            linked.ok()
        });
        let announced = announced.flatten();
        if announced.is_none() {
            // SAFETY: never linked.
            unsafe { own.pool.put_content(content, false, &mut scratch.trash) };
        }
        announced
    }

    /// Says as whom it is announced from now on (L5).
    pub(crate) fn set_party(&self, announced: Announced, party: u64) {
        // SAFETY: C8: undecided, or the attempt's pins are no newer than the verdict.
        unsafe { announced.0.as_ref() }.set_party(party);
    }

    /// A slot that an announced commit writes and for which the test holds.
    pub(crate) fn find_announced(&self, announced: Announced, mut test: impl FnMut(u32) -> bool) -> Option<u32> {
        // SAFETY: C8: undecided, or the attempt's pins are no newer than the verdict; the content is the attempt's until it concludes.
        let entries = unsafe { &announced.0.as_ref().content.as_ref().entries };
        entries.iter().map(OfSlot::slot).find(|slot| test(*slot))
    }

    /// What became of the attempt's announced commit, if that is decided: then it is over, and [`Workspace::changed`] is what it wrote.
    pub(crate) fn conclude(&mut self, announced: Announced) -> Option<Verdict> {
        let (store, member) = (self.seat.store, self.seat.member);
        // SAFETY: C8: one of the attempt's pins is no newer than the verdict, if there is one.
        let announcement = unsafe { announced.0.as_ref() };
        let (verdict, content, pinned) = (announcement.verdict()?, announcement.content.as_ptr(), announcement.pinned);
        let published = matches!(verdict, Verdict::Committed(_));
        // SAFETY: I9: no user code runs in here; I3: pinned just now. C8: the content is the attempt's; others at most read it.
        unsafe {
            // From this version on nobody takes up what has been decided (C7).
            self.base.set(member.pin_base(store.newest()));
            self.base_word = 1;
            let decided = self.base_version();
            (*content).probe.read();
            let Buffers { changed, published_in, .. } = &mut member.scratch().build;
            if let Verdict::Committed(version) = verdict {
                *published_in = version;
            }
            changed.clear();
            changed.extend((*content).entries.iter().map(OfSlot::slot));
            let has_values = (*content).has_values(published);
            let retired = Retired::new(pinned, decided, What::Content { content, has_values, published });
            member.limbo().push(retired);
            member.set_backlog(member.limbo());
        }
        self.published = true;
        Some(verdict)
    }

    /// Whether it is decided.
    pub(crate) fn is_decided(&self, announced: Announced) -> bool {
        // SAFETY: C8: as above.
        unsafe { announced.0.as_ref() }.is_decided()
    }

    /// Builds the next root from the attempt's own writes and all announced ones, and tries to swap it in. The base's verdicts are finished,
    /// and own functions evaluated. `waiters` and `even_unchanged` as for the other ways to publish. Runs merge functions of others.
    ///
    /// `own`: the attempt's announced commit, without which nothing is published. `admits` says whether a party may write a slot (L5): others stay
    /// announced.
    #[cold]
    pub(crate) fn publish_batch(
        &mut self,
        waiters: bool,
        even_unchanged: bool,
        own: Option<Announced>,
        admits: impl Fn(u64, u32) -> bool,
    ) -> Published {
        let mut plan = self.take_plan();
        // SAFETY: I3: the base is pinned; C7: its verdicts are finished.
        if !unsafe { self.seat.store.board.gather(self.base.get(), self.seat.store.newest(), &mut plan.found) } {
            self.give_plan(plan, false);
            return Published::Lost;
        }
        // SAFETY: C8: undecided in the base, which is pinned.
        plan.found.retain(|member| unsafe {
            let (party, content) = (member.as_ref().party(), member.as_ref().content.as_ref());
            content.entries.iter().all(|entry| admits(party, entry.slot))
        });
        if own.is_some_and(|own| !plan.found.contains(&own.0)) {
            // Decided, or locked just now. The pins stay as they are until it is known which (C8).
            self.give_plan(plan, false);
            return Published::Unchanged;
        }
        // SAFETY: I3: as above.
        let version = unsafe { self.base_version() };
        let word = &self.seat.member.words[self.base_word];
        let widened = plan.has_functions();
        if widened {
            // C8: a member's function may get a value that another root publishes and retires meanwhile, or that of a variable without handles.
            pins::widen(word, plan.oldest().unwrap_or(version));
            if !self.base_is_newest() {
                pins::narrow(word, version);
                self.give_plan(plan, false);
                return Published::Lost;
            }
        }
        self.plan_own(&mut plan);
        for at in 0..plan.found.len() {
            let member = plan.found[at];
            // SAFETY: C8: the base is pinned.
            let verdict = self.judge(unsafe { member.as_ref() }, &mut plan);
            plan.rulings.push(Ruling { member, verdict });
        }
        if widened {
            pins::narrow(word, version);
        }
        self.publish_plan(plan, waiters, even_unchanged)
    }

    /// Tries to swap in a root that changes nothing but says that this commit was withdrawn (C9). The base's verdicts are finished.
    #[cold]
    pub(crate) fn publish_withdrawal(&mut self, announced: Announced, waiters: bool) -> Published {
        let mut plan = self.take_plan();
        plan.rulings.push(Ruling { member: announced.0, verdict: VerdictWord::WITHDRAWN });
        self.publish_plan(plan, waiters, false)
    }

    fn publish_plan(&mut self, plan: Plan, waiters: bool, even_unchanged: bool) -> Published {
        // A hook that panics leaves the plan to be discarded.
        let mut ending = Ending { plan, published: false, ws: self };
        let outcome = ending.ws.publish_draft::<false>(waiters, even_unchanged, Some(&ending.plan));
        ending.published = outcome == Published::Yes;
        if ending.published && !ending.plan.rulings.is_empty() {
            ending.ws.count(Count::Batches);
            pass(Point::Decided);
        }
        outcome
    }

    fn take_plan(&mut self) -> Plan {
        // SAFETY: I9: a short look.
        std::mem::take(unsafe { &mut self.scratch().build.plan })
    }

    fn give_plan(&mut self, mut plan: Plan, published: bool) {
        // SAFETY: I9: no user code runs in here.
        let scratch = unsafe { self.scratch() };
        plan.clear(published, &mut scratch.trash);
        scratch.build.plan = plan;
    }

    /// The attempt's own writes come first: they were validated against the base.
    fn plan_own(&mut self, plan: &mut Plan) {
        // SAFETY: I9: no user code runs in here, and the entries stay as they are during the commit.
        let scratch = unsafe { self.scratch() };
        let mut merged = scratch.build.merged.iter();
        for entry in &scratch.writes.entries {
            let word = if entry.state.is_merge() {
                merged.next().expect("every merge was evaluated").1.word
            } else {
                entry.state.word
            };
            plan.put(self.base.get(), entry, word);
        }
    }

    /// Validates an announced commit against the base and what the members before it write, and adds its writes if it may commit.
    fn judge(&self, member: &Announcement, plan: &mut Plan) -> VerdictWord {
        let is_stale = |slot: &&u32| {
            // SAFETY: I3: the base is pinned.
            plan.index.find(**slot, &plan.writes).is_some()
                || unsafe { node::stamp(self.base.get(), **slot) } > member.version
        };
        // SAFETY: C8: undecided in the base, which is pinned.
        let content = unsafe { member.content.as_ref() };
        content.probe.read();
        if let Some(&slot) = content.watched.iter().find(is_stale) {
            return VerdictWord::conflict(slot);
        }
        let results = match self.apply_merges(content, plan) {
            Ok(results) => results,
            Err(payload) => return VerdictWord::panicked(payload),
        };
        let mut words = results.iter().map(|owned| owned.word);
        for entry in &content.entries {
            let word = if entry.state.is_merge() {
                words.next().expect("every merge was evaluated")
            } else {
                entry.state.word
            };
            plan.put(self.base.get(), entry, word);
        }
        plan.merged.extend(results);
        // SAFETY: I3: the base is pinned.
        VerdictWord::committed(unsafe { self.base_version() } + 1)
    }

    /// Applies a member's merge functions to what the base and the members before it have. Runs user code.
    fn apply_merges(&self, content: &Content, plan: &Plan) -> Result<Vec<OwnedWord>, Box<dyn Any + Send>> {
        let mut results = Made::new(self);
        for entry in content.entries.iter().filter(|entry| entry.state.is_merge()) {
            let planned = plan.index.find(entry.slot, &plan.writes).map(|at| plan.writes[at].word);
            let old = slot_at(self.base.get(), entry.slot);
            let source = match &planned {
                Some(word) => Source::Word(word),
                None if old.stamp > entry.born => Source::Word(&raw const old.word),
                None => Source::Initial(
                    entry.before.cell.as_ref().expect("unwritten in the base, so in the snapshot").as_ptr(),
                ),
            };
            let mut made = Made::new(self);
            // SAFETY: the word is of the entry's variable: in the base, which is pinned (I3), in a write set that lives as long (C8), or a result
            // in the plan; or the initial value of a variable unwritten in the base, whose handle the entry holds (I8).
            let apply = || unsafe {
                merge::apply_all(&entry.state.merges.to_vec(), source, entry.state.is_inline(), &mut made.words);
            };
            catch_unwind(AssertUnwindSafe(apply))?;
            results.words.push(made.words.pop().expect("a merge entry has at least one function"));
        }
        Ok(std::mem::take(&mut results.words))
    }
}

/// A plan on its way out; if it was published, its verdicts are made final.
struct Ending<'a, 's> {
    plan: Plan,
    published: bool,
    ws: &'a mut Workspace<'s>,
}

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        if self.published {
            for ruling in &self.plan.rulings {
                // SAFETY: C8: the ruling's root was published; its base is pinned.
                unsafe { self.ws.seat.store.board.settle(ruling) };
            }
        }
        self.ws.give_plan(std::mem::take(&mut self.plan), self.published);
    }
}
