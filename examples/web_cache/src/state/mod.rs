//! The state of the site, all in variables of one space, and the transactions on it. Nothing here knows of HTTP.

pub(crate) mod cache;
mod counters;
mod deadlines;
mod limits;
mod sessions;
mod site;
mod stats;
mod visit;

pub(crate) use counters::Outcome;
pub(crate) use limits::step;
pub(crate) use sessions::Token;
pub(crate) use site::Site;
pub(crate) use stats::Stats;
pub(crate) use visit::{Answer, Visitor};
