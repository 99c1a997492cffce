//! Pages, and their edits.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::{GENERATION, OUTCOME, REVISION, SEAL, Shared, sessions};
use crate::render::{Page, PageId};
use crate::state::{Answer, Outcome, Visitor};

pub(super) async fn show(
    State(site): State<Shared>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Path(id): Path<PageId>,
    headers: HeaderMap,
) -> Response {
    response(site.visit(&visitor(from, &headers), id).await)
}

pub(super) async fn edit(
    State(site): State<Shared>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Path(id): Path<PageId>,
    headers: HeaderMap,
) -> Response {
    response(site.edit(&visitor(from, &headers), id).await)
}

fn visitor(from: SocketAddr, headers: &HeaderMap) -> Visitor {
    Visitor { token: sessions::token(headers), address: from.ip() }
}

fn response(answer: Answer) -> Response {
    let outcome = answer.outcome();
    let (status, head) = (status(outcome), [(OUTCOME, outcome.name())]);
    let number = |name, value: u64| [(HeaderName::from_static(name), value.to_string())];
    match answer {
        Answer::Page(_, page) => (status, head, page_headers(&page), Html(page.html())).into_response(),
        Answer::Edited(revision) => (status, head, number(REVISION, revision), "edited\n").into_response(),
        Answer::Limited(wait) => {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            (status, head, number("retry-after", seconds), "too many requests\n").into_response()
        }
        Answer::No(outcome) => (status, head, text(outcome)).into_response(),
    }
}

fn page_headers(page: &Arc<Page>) -> [(HeaderName, String); 3] {
    [(GENERATION, page.generation), (REVISION, page.revision), (SEAL, page.seal)]
        .map(|(name, value)| (HeaderName::from_static(name), value.to_string()))
}

/// Also what the driver expects.
pub(crate) fn status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Hit | Outcome::Miss | Outcome::Joined | Outcome::Edited => StatusCode::OK,
        Outcome::Limited => StatusCode::TOO_MANY_REQUESTS,
        Outcome::Full | Outcome::Late | Outcome::Closing | Outcome::Abandoned => StatusCode::SERVICE_UNAVAILABLE,
        Outcome::Stranger => StatusCode::UNAUTHORIZED,
        Outcome::NotFound => StatusCode::NOT_FOUND,
    }
}

fn text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Full => "too much to do, try again later\n",
        Outcome::Late => "this takes too long, try again later\n",
        Outcome::Closing => "shutting down\n",
        Outcome::Stranger => "log in first\n",
        Outcome::NotFound => "no such page\n",
        _ => "",
    }
}
