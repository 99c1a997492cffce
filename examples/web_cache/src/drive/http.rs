//! The other end of the connection: as little of an HTTP client as it takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

type Error = Box<dyn std::error::Error + Send + Sync>;

pub(super) struct Connection {
    server: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
    /// What the server has given to be shown again.
    pub(super) cookie: Option<String>,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) sent: Instant,
    pub(super) received: Instant,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.parse().ok()
    }
}

impl Connection {
    pub(super) async fn open(server: SocketAddr) -> Result<Self, Error> {
        let (sender, task) = connect(server).await?;
        Ok(Connection { server, sender, task, cookie: None })
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Reply, Error> {
        self.call(Method::GET, path, "").await
    }

    pub(super) async fn post(&mut self, path: &str, form: &str) -> Result<Reply, Error> {
        self.call(Method::POST, path, form).await
    }

    /// Nothing if there was no answer within so long; then this has hung up.
    pub(super) async fn get_or_hang_up(&mut self, path: &str, patience: Duration) -> Result<Option<Reply>, Error> {
        if let Ok(reply) = tokio::time::timeout(patience, self.get(path)).await {
            return reply.map(Some);
        }
        self.task.abort();
        (self.sender, self.task) = connect(self.server).await?;
        Ok(None)
    }

    async fn call(&mut self, method: Method, path: &str, form: &str) -> Result<Reply, Error> {
        let sent = Instant::now();
        let response = self.send(method, path, form).await?;
        let (head, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
        if let Some(cookie) = head.headers.get(SET_COOKIE) {
            let (cookie, _) = cookie.to_str()?.split_once(';').ok_or("a cookie without attributes")?;
            self.cookie = (!cookie.ends_with('=')).then(|| cookie.to_owned());
        }
        Ok(Reply { status: head.status, headers: head.headers, body, sent, received: Instant::now() })
    }

    /// An answer whose body is still to come.
    pub(super) async fn send(&mut self, method: Method, path: &str, form: &str) -> Result<Response<Incoming>, Error> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.server.to_string());
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        if !form.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(Full::from(form.to_owned()))?).await?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(server: SocketAddr) -> Result<(SendRequest<Full<Bytes>>, JoinHandle<()>), Error> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // What goes wrong there is told by the requests.
    let task = tokio::spawn(async move { _ = connection.await });
    Ok((sender, task))
}
