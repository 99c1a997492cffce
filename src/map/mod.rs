//! Maps whose operations are parts of transactions (§6.1, §6.2): [`TMap`] and [`TOrdMap`], and what they hand out.

mod base;
mod entry;
mod hash;
mod iter;
mod ordered;
mod view;

pub use entry::Entry;
pub use hash::TMap;
pub use iter::{Iter, Keys, Range, Values};
pub use ordered::TOrdMap;
pub use view::View;
