//! Values as the tree holds them: one machine word per slot, inline or a pointer to a box.
//!
//! Inline is a closed list of primitives, decided by `TypeId` (never "small and plain": an `AtomicU64` is small,
//! and copying the leaf that holds it would be a data race). Everything else is boxed behind a type-erased header.

use std::any::TypeId;
use std::mem::{ManuallyDrop, MaybeUninit};

/// What a slot holds: the bits of an inline primitive or the address of a [`Boxed`].
#[derive(Clone, Copy)]
pub(super) union Word {
    bits: u64,
    boxed: *mut Header,
}

/// The type-erased front of a [`Boxed`].
#[repr(C)]
pub(super) struct Header {
    free: unsafe fn(*mut Header),
}

impl Header {
    /// The front of something that `free` ends.
    pub(super) fn new(free: unsafe fn(*mut Header)) -> Header {
        Header { free }
    }
}

/// A value that is not inline.
#[repr(C)]
struct Boxed<T> {
    header: Header,
    value: T,
}

/// Whether values of `T` are stored in the leaf itself (and compared by their bits).
#[inline(always)]
pub(super) fn is_inline<T: 'static>() -> bool {
    let t = TypeId::of::<T>();
    macro_rules! any_of { ($($p:ty)*) => { $(t == TypeId::of::<$p>())||* } }
    any_of!(i64 u64 i32 u32 usize isize bool f64 f32 u8 i8 u16 i16 char)
}

/// Values of more bytes do not wait for a batch of the vacuum, though nobody would notice their end.
const SMALL: usize = 64;

/// Whether values of `T` are small, and their ends run no user code: they may wait for a batch of the vacuum (§1.7).
#[inline(always)]
pub(super) fn is_plain<T>() -> bool {
    !std::mem::needs_drop::<T>() && size_of::<T>() <= SMALL
}

impl Word {
    /// What a slot holds that nobody has written.
    pub(super) const EMPTY: Word = Word { bits: 0 };

    /// Takes ownership of `value`.
    #[inline]
    pub(super) fn encode<T: 'static>(value: T) -> Word {
        if is_inline::<T>() {
            let value = ManuallyDrop::new(value);
            let mut bits = 0u64;
            // SAFETY: I10: an inline `T` is a primitive of at most eight bytes without padding, so its bytes fit
            // and are initialised; source and destination are distinct locals.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    (&raw const *value).cast::<u8>(),
                    (&raw mut bits).cast::<u8>(),
                    size_of::<T>(),
                );
            }
            Word { bits }
        } else {
            let boxed = Box::new(Boxed { header: Header { free: free::<T> }, value });
            Word { boxed: Box::into_raw(boxed).cast() }
        }
    }

    /// A word that is the address of something with such a front.
    pub(super) fn of_header(header: *mut Header) -> Word {
        Word { boxed: header }
    }

    /// Whether two words of one inline type hold the same value, bit for bit.
    #[inline(always)]
    pub(super) fn same_bits(self, other: Word) -> bool {
        // SAFETY: I10: called for inline types alone; their words were made from initialised bits.
        unsafe { self.bits == other.bits }
    }

    /// The box that a word of a boxed type points to.
    ///
    /// # Safety
    /// The word was made by `encode::<T>` with a `T` that is not inline.
    pub(super) unsafe fn header(self) -> *mut Header {
        // SAFETY: the caller's promise.
        unsafe { self.boxed }
    }
}

/// The value behind a word.
///
/// # Safety
/// `*word` was made by `encode::<T>`, and neither it nor its box changes or goes away during `'a`.
#[inline(always)]
pub(super) unsafe fn view<'a, T: 'static>(word: *const Word) -> &'a T {
    if is_inline::<T>() {
        // SAFETY: I10: the first bytes of the word are a `T`; the caller keeps the word in place.
        unsafe { &*word.cast::<T>() }
    } else {
        // SAFETY: I10: the word points to a `Boxed<T>` that the caller keeps alive.
        unsafe { &(*(*word).boxed.cast::<Boxed<T>>()).value }
    }
}

/// A copy of the inline value in a word.
///
/// # Safety
/// `word` was made by `encode::<T>` and `T` is inline.
#[inline(always)]
pub(super) unsafe fn copy_out<T: 'static>(word: Word) -> T {
    let mut out = MaybeUninit::<T>::uninit();
    // SAFETY: I10: the first `size_of::<T>()` bytes of the word are a valid `T`, which is `Copy`.
    unsafe {
        std::ptr::copy_nonoverlapping((&raw const word).cast::<u8>(), out.as_mut_ptr().cast::<u8>(), size_of::<T>());
        out.assume_init()
    }
}

/// Drops a boxed value and its box. Runs user code.
///
/// # Safety
/// `header` came out of `encode` and nobody can reach it any more.
pub(super) unsafe fn free_boxed(header: *mut Header) {
    // SAFETY: the header's own function knows the type; the caller owns the box.
    unsafe { ((*header).free)(header) }
}

unsafe fn free<T>(header: *mut Header) {
    // SAFETY: made by `Box::into_raw(Box<Boxed<T>>)` in `encode::<T>`, owned by the caller.
    drop(unsafe { Box::from_raw(header.cast::<Boxed<T>>()) });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: 'static + Clone + PartialEq + std::fmt::Debug>(value: T, inline: bool) {
        assert_eq!(is_inline::<T>(), inline);
        let word = Word::encode(value.clone());
        // SAFETY: the word was just made from a `T` and is freed once, after its last use.
        unsafe {
            assert_eq!(*view::<T>(&raw const word), value);
            if inline {
                assert_eq!(copy_out::<T>(word), value);
            } else {
                free_boxed(word.header());
            }
        }
    }

    #[test]
    fn words_round_trip_every_inline_primitive_and_boxes() {
        round_trip(-5i8, true);
        round_trip(u16::MAX, true);
        round_trip(-70_000i32, true);
        round_trip(u64::MAX, true);
        round_trip(isize::MIN, true);
        round_trip(true, true);
        round_trip('\u{10FFFF}', true);
        round_trip(-0.0f32, true);
        round_trip(1.5f64, true);
        round_trip(u128::MAX, false);
        round_trip((), false);
        round_trip(String::from("boxed"), false);
        assert!(!is_inline::<std::sync::atomic::AtomicU64>());
        assert!(!is_inline::<&'static str>());
    }

    #[test]
    fn equal_bits_are_equal_and_distinct_floats_are_not() {
        assert!(Word::encode(f64::NAN).same_bits(Word::encode(f64::NAN)));
        assert!(!Word::encode(0.0f64).same_bits(Word::encode(-0.0f64)));
        assert!(!Word::encode(1u8).same_bits(Word::encode(2u8)));
    }
}
