//! A value as the map holds it: any type, shared, compared as §3.1 says.

use std::any::Any;
use std::sync::Arc;

/// One value of one variable.
#[derive(Clone)]
pub(super) struct Value(Arc<dyn Any + Send + Sync>);

impl Value {
    pub(super) fn new<T: Send + Sync + 'static>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// Whether both are one write's value.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The value as what its variable was made for; every way into a variable is typed, so this cannot fail.
    pub(super) fn typed<T: Send + Sync + 'static>(&self) -> Arc<T> {
        let shared = Arc::clone(&self.0).downcast();
        shared.expect("tvar: a reference variable holds a value of another type")
    }
}

/// Whether nothing has changed (§3.1): the same box, or for the inline primitives the same bits. Two boxes are two
/// values however alike they look, and so are two writes of `()`.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || same_bits(&*self.0, &*other.0)
    }
}

fn same_bits(left: &dyn Any, right: &dyn Any) -> bool {
    macro_rules! compare {
        ($bits:ident: $($primitive:ty),*) => {$(
            if let Some(left) = left.downcast_ref::<$primitive>() {
                let right = right.downcast_ref::<$primitive>();
                return right.is_some_and(|right| left.$bits() == right.$bits());
            }
        )*};
    }
    compare!(to_ne_bytes: u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, f32, f64);
    // These two have no bit patterns that are equal without being the same.
    compare!(clone: bool, char);
    false
}
