//! One entry of a map (§6.1).

use super::base;
use crate::store::MapVar;
use crate::tx::Tx;
use std::fmt;

/// An entry of a map in a transaction, present or not; from [`TMap::entry`](crate::TMap::entry) and
/// [`TOrdMap::entry`](crate::TOrdMap::entry). What looks at it counts as a read of the key.
///
/// ```
/// use tvar::{TMap, atomically};
/// let words: TMap<String, usize> = TMap::new();
/// atomically(|tx| {
///     for word in ["to", "be", "or", "not", "to", "be"] {
///         words.entry(tx, word.into()).and_modify(|n| n + 1).or_insert(1);
///     }
///     assert_eq!(words.get(tx, "be"), Some(&2));
///     Ok(())
/// });
/// ```
pub struct Entry<'a, K, V> {
    pub(super) map: &'a MapVar<K, V>,
    pub(super) tx: &'a Tx<'a>,
    pub(super) number: u64,
    pub(super) key: K,
}

impl<'a, K: Clone + Send + Sync + 'static, V: Send + Sync + 'static> Entry<'a, K, V> {
    /// The key that was asked for.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The value that is there, as of now: later writes of the transaction are seen.
    pub fn get(&self) -> Option<&'a V> {
        base::get_own(self.map, self.tx, self.number, &self.key).map(|row| row.value)
    }

    /// Whether the key is in the map.
    pub fn is_present(&self) -> bool {
        self.get().is_some()
    }

    /// The value that is there, or else this one, which is put in.
    pub fn or_insert(self, value: V) -> &'a V {
        self.or_insert_with(|| value)
    }

    /// The value that is there, or else that of the function, which is put in. The function may use the transaction.
    pub fn or_insert_with(self, value: impl FnOnce() -> V) -> &'a V {
        match self.get() {
            Some(value) => value,
            None => {
                let value = value();
                self.insert(value)
            }
        }
    }

    /// The value that is there, or else the default, which is put in.
    #[allow(clippy::unwrap_or_default, reason = "this is what is being defined")]
    pub fn or_default(self) -> &'a V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Replaces the value by a function of it, if the key is there. The function may use the transaction.
    pub fn and_modify(self, f: impl FnOnce(&V) -> V) -> Self {
        if let Some(value) = self.get() {
            let value = f(value);
            self.put(value);
        }
        self
    }

    /// Gives the key a value, whatever was there; that value.
    pub fn insert(self, value: V) -> &'a V {
        self.put(value);
        self.get().expect("just put in")
    }

    /// Takes the entry out, if the key is there; its value.
    pub fn remove(self) -> Option<&'a V> {
        let row = base::get_own(self.map, self.tx, self.number, &self.key)?;
        self.tx.attempt.map_remove(self.map, self.number, row);
        Some(row.value)
    }

    fn put(&self, value: V) {
        self.tx.attempt.map_put(self.map, self.number, self.key.clone(), value);
    }
}

impl<K, V> fmt::Debug for Entry<'_, K, V>
where
    K: Clone + Send + Sync + fmt::Debug + 'static,
    V: Send + Sync + fmt::Debug + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).field("value", &self.get()).finish()
    }
}
