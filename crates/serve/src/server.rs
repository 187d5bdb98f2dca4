//! The listener: connections within bounds, each with a clock on its requests' heads, all ended in order when the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use crate::rooms::Rooms;
use crate::service::Peer;

/// Connections at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a request's head may take to come in; a connection without requests is closed by it too.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 64;
/// How long the last answers may take when everything in the sandboxes has been ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves until `stop`; then lets requests in flight end, for `drain` at most, and ends the sandboxes.
pub async fn run(
    listener: TcpListener,
    router: Router,
    rooms: &Arc<Rooms>,
    stop: CancellationToken,
    drain: Duration,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = graceful.watch(connection(stream, peer, router.clone()));
                connections.spawn(async move {
                    // A connection that breaks is the client's affair.
                    connection.await.ok();
                    drop(place);
                });
            }
            Err(error) => {
                // No descriptors left, say: it passes when connections end.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    rooms.stop();
    let ended = graceful.shutdown();
    tokio::pin!(ended);
    if timeout(drain, &mut ended).await.is_err() {
        tracing::warn!("ends what still runs: the time to stop is over");
        rooms.close_rooms().await;
        timeout(LAST_WORDS, ended).await.ok();
    }
    connections.shutdown().await;
    rooms.close_all().await;
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl hyper::service::Service<
        hyper::Request<hyper::body::Incoming>,
        Response = axum::response::Response,
        Error = Infallible,
        Future: Send,
    >,
> {
    // Small answers in turn: waiting to fill a packet would cost 40 ms.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let mut router = router.clone();
        router.call(request.map(Body::new))
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
}
