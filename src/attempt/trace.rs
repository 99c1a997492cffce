//! Events for the subscribers of `tracing` (O4). Without the feature this is nothing.
//!
//! A subscriber is the user's code: events are sent while no attempt is open, and as if no transaction ran on the thread.

#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $call:expr, $($fields:tt)+) => {
        if tracing::enabled!(target: "tvar", tracing::Level::$level) {
            let call: &super::run::Call<'_> = $call;
            crate::store::outside_attempt(|| {
                let label = call.options.label.as_deref();
                tracing::event!(target: "tvar", tracing::Level::$level, label, at = %call.site.at, $($fields)+);
            });
        }
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($level:ident, $call:expr, $($fields:tt)+) => {};
}

pub(super) use event;
