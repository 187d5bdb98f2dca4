//! The sandboxes that are open: whose each is, how long it may stay, and that one thing at a time happens in it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use data_encoding::HEXLOWER;
use futures::future::BoxFuture;
use synth_sandbox::{CellResult, Interrupter, Sandbox, SandboxError, SandboxSpec, Sandboxes};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Client;
use crate::error::Refusal;
use crate::metrics::{During, Metrics};
use crate::quota::{Claim, Quotas};
use crate::store::Stored;

/// How long an interrupted cell whose client is gone may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How long sandboxes stay open.
#[derive(Clone, Copy, Debug)]
pub struct Leases {
    /// Without a request.
    pub idle: Duration,
    /// At all.
    pub lifetime: Duration,
}

/// All open sandboxes of a server.
pub struct Rooms {
    sandboxes: Arc<dyn Sandboxes>,
    slots: Arc<Semaphore>,
    table: Mutex<HashMap<String, Arc<Room>>>,
    quotas: Arc<Quotas>,
    metrics: Arc<Metrics>,
    leases: Leases,
    /// What goes on in sandboxes; it outlives the requests that asked for it.
    tasks: TaskTracker,
    stopping: AtomicBool,
}

/// An open sandbox.
pub struct Room {
    /// 128 random bits.
    pub id: String,
    pub client: Client,
    pub spec: SandboxSpec,
    pub opened: Instant,
    pub cells: AtomicU64,
    used: Mutex<Instant>,
    inside: Arc<tokio::sync::Mutex<Option<Inside>>>,
    current: Mutex<Current>,
    closed: AtomicBool,
    /// The uploads that it shows: a sandbox that is started anew mounts them again.
    _held: Vec<Arc<Stored>>,
}

/// What reaches the sandbox that is in the room now from outside.
#[derive(Clone)]
struct Current {
    interrupter: Interrupter,
    /// Ends a cell that runs, at once.
    ending: CancellationToken,
}

impl Current {
    fn of(sandbox: &dyn Sandbox) -> Self {
        Self {
            interrupter: sandbox.interrupter(),
            ending: CancellationToken::new(),
        }
    }
}

/// What is held until a sandbox is closed.
struct Inside {
    sandbox: Box<dyn Sandbox>,
    _slot: OwnedSemaphorePermit,
    _claim: Claim,
}

/// Who waits when something else goes on in the sandbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nobody: the request is refused.
    Now,
    /// The request, until it is its turn.
    Queue,
}

impl Room {
    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether something goes on in it.
    pub fn is_busy(&self) -> bool {
        self.inside.try_lock().is_err()
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Interrupts the cell that runs, if one does.
    pub fn interrupt(&self) {
        self.touch();
        self.current().interrupter.interrupt();
    }

    fn current(&self) -> Current {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn expired(&self, leases: Leases) -> Option<&'static str> {
        if self.opened.elapsed() > leases.lifetime {
            return Some("lifetime");
        }
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        (used.elapsed() > leases.idle && !self.is_busy()).then_some("idle")
    }

    async fn enter(&self, turn: Turn) -> Result<Entered, Refusal> {
        if self.is_closed() {
            return Err(Refusal::unknown_sandbox());
        }
        self.touch();
        let inside = Arc::clone(&self.inside);
        let guard = match turn {
            Turn::Queue => inside.lock_owned().await,
            Turn::Now => inside.try_lock_owned().map_err(|_| {
                Refusal::later(
                    StatusCode::CONFLICT,
                    "busy",
                    "something else goes on in this sandbox; wait for it, or interrupt it",
                )
            })?,
        };
        if guard.is_none() {
            return Err(Refusal::unknown_sandbox());
        }
        Ok(Entered(guard))
    }
}

/// A sandbox to oneself.
struct Entered(OwnedMutexGuard<Option<Inside>>);

impl Entered {
    fn sandbox(&mut self) -> &mut Box<dyn Sandbox> {
        &mut self.0.as_mut().expect("it was looked at").sandbox
    }
}

impl Rooms {
    pub fn new(
        sandboxes: Arc<dyn Sandboxes>,
        slots: usize,
        leases: Leases,
        quotas: Arc<Quotas>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            sandboxes,
            slots: Arc::new(Semaphore::new(slots)),
            table: Mutex::default(),
            quotas,
            metrics,
            leases,
            tasks: TaskTracker::new(),
            stopping: AtomicBool::new(false),
        })
    }

    pub fn leases(&self) -> Leases {
        self.leases
    }

    /// Opens a fresh sandbox that shows the `held` uploads; waits so long for a slot.
    pub async fn open(
        self: &Arc<Self>,
        client: &Client,
        spec: SandboxSpec,
        held: Vec<Arc<Stored>>,
        wait: Duration,
    ) -> Result<Arc<Room>, Refusal> {
        self.check_running()?;
        let slot = {
            let _waiting = During::new(&self.metrics.waiting);
            let slot = timeout(wait, Arc::clone(&self.slots).acquire_owned()).await;
            slot.map_err(|_| {
                let waited = wait.as_secs_f64();
                Refusal::later(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "no_slot",
                    format!(
                        "no slot came free within {waited} s; try again, or start with more `--slots`"
                    ),
                )
            })?
            .map_err(|_| Refusal::stopping())?
        };
        // Who waits for a slot does not have a sandbox yet.
        let claim = self.quotas.sandbox(client)?;
        let (rooms, client) = (Arc::clone(self), client.clone());
        self.carried(async move {
            let opening = During::new(&rooms.metrics.opening);
            let begun = Instant::now();
            let sandbox = rooms.sandboxes.open(&spec).await?;
            drop(opening);
            rooms
                .metrics
                .open_seconds
                .observe(begun.elapsed().as_secs_f64());
            Ok(rooms.admit(client, spec, held, sandbox, slot, claim))
        })
        .await?
    }

    fn admit(
        &self,
        client: Client,
        spec: SandboxSpec,
        held: Vec<Arc<Stored>>,
        sandbox: Box<dyn Sandbox>,
        slot: OwnedSemaphorePermit,
        claim: Claim,
    ) -> Arc<Room> {
        let now = Instant::now();
        let room = Arc::new(Room {
            id: random_id(),
            client,
            spec,
            current: Mutex::new(Current::of(&*sandbox)),
            opened: now,
            cells: AtomicU64::new(0),
            used: Mutex::new(now),
            inside: Arc::new(tokio::sync::Mutex::new(Some(Inside {
                sandbox,
                _slot: slot,
                _claim: claim,
            }))),
            closed: AtomicBool::new(false),
            _held: held,
        });
        self.table().insert(room.id.clone(), Arc::clone(&room));
        self.metrics.opened.inc();
        self.metrics.open.inc();
        room
    }

    /// The client's sandbox of that id; another's is as unknown as one that never was.
    pub fn find(&self, client: &Client, id: &str) -> Result<Arc<Room>, Refusal> {
        let table = self.table();
        let room = table.get(id).filter(|room| room.client == *client);
        room.cloned().ok_or_else(Refusal::unknown_sandbox)
    }

    /// The client's sandboxes, the oldest first.
    pub fn of(&self, client: &Client) -> Vec<Arc<Room>> {
        let table = self.table();
        let mine = table.values().filter(|room| room.client == *client);
        let mut mine: Vec<Arc<Room>> = mine.cloned().collect();
        mine.sort_by_key(|room| room.opened);
        mine
    }

    /// Runs a cell, for at most `cell`. When the request is given up meanwhile, the cell is interrupted, and killed when it does
    /// not end; what the sandbox holds stays, as after any interrupt.
    pub async fn execute(
        self: &Arc<Self>,
        room: &Arc<Room>,
        code: String,
        cell: Duration,
        turn: Turn,
    ) -> Result<CellResult, Refusal> {
        self.check_running()?;
        let mut entered = room.enter(turn).await?;
        let current = room.current();
        let given_up = CancellationToken::new();
        let _asked = given_up.clone().drop_guard();
        let (rooms, room) = (Arc::clone(self), Arc::clone(room));
        self.carried(async move {
            let sandbox = entered.sandbox();
            sandbox.limit_cell(cell);
            let begun = Instant::now();
            let running = sandbox.execute(&code);
            tokio::pin!(running);
            let abandoned = || Refusal::new(StatusCode::GONE, "abandoned", "nobody waits for it");
            let result = tokio::select! {
                result = &mut running => result.map_err(Refusal::from),
                () = current.ending.cancelled() => Err(Refusal::new(
                    StatusCode::GONE,
                    "closed",
                    "the sandbox was closed while the cell ran; open another",
                )),
                () = given_up.cancelled() => {
                    current.interrupter.interrupt();
                    tokio::select! {
                        result = &mut running => result.map_err(Refusal::from),
                        () = current.ending.cancelled() => Err(abandoned()),
                        () = sleep(GRACE) => Err(abandoned()),
                    }
                }
            };
            room.touch();
            room.cells.fetch_add(1, Ordering::Relaxed);
            if let Ok(result) = &result {
                rooms.metrics.cell(&result.observation.outcome);
                rooms
                    .metrics
                    .cell_seconds
                    .observe(begun.elapsed().as_secs_f64());
            }
            result
        })
        .await?
    }

    /// Does something with the sandbox besides running cells.
    pub async fn within<T, F>(&self, room: &Arc<Room>, turn: Turn, action: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut dyn Sandbox) -> BoxFuture<'a, Result<T, SandboxError>>
            + Send
            + 'static,
    {
        self.check_running()?;
        let mut entered = room.enter(turn).await?;
        let room = Arc::clone(room);
        self.carried(async move {
            let result = action(&mut **entered.sandbox()).await;
            room.touch();
            result.map_err(Refusal::from)
        })
        .await?
    }

    /// Closes the sandbox, whatever goes on in it; of several callers the first does it and is told so.
    pub async fn close(self: &Arc<Self>, room: &Arc<Room>, reason: &'static str) -> bool {
        if self.table().remove(&room.id).is_none() {
            return false;
        }
        room.closed.store(true, Ordering::Relaxed);
        room.current().ending.cancel();
        let (rooms, room) = (Arc::clone(self), Arc::clone(room));
        let closed = self.carried(async move {
            let inside = room.inside.lock().await.take();
            if let Some(inside) = inside {
                inside.sandbox.close().await;
            }
            rooms.metrics.open.dec();
            rooms.metrics.closed(reason);
        });
        closed.await.is_ok()
    }

    /// Puts a fresh sandbox in the place of the one in the room, whatever goes on in it. The slot is kept meanwhile.
    pub async fn renew(self: &Arc<Self>, room: &Arc<Room>) -> Result<(), Refusal> {
        self.check_running()?;
        room.touch();
        room.current().ending.cancel();
        let (rooms, room) = (Arc::clone(self), Arc::clone(room));
        self.carried(async move {
            let mut inside = room.inside.lock().await;
            let old = inside.take().ok_or_else(Refusal::unknown_sandbox)?;
            old.sandbox.close().await;
            match rooms.sandboxes.open(&room.spec).await {
                Ok(sandbox) => {
                    let current = Current::of(&*sandbox);
                    *room.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
                    *inside = Some(Inside { sandbox, ..old });
                    rooms.metrics.opened.inc();
                    rooms.metrics.closed("renewed");
                    room.touch();
                    Ok(())
                }
                Err(error) => {
                    drop(inside);
                    rooms.close(&room, "failed").await;
                    Err(Refusal::from(error))
                }
            }
        })
        .await?
    }

    /// Closes what was left alone for too long, until the server stops.
    pub async fn watch_leases(self: &Arc<Self>) {
        let pause = (self.leases.idle.min(self.leases.lifetime) / 4)
            .clamp(Duration::from_millis(20), Duration::from_secs(1));
        loop {
            sleep(pause).await;
            for (room, reason) in self.expired() {
                tracing::debug!(id = room.id, reason, "closes a sandbox");
                self.close(&room, reason).await;
            }
        }
    }

    fn expired(&self) -> Vec<(Arc<Room>, &'static str)> {
        let table = self.table();
        let expired = |room: &Arc<Room>| Some((Arc::clone(room), room.expired(self.leases)?));
        table.values().filter_map(expired).collect()
    }

    /// Takes nothing new from now on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.slots.close();
    }

    /// Closes all sandboxes.
    pub async fn close_rooms(self: &Arc<Self>) {
        let rooms: Vec<Arc<Room>> = self.table().values().cloned().collect();
        let closed = rooms.iter().map(|room| self.close(room, "stop"));
        futures::future::join_all(closed).await;
    }

    /// Closes all sandboxes and the backend.
    pub async fn close_all(self: &Arc<Self>) {
        self.stop();
        self.close_rooms().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.sandboxes.close().await;
    }

    fn check_running(&self) -> Result<(), Refusal> {
        if self.stopping.load(Ordering::Relaxed) {
            Err(Refusal::stopping())
        } else {
            Ok(())
        }
    }

    /// Carries work to its end, whether or not the request that asked for it is still there.
    pub async fn carried<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (done, result) = oneshot::channel();
        self.tasks.spawn(async move {
            // Nobody listens any more when the request was given up.
            done.send(work.await).ok();
        });
        result.await.map_err(|_| {
            let message = "the work ended in the middle; the server's log says why";
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        })
    }

    /// Begins work that nobody waits for; stopping does.
    pub fn carry(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Room>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody guesses it.
fn random_id() -> String {
    let mut bytes = [0; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    assert_eq!(filled, Ok(bytes.len()), "the kernel gives random bytes");
    format!("sbx_{}", HEXLOWER.encode(&bytes))
}
