//! The site over HTTP.

mod live;
mod pages;
mod sessions;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

pub(crate) use pages::status;

use crate::state::Site;

/// How a request ended, as in the statistics.
pub(crate) const OUTCOME: &str = "x-outcome";
pub(crate) const GENERATION: &str = "x-generation";
pub(crate) const REVISION: &str = "x-revision";
pub(crate) const SEAL: &str = "x-seal";

type Shared = Arc<Site>;

fn router(site: Shared) -> Router {
    Router::new()
        .route("/", get(live::index))
        .route("/stats", get(live::stats))
        .route("/events", get(live::events))
        .route("/page/{id}", get(pages::show).post(pages::edit))
        .route("/login", post(sessions::login))
        .route("/logout", post(sessions::logout))
        .with_state(site)
}

/// Serves until the site is closed and all requests have ended.
pub(crate) async fn serve(site: Shared, listener: TcpListener) -> io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // A small answer would wait for a big one otherwise. Where that cannot be had it is slower, and no worse.
        _ = stream.set_nodelay(true);
    });
    let closed = {
        let site = site.clone();
        async move { site.space.atomically_async(|tx| tx.check(*tx.read(&site.closed))).await }
    };
    let service = router(site).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(closed).await
}
