//! Logging in and out. Everybody is let in under any name: this is about what happens afterwards.

use axum::Form;
use axum::extract::State;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Shared;
use crate::state::Token;

const NAME: &str = "session";
const LONGEST_NAME: usize = 64;

#[derive(Debug, Deserialize)]
pub(super) struct Login {
    user: String,
}

pub(super) async fn login(State(site): State<Shared>, Form(Login { user }): Form<Login>) -> Response {
    let user = user.trim();
    if user.is_empty() || user.len() > LONGEST_NAME {
        return (StatusCode::BAD_REQUEST, format!("a name has 1 to {LONGEST_NAME} letters\n")).into_response();
    }
    match site.login(user).await {
        Some(token) => (cookie(&token, ""), "welcome\n").into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "too many sessions, try again later\n").into_response(),
    }
}

pub(super) async fn logout(State(site): State<Shared>, headers: HeaderMap) -> Response {
    let ended = match token(&headers) {
        Some(token) => site.logout(&token).await,
        None => false,
    };
    let (status, text) =
        if ended { (StatusCode::OK, "good-bye\n") } else { (StatusCode::UNAUTHORIZED, "not logged in\n") };
    (status, cookie("", "; Max-Age=0"), text).into_response()
}

fn cookie(token: &str, more: &str) -> [(axum::http::HeaderName, String); 1] {
    [(SET_COOKIE, format!("{NAME}={token}; Path=/; HttpOnly; SameSite=Strict{more}"))]
}

pub(super) fn token(headers: &HeaderMap) -> Option<Token> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == NAME && !value.is_empty()).then(|| value.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let of = |line: &'static str| token(&[(COOKIE, line.parse().unwrap())].into_iter().collect());
        assert_eq!(of("theme=dark; session=abc; x=y").as_deref(), Some("abc"));
        assert_eq!(of("session=abc").as_deref(), Some("abc"));
        for none in ["theme=dark", "session=", "mysession=abc", "", ";;="] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
