//! A tell-tale inside every node of the tree: nothing in production, an access checker under loom.

/// Lets loom see the non-atomic accesses to a node: written while it is private, read while it is shared, written
/// again when it is recycled. An access without the happens-before that the code claims fails the model, and
/// so does a read of a node that has been recycled.
pub(crate) struct Probe {
    #[cfg(tvar_loom)]
    access: loom::cell::UnsafeCell<()>,
    #[cfg(tvar_loom)]
    alive: std::sync::atomic::AtomicBool,
}

#[cfg(not(tvar_loom))]
impl Probe {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Probe {}
    }

    #[inline(always)]
    pub(crate) fn read(&self) {}

    #[inline(always)]
    pub(crate) fn write(&self, _alive: bool) {}

    #[inline(always)]
    pub(crate) fn touch(&self) {}

    #[inline(always)]
    pub(crate) fn look(&self) {}
}

impl Probe {
    /// Of something that can be read as soon as it is made.
    #[inline(always)]
    pub(crate) fn alive() -> Self {
        let probe = Probe::new();
        probe.write(true);
        probe
    }
}

impl Default for Probe {
    #[inline(always)]
    fn default() -> Self {
        Probe::new()
    }
}

#[cfg(tvar_loom)]
impl Probe {
    pub(crate) fn new() -> Self {
        Probe { access: loom::cell::UnsafeCell::new(()), alive: std::sync::atomic::AtomicBool::new(false) }
    }

    /// The node is being read as part of a published root.
    pub(crate) fn read(&self) {
        self.access.with(|_| ());
        // ORDERING: Relaxed, an observer's flag; loom's cell above has already checked the happens-before.
        let alive = self.alive.load(std::sync::atomic::Ordering::Relaxed);
        assert!(alive, "a node was read after it had been recycled");
    }

    /// Whatever holds the probe is shared, and lives; nothing is counted.
    pub(crate) fn look(&self) {
        self.access.with(|_| ());
    }

    /// Whatever holds the probe is this thread's alone.
    pub(crate) fn touch(&self) {
        self.access.with_mut(|_| ());
    }

    /// The node is private: being made (`true`) or being recycled (`false`).
    pub(crate) fn write(&self, alive: bool) {
        self.access.with_mut(|_| ());
        // ORDERING: Relaxed, as above.
        let before = self.alive.swap(alive, std::sync::atomic::Ordering::Relaxed);
        in_use(isize::from(alive) - isize::from(before));
    }
}

#[cfg(tvar_loom)]
impl Drop for Probe {
    fn drop(&mut self) {
        in_use(-isize::from(*self.alive.get_mut()));
    }
}

/// Nodes that are in some tree or limbo, in neither a pool nor the allocator; changed by `change`.
#[cfg(tvar_loom)]
pub(crate) fn in_use(change: isize) -> isize {
    static NODES: std::sync::atomic::AtomicIsize = std::sync::atomic::AtomicIsize::new(0);
    // ORDERING: Relaxed, an observer's count.
    NODES.fetch_add(change, std::sync::atomic::Ordering::Relaxed) + change
}
