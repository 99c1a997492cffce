//! The statistics: once, as a stream, and to look at.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Html;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;

use super::Shared;
use crate::state::Stats;

/// Between two events. A watch passes over what changes meanwhile, and never over what changed last.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

/// All of one version, which nobody has to wait for.
pub(super) async fn stats(State(site): State<Shared>) -> Json<Stats> {
    Json(site.stats(&site.space.snapshot()))
}

/// The statistics whenever they change, until the site is closed.
pub(super) async fn events(State(site): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let space = site.space.clone();
    let watch = space.watch(move |tx| Ok(site.stats(tx)));
    let events = unfold((Some(watch), Duration::ZERO), |(watch, pause)| async move {
        let mut watch = watch?;
        tokio::time::sleep(pause).await;
        let stats: Stats = watch.next().await;
        let goes_on = (!stats.closed).then_some(watch);
        let event = Event::default().json_data(&stats).expect("statistics are plain numbers");
        Some((Ok(event), (goes_on, PAUSE)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
