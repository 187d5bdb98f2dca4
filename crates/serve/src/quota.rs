//! How much one client may have at once: requests, sandboxes, bytes of uploaded files. What was taken comes back when it is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;

use crate::access::Client;
use crate::error::Refusal;

/// The most that one client may have.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Sandboxes open.
    pub sandboxes: usize,
    /// Requests in flight.
    pub requests: usize,
    /// Bytes of a request.
    pub body_bytes: usize,
    /// Bytes of uploaded files.
    pub upload_bytes: u64,
}

/// The account of all clients.
pub(crate) struct Quotas {
    limits: ClientLimits,
    used: Mutex<HashMap<Client, Used>>,
}

#[derive(Default, PartialEq)]
struct Used {
    sandboxes: u64,
    requests: u64,
    upload_bytes: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Sandboxes,
    Requests,
    UploadBytes,
}

impl Used {
    fn of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Sandboxes => &mut self.sandboxes,
            Kind::Requests => &mut self.requests,
            Kind::UploadBytes => &mut self.upload_bytes,
        }
    }
}

/// Something that a client has; given back on drop.
pub(crate) struct Claim {
    quotas: Arc<Quotas>,
    client: Client,
    kind: Kind,
    amount: u64,
}

impl Quotas {
    pub fn new(limits: ClientLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            used: Mutex::default(),
        })
    }

    pub fn sandbox(self: &Arc<Self>, client: &Client) -> Result<Claim, Refusal> {
        self.take(client, Kind::Sandboxes, 1).ok_or_else(|| {
            let most = self.limits.sandboxes;
            let message = format!("you have {most} sandboxes open, which is the limit; close one");
            Refusal::later(StatusCode::TOO_MANY_REQUESTS, "too_many_sandboxes", message)
        })
    }

    pub fn request(self: &Arc<Self>, client: &Client) -> Result<Claim, Refusal> {
        self.take(client, Kind::Requests, 1).ok_or_else(|| {
            let most = self.limits.requests;
            let message =
                format!("you have {most} requests in flight, which is the limit; wait for one");
            Refusal::later(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
        })
    }

    /// A claim of nothing yet, to [grow](Claim::grow) as an upload comes in.
    pub fn upload(self: &Arc<Self>, client: &Client) -> Claim {
        Claim {
            quotas: Arc::clone(self),
            client: client.clone(),
            kind: Kind::UploadBytes,
            amount: 0,
        }
    }

    fn take(self: &Arc<Self>, client: &Client, kind: Kind, amount: u64) -> Option<Claim> {
        let mut claim = Claim {
            quotas: Arc::clone(self),
            client: client.clone(),
            kind,
            amount: 0,
        };
        claim.grow(amount).then_some(claim)
    }

    fn most(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Sandboxes => self.limits.sandboxes as u64,
            Kind::Requests => self.limits.requests as u64,
            Kind::UploadBytes => self.limits.upload_bytes,
        }
    }
}

impl Claim {
    /// Takes more; false, and nothing is taken, where that goes beyond the limit.
    pub fn grow(&mut self, amount: u64) -> bool {
        let mut used = self
            .quotas
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let most = self.quotas.most(self.kind);
        let held = used.entry(self.client.clone()).or_default().of(self.kind);
        let fits = amount <= most.saturating_sub(*held);
        if fits {
            *held += amount;
            self.amount += amount;
        }
        fits
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut used = self
            .quotas
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = used.get_mut(&self.client) {
            *account.of(self.kind) -= self.amount;
            // A client that has nothing is forgotten: addresses come and go.
            if *account == Used::default() {
                used.remove(&self.client);
            }
        }
    }
}
