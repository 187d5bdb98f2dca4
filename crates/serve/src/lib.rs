//! Sandboxes over HTTP, for programs that are not ours.
//!
//! [`Server::bind`] takes a backend's sandboxes and [`Options`]; [`Server::run`] serves one [`Api`] until it is told to stop. The
//! arrows: `server` accepts connections, `service` lets each request through its gate (`access` says who asks, `quota` how much
//! each may have, `metrics` counts), `payload` reads its body. Then the API's own file takes over: `native`, `dsgym` or `fusion`.
//! All three work on `rooms`, the table of open sandboxes with their leases; `store` keeps uploaded files, `submissions` hands out
//! those of DSGym's agents. Start reading at `rooms`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use synth_sandbox::{SandboxError, SandboxLimits, Sandboxes};
use synth_score::Scorer;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

mod access;
mod dsgym;
mod error;
mod fusion;
mod metrics;
mod native;
mod payload;
mod quota;
mod rooms;
mod server;
mod service;
mod store;
mod submissions;

pub use access::Tokens;
pub use quota::ClientLimits;
pub use rooms::Leases;

use error::Refusal;
use metrics::Metrics;
use quota::Quotas;
use rooms::Rooms;
use service::Service;
use store::{DataFolder, Uploads};
use submissions::Submissions;

/// How long an upload is kept after its last use.
const KEEP_UPLOADS: Duration = Duration::from_secs(3600);
/// Answers that are scored at once.
const SCORING: usize = 2;

/// Which HTTP interface is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Ours, described by its `/openapi.json`.
    Native,
    /// That of DSGym's executor manager.
    Dsgym,
    /// SandboxFusion's `/run_code`.
    SandboxFusion,
}

impl Api {
    /// A refusal in the API's shape.
    fn refuse(self, refusal: Refusal) -> Response {
        match self {
            Self::Native => refusal.into_response(),
            Self::Dsgym | Self::SandboxFusion => dsgym::detail(refusal),
        }
    }
}

/// How a server serves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interface.
    pub api: Api,
    /// Sandboxes open at once; no more than the backend's.
    pub slots: usize,
    /// Who is let in; empty lets in everybody who reaches it, which is for loopback alone.
    pub tokens: Tokens,
    /// How long sandboxes stay open.
    pub leases: Leases,
    /// Time that a request waits for a slot.
    pub wait: Duration,
    /// Time that requests in flight have to end when the server stops.
    pub drain: Duration,
    /// What one client may have.
    pub client: ClientLimits,
    /// The most that a sandbox may be asked for, and what it gets when nothing is asked.
    pub most: SandboxLimits,
    /// A folder whose files sandboxes may be shown.
    pub data: Option<PathBuf>,
    /// A folder where DSGym's agents find the submissions that their code wrote.
    pub submissions: Option<PathBuf>,
    /// The images that may be asked for besides the default one.
    pub images: Vec<String>,
    /// A folder for uploaded files.
    pub scratch: PathBuf,
    /// Where files of predictions are scored.
    pub scorer: Scorer,
}

/// A server that has its address.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    listener: TcpListener,
    service: Arc<Service>,
    drain: Duration,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Everybody could get in.
    #[error(
        "serve on `{0}`: without a token only loopback is served; set SYNTH_SERVE_TOKEN (`openssl rand -hex 32` makes one) or name \
         a file with `--token-file`"
    )]
    NoToken(SocketAddr),
    /// The address cannot be had.
    #[error("listen on `{address}`: {source}; choose another with `--listen`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There is no place for uploads.
    #[error(transparent)]
    Scratch(#[from] SandboxError),
    /// A folder cannot be used.
    #[error("use the folder `{folder}`: {source}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Server {
    /// Checks that no stranger gets in at this address without a token.
    pub fn check(address: SocketAddr, tokens: &Tokens) -> Result<(), ServeError> {
        if tokens.is_empty() && !address.ip().to_canonical().is_loopback() {
            return Err(ServeError::NoToken(address));
        }
        Ok(())
    }

    /// Takes the address. Nothing is served before [`Server::run`].
    pub async fn bind(
        address: SocketAddr,
        options: Options,
        sandboxes: Arc<dyn Sandboxes>,
    ) -> Result<Self, ServeError> {
        Self::check(address, &options.tokens)?;
        let fail = |folder: &PathBuf| {
            let folder = folder.clone();
            move |source| ServeError::Folder { folder, source }
        };
        let data = match &options.data {
            Some(folder) => {
                let data = DataFolder::new(folder).map_err(fail(folder))?;
                if options.api != Api::Native {
                    data.all().map_err(fail(folder))?;
                }
                Some(data)
            }
            None => None,
        };
        let submissions = match &options.submissions {
            Some(folder) => Some(Arc::new(Submissions::new(folder).map_err(fail(folder))?)),
            None => None,
        };
        let quotas = Quotas::new(options.client.clone());
        let uploads = Uploads::new(&options.scratch, Arc::clone(&quotas), KEEP_UPLOADS)?;
        let metrics = Arc::new(Metrics::new());
        let rooms = Rooms::new(
            sandboxes,
            options.slots,
            options.leases,
            Arc::clone(&quotas),
            Arc::clone(&metrics),
        );
        // Four of the largest bodies at once, whoever sends them.
        let memory = options.client.body_bytes.div_ceil(payload::PIECE).max(1) * 4;
        let service = Arc::new(Service {
            api: options.api,
            rooms,
            metrics,
            quotas,
            tokens: options.tokens,
            uploads,
            data,
            submissions,
            limits: options.client,
            most: options.most,
            wait: options.wait,
            slots: options.slots,
            images: options.images,
            body_memory: Arc::new(Semaphore::new(memory)),
            scoring: Arc::new(Semaphore::new(SCORING)),
            scorer: options.scorer,
        });
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        Ok(Self {
            address: listener.local_addr().map_err(listen)?,
            listener,
            service,
            drain: options.drain,
        })
    }

    /// Serves until `stop`; then takes nothing new, lets what runs come to its end within bounds, and closes all sandboxes.
    pub async fn run(self, stop: CancellationToken) {
        let rooms = Arc::clone(&self.service.rooms);
        let router = router(&self.service);
        let leases = async {
            let sweep = async {
                let mut tick = interval(Duration::from_secs(30));
                loop {
                    tick.tick().await;
                    self.service.uploads.sweep();
                }
            };
            futures::future::join(rooms.watch_leases(), sweep).await;
        };
        tokio::select! {
            () = server::run(self.listener, router, &rooms, stop, self.drain) => {}
            () = async { leases.await; } => {}
        }
    }
}

fn router(service: &Arc<Service>) -> Router {
    let routes = match service.api {
        Api::Native => native::routes(),
        Api::Dsgym => dsgym::routes(),
        Api::SandboxFusion => fusion::routes(),
    };
    routes
        .route("/metrics", get(service::metrics))
        .route("/", get(examples))
        .fallback(service::unknown_route)
        .method_not_allowed_fallback(service::wrong_method)
        .layer(from_fn_with_state(Arc::clone(service), service::gate))
        .with_state(Arc::clone(service))
}

/// The page of examples.
async fn examples() -> impl IntoResponse {
    (
        [(
            axum::http::header::CONTENT_TYPE,
            "text/markdown; charset=utf-8",
        )],
        include_str!("../../../docs/serve.md"),
    )
}
