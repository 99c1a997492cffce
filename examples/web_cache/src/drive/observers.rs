//! Those who look at the statistics all the while: at snapshots, over HTTP, and as a stream.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Method;
use tokio::time::sleep;

use super::http::Connection;
use super::rules::{Rule, Verdict};
use crate::state::{Site, Stats};

/// Between two looks, so that on a small machine the others get their share of it.
const PAUSE: Duration = Duration::from_millis(2);
const POLL: Duration = Duration::from_millis(20);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Checks version after version until the site is closed; how many.
pub(super) fn audit(site: &Site, verdict: &Verdict) -> u64 {
    let mut audits = 0;
    loop {
        let stats = site.stats(&site.space.snapshot());
        check(&stats, verdict);
        audits += 1;
        if stats.closed {
            return audits;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Asks for the statistics again and again until this future is dropped.
pub(super) async fn poll(server: SocketAddr, verdict: &Verdict, polls: &mut u64) -> Infallible {
    let Err(e) = poll_on(server, verdict, polls).await;
    verdict.violated(Rule::Answers, format!("/stats: {e}"));
    std::future::pending().await
}

async fn poll_on(server: SocketAddr, verdict: &Verdict, polls: &mut u64) -> Result<Infallible, Error> {
    let mut connection = Connection::open(server).await?;
    let mut requests = 0;
    loop {
        let stats: Stats = serde_json::from_str(&connection.get("/stats").await?.body)?;
        check(&stats, verdict);
        verdict.check(Rule::Sums, stats.requests >= requests, || "the number of requests has shrunk".to_owned());
        requests = stats.requests;
        *polls += 1;
        sleep(POLL).await;
    }
}

/// Reads the stream of statistics to its end; how many there were.
pub(super) async fn follow(server: SocketAddr, verdict: &Verdict) -> u64 {
    let mut events = 0;
    match follow_on(server, verdict, &mut events).await {
        Ok(true) => {}
        Ok(false) => verdict.violated(Rule::Answers, "/events has ended before the site was closed"),
        Err(e) => verdict.violated(Rule::Answers, format!("/events: {e}")),
    }
    events
}

/// Whether the last event says that the site is closed.
async fn follow_on(server: SocketAddr, verdict: &Verdict, events: &mut u64) -> Result<bool, Error> {
    let mut connection = Connection::open(server).await?;
    let mut body = connection.send(Method::GET, "/events", "").await?.into_body();
    let (mut text, mut closed) = (String::new(), false);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        text.push_str(std::str::from_utf8(&data)?);
        while let Some((event, rest)) = text.split_once("\n\n") {
            if let Some(json) = event.strip_prefix("data: ") {
                let stats: Stats = serde_json::from_str(json)?;
                check(&stats, verdict);
                *events += 1;
                closed = stats.closed;
            }
            text = rest.to_owned();
        }
    }
    Ok(closed)
}

fn check(stats: &Stats, verdict: &Verdict) {
    if let Err(what) = stats.check() {
        verdict.violated(Rule::Sums, what);
    }
}
