//! The load, and the checks: many clients over HTTP, and those who look at the site meanwhile.

mod client;
mod http;
mod observers;
mod pace;
mod report;
mod rules;
mod seen;
mod tally;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tvar::{TVar, TxError, atomically_async};

pub(crate) use rules::Rule;

use crate::args::Drive;
use crate::serve::{Server, runtime};
use crate::state::{Site, Stats, step};
use client::World;
use report::Report;
use rules::Verdict;
use seen::Seen;
use tally::Tally;

/// As long as a session lasts unless the arguments say something else.
const SESSION_LASTS: Duration = Duration::from_secs(1);
/// With all the effort that may be asked for, and some more.
const LONGEST_JOB: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(50);

/// Whether a rule was violated; which one has been told.
pub(crate) fn run(args: &Drive) -> Result<bool, String> {
    runtime()?.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
        let server = Server::start(&args.config, address, SESSION_LASTS).await?;
        eprintln!("serving on http://{} while {} clients ask for pages", server.address, args.clients);
        drive(args, server).await
    })
}

async fn drive(args: &Drive, server: Server) -> Result<bool, String> {
    let (site, started) = (server.site.clone(), Instant::now());
    let world = Arc::new(world(args, server.address, started));
    let auditor = {
        let (site, world) = (site.clone(), world.clone());
        tokio::task::spawn_blocking(move || observers::audit(&site, &world.verdict))
    };
    let follower = {
        let world = world.clone();
        tokio::spawn(async move { observers::follow(world.server, &world.verdict).await })
    };

    let mut polls = 0;
    let mut tally = {
        let clients = async {
            let clients = (0..args.clients).map(|number| {
                let world = world.clone();
                tokio::spawn(async move { client::drive(&world, number).await })
            });
            join_all(clients).await.into_iter().try_fold(Tally::default(), |sum, tally| Ok(sum.add(tally?)))
        };
        tokio::select! {
            tally = clients => tally.map_err(|e: tokio::task::JoinError| format!("a client has panicked: {e}"))?,
            never = observers::poll(world.server, &world.verdict, &mut polls) => match never {},
            never = show_progress(args.time) => match never {},
        }
    };
    let elapsed = started.elapsed();

    if let Some(rule) = args.break_rule {
        break_rule(rule, &server, &world, &mut tally);
    }
    let stats = check_at_the_end(&server, &world, &mut tally).await;
    let closing = Instant::now();
    server.close().await?;
    let audits = auditor.await.map_err(|e| e.to_string())?;
    let events = follower.await.map_err(|e| e.to_string())?;
    let closing = closing.elapsed();
    let waiters = site.space.waiters();
    world.verdict.check(Rule::Waiters, waiters == 0, || format!("{waiters} still wait after the end"));

    Report { args, tally, stats, engine: site.space.stats(), audits, polls, events, elapsed, closing }
        .print(world.seen.len())
        .map_err(|e| format!("cannot print the report: {e}"))?;
    let world = Arc::into_inner(world).expect("all who knew of it have ended");
    Ok(world.verdict.into_first().is_some())
}

fn world(args: &Drive, server: SocketAddr, started: Instant) -> World {
    let config = &args.config;
    World {
        server,
        until: started + args.time,
        pages: config.pages,
        effort: config.effort,
        step: step(config.rate),
        burst: config.burst,
        session_lasts: config.session_lasts.unwrap_or(SESSION_LASTS),
        seen: Seen::default(),
        verdict: Verdict::default(),
    }
}

/// Everything that can be checked once all clients have gone.
async fn check_at_the_end(server: &Server, world: &World, tally: &mut Tally) -> Stats {
    let (site, verdict) = (&server.site, &world.verdict);
    // Whatever those have left behind who hung up, or for whom it took too long, comes to its end.
    await_quiet(site, verdict).await;
    if let Err(e) = client::last_look(world, tally).await {
        verdict.violated(Rule::Answers, format!("the last look: {e}"));
    }
    await_quiet(site, verdict).await;
    let snapshot = site.space.snapshot();
    let stats = site.stats(&snapshot);
    if let Err(what) = stats.check() {
        verdict.violated(Rule::Sums, what);
    }
    tally.agrees_with(&stats, verdict);
    for id in 1..=site.pages {
        let (ordered, rendered) = (site.cache.generation(&snapshot, id), server.renderings().of(id));
        let what = || format!("page {id} has {ordered} generations and was rendered {rendered} times");
        verdict.check(Rule::Once, ordered == rendered, what);
    }
    stats
}

async fn await_quiet(site: &Site, verdict: &Verdict) {
    if let Err(e) = quiet(site).await {
        verdict.violated(Rule::Answers, format!("requests or jobs are left, and nothing goes on: {e}"));
    }
}

/// Waits until no request is open and no job is to be done, as long as any are being done.
async fn quiet(site: &Site) -> Result<(), TxError> {
    let mut done = 0;
    loop {
        let step = atomically_async!(space = &site.space, timeout = LONGEST_JOB, label = "quiet"; |tx| {
            let Stats { open, jobs, .. } = site.stats(tx);
            let quiet = open == 0 && jobs.queued == 0 && jobs.running == 0;
            tx.check(quiet || jobs.done != done)?;
            done = jobs.done;
            quiet
        });
        if step.await? {
            return Ok(());
        }
    }
}

async fn show_progress(time: Duration) -> Infallible {
    let bar = report::progress(time);
    let started = Instant::now();
    loop {
        bar.set_position(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        tokio::time::sleep(TICK).await;
    }
}

/// Does something that the checks must find.
fn break_rule(rule: Rule, server: &Server, world: &World, tally: &mut Tally) {
    let site = &server.site;
    match rule {
        Rule::Pages => world.seen.edited(1, u64::MAX),
        Rule::Once => server.renderings().count(1),
        Rule::Limits => {
            let now = Instant::now();
            let spans = vec![(now, now); world.burst as usize + 1];
            client::check_limit(world, "nobody", &spans);
        }
        Rule::Sums => site.counters.requests.update(|n| n + 1),
        Rule::Tally => tally.logins += 1,
        Rule::Waiters => {
            let never = TVar::new_in(&site.space, false);
            let (space, door) = (site.space.clone(), never.clone());
            std::thread::spawn(move || space.atomically(|tx| tx.check(*tx.read(&door))));
            while never.waiters() == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Rule::Answers => {}
    }
}
