//! Starting and ending the server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::poll_immediate;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::ctrl_c;
use tokio::task::JoinHandle;

use crate::args::Serve;
use crate::config::Config;
use crate::http;
use crate::state::Site;
use crate::workers::{Crew, Renderings};

const SESSION_LASTS: Duration = Duration::from_secs(600);
const GRACE: Duration = Duration::from_secs(2);
/// As a shell has it, for a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

pub(crate) fn runtime() -> Result<Runtime, String> {
    Builder::new_multi_thread().enable_all().build().map_err(|e| format!("cannot start the threads for requests: {e}"))
}

/// A server that is running. Dropped, it closes the site, so that no thread is left.
pub(crate) struct Server {
    pub(crate) site: Arc<Site>,
    pub(crate) address: SocketAddr,
    serving: JoinHandle<io::Result<()>>,
    crew: Crew,
    _closer: Closer,
}

struct Closer(Arc<Site>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Server {
    pub(crate) async fn start(config: &Config, address: SocketAddr, session_lasts: Duration) -> Result<Server, String> {
        let listener = TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}"))?;
        let address = listener.local_addr().map_err(|e| format!("cannot listen on {address}: {e}"))?;
        let site = Arc::new(Site::new(config, session_lasts));
        let crew =
            Crew::start(&site, config.workers).map_err(|e| format!("cannot start {} workers: {e}", config.workers))?;
        let serving = tokio::spawn(http::serve(site.clone(), listener));
        let _closer = Closer(site.clone());
        Ok(Server { site, address, serving, crew, _closer })
    }

    pub(crate) fn renderings(&self) -> &Renderings {
        &self.crew.renderings
    }

    /// Ends it: who waits is told, what is queued is still done.
    pub(crate) async fn close(self) -> Result<(), String> {
        self.site.close();
        self.ended().await
    }

    /// Waits until it has ended.
    async fn ended(self) -> Result<(), String> {
        let Server { site, mut serving, .. } = self;
        let served = tokio::select! {
            served = &mut serving => served,
            // Somebody does not send the rest of a request, or does not fetch an answer. Their connections end with the runtime.
            () = overdue(&site) => Ok(Ok(())),
        };
        // If it was not closed but has failed.
        site.close();
        let panicked = tokio::task::spawn_blocking(|| self.crew.join()).await.map_err(|e| e.to_string())?;
        served.map_err(|e| e.to_string())?.map_err(|e| format!("the server has failed: {e}"))?;
        if panicked > 0 {
            return Err(format!("{panicked} threads of the site have panicked"));
        }
        Ok(())
    }
}

/// Sleeps until the site has been closed for so long that nobody can be waiting for an answer.
async fn overdue(site: &Site) {
    site.space.atomically_async(|tx| tx.check(*tx.read(&site.closed))).await;
    tokio::time::sleep(GRACE).await;
}

/// Serves until Ctrl-C.
pub(crate) fn run(args: &Serve) -> Result<(), String> {
    runtime()?.block_on(async {
        let server = Server::start(&args.config, SocketAddr::new(args.address, args.port), SESSION_LASTS).await?;
        let site = server.site.clone();
        let mut first = Box::pin(ctrl_c());
        // From the first poll on it is waited for, and so from before anybody knows that this serves.
        if poll_immediate(&mut first).await.is_some() {
            return Err("cannot wait for Ctrl-C".to_owned());
        }
        println!("serving on http://{}, until Ctrl-C", server.address);
        tokio::spawn(async move {
            match first.await {
                Ok(()) => eprintln!("shutting down; again to stop at once"),
                Err(e) => eprintln!("web_cache: cannot wait for Ctrl-C: {e}"),
            }
            site.close();
            if ctrl_c().await.is_ok() {
                std::process::exit(INTERRUPTED);
            }
        });
        let site = server.site.clone();
        server.ended().await?;
        println!(
            "{} requests served, {} still waiting",
            site.stats(&site.space.snapshot()).requests,
            site.space.waiters()
        );
        Ok(())
    })
}
