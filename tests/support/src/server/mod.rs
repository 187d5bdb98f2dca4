//! The two hosts and the thread that they run on. A request to the API goes through `api` (cookie, faults, credentials), is read
//! by `call` (RPC or REST, one set of methods), answered by `competitions` or `datasets` and written down by `dialect`; a request
//! to the storage host goes through `storage`.

mod answer;
mod api;
mod call;
mod competitions;
mod datasets;
mod dialect;
mod object;
mod paging;
mod storage;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use axum::Router;
use tokio::sync::oneshot;

pub use dialect::Rest;

use crate::fault::{Fault, Faults, Rule};
use crate::log::{Log, Seen};
use crate::world::World;
use object::Objects;

/// The user whose credentials are accepted.
pub const USERNAME: &str = "fixture";
/// The legacy key that is accepted with [`USERNAME`], as HTTP Basic.
pub const KEY: &str = "fixture-key";
/// The access token that is accepted, as Bearer.
pub const TOKEN: &str = "KGAT_fixture";

/// The forms of answers, for all calls.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// Which REST answers there are.
    pub rest: Rest,
    /// 64-bit integers as strings.
    pub int64_strings: bool,
    /// `ref` as a bare slug also in RPC and in today's REST.
    pub bare_refs: bool,
    /// Entity tags, and 304 for `If-None-Match`, also on RPC (a POST, where HTTP knows none); on GET they are always there.
    pub rpc_etags: bool,
    /// How long a signed address is good, in seconds.
    pub signed_seconds: u64,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            rest: Rest::Now,
            int64_strings: false,
            bare_refs: false,
            rpc_etags: false,
            signed_seconds: 3600,
        }
    }
}

/// Where the two hosts listen.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The API's.
    pub api: SocketAddr,
    /// The storage host's: another address, so that a client's cookies and credentials know it for another host.
    pub storage: SocketAddr,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            api: (Ipv4Addr::LOCALHOST, 0).into(),
            storage: (Ipv4Addr::new(127, 0, 0, 2), 0).into(),
        }
    }
}

/// A running fixture. It ends with the value.
#[derive(Debug)]
pub struct Fixture {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What both hosts know.
#[derive(Debug)]
struct Shared {
    api_url: String,
    storage_url: String,
    world: RwLock<World>,
    wire: Mutex<Wire>,
    faults: Mutex<Faults>,
    log: Mutex<Log>,
    objects: Mutex<Objects>,
}

impl Fixture {
    /// Serves a world on free ports of loopback.
    ///
    /// # Panics
    /// Where loopback has no port left.
    pub fn start(world: World) -> Self {
        Self::listen(world, Addresses::default()).expect("loopback has free ports")
    }

    /// Serves a world at these addresses.
    pub fn listen(world: World, addresses: Addresses) -> io::Result<Self> {
        let api = listener(addresses.api)?;
        // Where a machine has one loopback address only, another port has to do.
        let storage = listener(addresses.storage).or_else(|error| {
            if addresses.storage.port() == 0 {
                listener((Ipv4Addr::LOCALHOST, 0).into())
            } else {
                Err(error)
            }
        })?;
        let shared = Arc::new(Shared {
            api_url: format!("http://{}", api.local_addr()?),
            storage_url: format!("http://{}", storage.local_addr()?),
            world: RwLock::new(world),
            wire: Mutex::default(),
            faults: Mutex::default(),
            log: Mutex::default(),
            objects: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("kaggle-fixture".into())
            .spawn(move || runtime.block_on(serve(theirs, api, storage, stopped)))?;
        Ok(Self {
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The API's address: RPC below `/api/v1/<service>/` and `/v1/<service>/`, REST below `/api/v1/`.
    pub fn api_url(&self) -> &str {
        &self.shared.api_url
    }

    /// The storage host's address.
    pub fn storage_url(&self) -> &str {
        &self.shared.storage_url
    }

    /// Adds a fault.
    pub fn fault(&self, rule: Rule) {
        unpoisoned(self.shared.faults.lock()).add(rule);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        unpoisoned(self.shared.faults.lock()).clear();
    }

    /// Changes the form of answers.
    pub fn wire(&self, change: impl FnOnce(&mut Wire)) {
        let mut wire = unpoisoned(self.shared.wire.lock());
        change(&mut wire);
    }

    /// Changes the world.
    pub fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self
            .shared
            .world
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut world);
        unpoisoned(self.shared.objects.lock()).forget();
        result
    }

    /// How many requests a route had: a method's name, for RPC and REST alike, or `Storage`.
    pub fn count(&self, route: &str) -> usize {
        unpoisoned(self.shared.log.lock()).count(route)
    }

    /// How many requests each route had.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        unpoisoned(self.shared.log.lock()).counts()
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        unpoisoned(self.shared.log.lock()).seen()
    }

    /// Empties the log.
    pub fn forget_requests(&self) {
        unpoisoned(self.shared.log.lock()).clear();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn wire(&self) -> Wire {
        *unpoisoned(self.wire.lock())
    }

    fn strike(&self, route: &str, slug: &str) -> Vec<Fault> {
        unpoisoned(self.faults.lock()).strike(route, slug)
    }

    fn note(&self, seen: Seen) {
        unpoisoned(self.log.lock()).add(seen);
    }
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Both hosts until `stopped`; then the runtime ends, and with it all that is still under way.
async fn serve(
    shared: Arc<Shared>,
    api: TcpListener,
    storage: TcpListener,
    stopped: oneshot::Receiver<()>,
) {
    let listen = |listener| {
        tokio::net::TcpListener::from_std(listener).expect("a listener that does not block")
    };
    let api_router = Router::new()
        .fallback(api::handle)
        .with_state(shared.clone());
    let storage_router = Router::new().fallback(storage::handle).with_state(shared);
    tokio::select! {
        _ = stopped => {}
        _ = async { axum::serve(listen(api), api_router).await } => {}
        _ = async { axum::serve(listen(storage), storage_router).await } => {}
    }
}

/// A lock whose holder panicked is used on: a test that fails is to fail by its own words.
fn unpoisoned<T>(lock: Result<T, PoisonError<T>>) -> T {
    lock.unwrap_or_else(PoisonError::into_inner)
}
