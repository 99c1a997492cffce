//! Numbers of ordered keys: 64 bits that grow with the key, so that a search mostly need not look at the keys themselves.

use super::row::Kind;
use crate::sync::Arc;
use std::any::TypeId;

/// The number of a key. Borrowed forms of a key have the key's number, as far as their types are known
/// here; `None`: it cannot be told from this form.
pub(crate) fn number_of<K: 'static, Q: ?Sized + 'static>(key: &Q) -> Option<u64> {
    let whole = TypeId::of::<K>();
    macro_rules! integer {
        ($($t:ty, $wide:ty, $flip:expr;)*) => {$(
            if whole == TypeId::of::<$t>() {
                return same::<Q, $t>(key).map(|key| (*key as $wide as u64) ^ $flip);
            }
        )*};
    }
    integer! {
        u64, u64, 0; u32, u64, 0; u16, u64, 0; u8, u64, 0; usize, u64, 0; bool, u64, 0; char, u64, 0;
        i64, i64, SIGN; i32, i64, SIGN; i16, i64, SIGN; i8, i64, SIGN; isize, i64, SIGN;
    }
    macro_rules! text {
        ($($t:ty)*) => {$(
            if whole == TypeId::of::<$t>() {
                let text: Option<&str> = same::<Q, $t>(key).map(|key| &**key).or_else(|| same_str(key));
                return text.map(|text| first_bytes(text.as_bytes()));
            }
        )*};
    }
    text!(String &'static str Box<str> Arc<str>);
    if whole == TypeId::of::<Vec<u8>>() {
        return same::<Q, Vec<u8>>(key).map(|key| first_bytes(key));
    }
    Some(0)
}

/// How the rows of an ordered map with such keys are ordered.
pub(crate) fn kind_of<K: 'static>() -> Kind {
    let whole = TypeId::of::<K>();
    macro_rules! any_of { ($($p:ty)*) => { $(whole == TypeId::of::<$p>())||* } }
    if any_of!(u64 u32 u16 u8 usize bool char i64 i32 i16 i8 isize) { Kind::Exact } else { Kind::Ordered }
}

const SIGN: u64 = 1 << 63;

/// Grows with the bytes: the first eight, as a number.
fn first_bytes(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let len = bytes.len().min(8);
    first[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(first)
}

/// The key as a `T`, if that is its type.
fn same<Q: ?Sized + 'static, T: 'static>(key: &Q) -> Option<&T> {
    // SAFETY: the types are the same.
    (TypeId::of::<Q>() == TypeId::of::<T>()).then(|| unsafe { &*std::ptr::from_ref(key).cast::<T>() })
}

fn same_str<Q: ?Sized + 'static>(key: &Q) -> Option<&str> {
    // SAFETY: the types are the same, and so the references to them.
    (TypeId::of::<Q>() == TypeId::of::<str>()).then(|| unsafe { std::mem::transmute_copy::<&Q, &str>(&key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grows<K: Ord + 'static>(keys: &[K]) {
        for pair in keys.windows(2) {
            let (a, b) = (number_of::<K, K>(&pair[0]), number_of::<K, K>(&pair[1]));
            assert!(pair[0] < pair[1] && a <= b && (kind_of::<K>() != Kind::Exact || a < b));
        }
    }

    #[test]
    fn numbers_grow_with_the_keys() {
        grows(&[i64::MIN, -5, -1, 0, 1, 5, i64::MAX]);
        grows(&[i8::MIN, -1, 0, i8::MAX]);
        grows(&[0u64, 1, u64::MAX]);
        grows(&[false, true]);
        grows(&['a', 'z', '\u{10FFFF}']);
        grows(&["", "\0", "a", "a\0", "abcdefgh", "abcdefghi", "b"].map(String::from));
        grows(&[vec![], vec![0u8], vec![0, 0], vec![255]]);
        grows(&[(1, 2), (1, 3), (2, 0)]);
    }

    #[test]
    fn borrowed_forms_have_the_same_number() {
        assert_eq!(number_of::<String, str>("abc"), number_of::<String, String>(&"abc".into()));
        assert_eq!(number_of::<(u8, u8), (u8, u8)>(&(1, 2)), Some(0));
        assert_eq!(number_of::<Vec<u8>, [u8]>(&[1]), None);
    }
}
