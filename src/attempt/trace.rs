//! Events for the subscribers of `tracing` (O4). Without the feature this is nothing.
//!
//! A subscriber is the user's code: it is asked and told while no attempt is open, and as if no transaction ran on the thread. Its own transactions
//! send nothing, or they would have it told of them without end; and a panic in it, which the panic hook has reported, ends there: the transaction goes
//! on, or is committed, as if nobody listened.

#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $call:expr, $($fields:tt)+) => {
        if super::trace::is_wanted(tracing::Level::$level) {
            let call: &super::run::Call<'_> = $call;
            super::trace::send(|| {
                let label = call.options.label.as_deref();
                tracing::event!(target: "tvar", tracing::Level::$level, label, at = %call.site.at, $($fields)+);
            });
        }
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($level:ident, $call:expr, $($fields:tt)+) => {
        let _: &super::run::Call<'_> = $call;
    };
}

pub(super) use event;
#[cfg(feature = "tracing")]
pub(super) use sending::{is_wanted, send};

#[cfg(feature = "tracing")]
mod sending {
    use crate::store::{drop_panic, outside_attempt};
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use tracing::Level;
    use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};

    crate::sync::tls!(
        /// A subscriber is being asked or told on this thread.
        static SENDING: Cell<bool> = Cell::new(false)
    );

    /// Whether anybody may want events of this level. Runs no code of a subscriber.
    #[inline]
    pub(crate) fn is_wanted(level: Level) -> bool {
        level <= STATIC_MAX_LEVEL && level <= LevelFilter::current()
    }

    /// Sends an event, unless it is of a subscriber's own transaction.
    #[cold]
    pub(crate) fn send(event: impl FnOnce()) {
        if SENDING.try_with(|sending| sending.replace(true)).unwrap_or(true) {
            return;
        }
        outside_attempt(|| {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(event)) {
                drop_panic(payload);
            }
        });
        let _ = SENDING.try_with(|sending| sending.set(false));
    }
}
