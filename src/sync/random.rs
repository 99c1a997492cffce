//! Jitter: a small generator per thread, seeded from the thread's own address.

#[cfg(not(tvar_loom))]
use {
    rand::{RngExt, SeedableRng, rngs::SmallRng},
    std::cell::RefCell,
};

/// A model has no jitter: its schedules must repeat.
#[cfg(tvar_loom)]
pub(crate) fn up_to(_max: u32) -> u32 {
    0
}

#[cfg(not(tvar_loom))]
super::tls!(static JITTER: RefCell<Option<SmallRng>> = RefCell::new(None));

/// A number in `0..=max`; not for anything but spreading threads apart.
#[cfg(not(tvar_loom))]
pub(crate) fn up_to(max: u32) -> u32 {
    JITTER
        .try_with(|cell| {
            let mut slot = cell.borrow_mut();
            let seed = std::ptr::from_ref(cell).addr() as u64;
            let rng = slot.get_or_insert_with(|| SmallRng::seed_from_u64(seed));
            rng.random_range(0..=max)
        })
        .unwrap_or(max)
}
