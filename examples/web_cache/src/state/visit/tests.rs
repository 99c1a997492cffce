//! Requests, with workers or without.

use super::*;
use crate::config::Config;
use crate::workers::Crew;
use clap::Parser;
use futures::future::join_all;
use std::net::Ipv4Addr;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

fn site(arguments: &str) -> Arc<Site> {
    let arguments = format!("test --effort 10 {arguments}");
    let config = Arguments::parse_from(arguments.split_whitespace()).config;
    Arc::new(Site::new(&config, Duration::from_secs(60)))
}

fn anybody() -> Visitor {
    Visitor { token: None, address: Ipv4Addr::LOCALHOST.into() }
}

async fn outcome(site: &Site, id: PageId) -> Outcome {
    site.visit(&anybody(), id).await.outcome()
}

/// All has ended and is in order.
fn check(site: &Site, outcomes: &[(Outcome, u64)]) {
    let stats = site.stats(&site.space.snapshot());
    assert_eq!(stats.check(), Ok(()));
    assert_eq!((stats.open, site.space.waiters()), (0, 0));
    for (outcome, count) in outcomes {
        assert_eq!(stats.of(*outcome), *count, "{outcome:?} in {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_wait_for_a_page_get_the_one_that_is_rendered() {
    let site = site("--burst 100");
    // Nobody works yet, so all but the first find it ordered.
    let visits: Vec<_> = (0..50)
        .map(|_| {
            let site = site.clone();
            tokio::spawn(async move { site.visit(&anybody(), 7).await })
        })
        .collect();
    site.space.atomically_async(|tx| tx.check(*tx.read(&site.counters.open) == 50)).await;
    let crew = Crew::start(&site, 2).unwrap();
    for answer in join_all(visits).await {
        assert!(matches!(answer.unwrap(), Answer::Page(_, page) if page.id == 7 && page.generation == 1));
    }
    assert_eq!(crew.renderings.of(7), 1);
    site.close();
    assert_eq!(crew.join(), 0);
    let stats = site.stats(&site.space.snapshot());
    assert_eq!(stats.of(Outcome::Hit) + stats.of(Outcome::Joined), 49);
    check(&site, &[(Outcome::Miss, 1)]);
}

#[tokio::test]
async fn patience_ends_in_front_of_a_full_queue_and_behind_it() {
    let site = site("--queue 1 --patience 20ms");
    assert_eq!(outcome(&site, 1).await, Outcome::Late);
    assert_eq!(outcome(&site, 2).await, Outcome::Full);
    assert_eq!(outcome(&site, 1).await, Outcome::Late);
    check(&site, &[(Outcome::Late, 2), (Outcome::Full, 1)]);
}

#[tokio::test]
async fn whoever_waits_is_told_that_the_site_closes() {
    let site = site("--queue 1 --patience 10min");
    let waiting = [1, 2, 3].map(|id| outcome(&site, id));
    let close = async {
        site.space.atomically_async(|tx| tx.check(*tx.read(&site.counters.open) == 3)).await;
        site.close();
    };
    let (outcomes, ()) = tokio::join!(join_all(waiting), close);
    assert_eq!(outcomes, [Outcome::Closing; 3]);
    check(&site, &[(Outcome::Closing, 3)]);
}

#[tokio::test]
async fn a_request_that_is_dropped_has_ended() {
    let site = site("--queue 1 --patience 10min");
    for id in [1, 2] {
        let visit = tokio::time::timeout(Duration::from_millis(20), outcome(&site, id));
        assert!(visit.await.is_err());
    }
    check(&site, &[(Outcome::Abandoned, 2)]);
}

#[tokio::test]
async fn strangers_share_a_bucket_and_may_not_edit() {
    let site = site("--burst 3 --rate 1 --patience 1ms");
    let ada = Visitor { token: site.login("ada").await, ..anybody() };
    assert_eq!(outcome(&site, 9_999).await, Outcome::NotFound);
    assert_eq!(site.edit(&anybody(), 1).await.outcome(), Outcome::Stranger);
    assert_eq!(outcome(&site, 1).await, Outcome::Late);
    let refused = site.visit(&anybody(), 1).await;
    assert!(matches!(refused, Answer::Limited(wait) if wait <= Duration::from_secs(1)), "{refused:?}");
    assert!(matches!(site.edit(&ada, 1).await, Answer::Edited(2)));
    assert_eq!(site.edit(&ada, 9_999).await.outcome(), Outcome::NotFound);
    assert!(site.logout(ada.token.as_deref().unwrap()).await);
    assert_eq!(site.edit(&ada, 1).await.outcome(), Outcome::Limited);
    check(&site, &[(Outcome::Limited, 2), (Outcome::Edited, 1), (Outcome::NotFound, 2)]);
}
