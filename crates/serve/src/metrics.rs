//! What the server counts, in the text format that Prometheus reads.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use synth_core::{CellLimit, CellOutcome};

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All counters of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    rejected: Family<Reason, Counter>,
    cells: Family<Outcome, Counter>,
    closed: Family<Reason, Counter>,
    pub opened: Counter,
    pub open: Gauge,
    pub opening: Gauge,
    pub waiting: Gauge,
    pub open_seconds: Histogram,
    pub cell_seconds: Histogram,
    pub received_bytes: Counter,
    pub sent_bytes: Counter,
    pub scores: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Metrics {
    pub fn new() -> Self {
        // From a tenth of a millisecond to about a quarter of an hour.
        let seconds = || Histogram::new(exponential_buckets(0.0001, 3.0, 15));
        let mut metrics = Self {
            registry: Registry::with_prefix("synth_serve"),
            requests: Family::default(),
            rejected: Family::default(),
            cells: Family::default(),
            closed: Family::default(),
            opened: Counter::default(),
            open: Gauge::default(),
            opening: Gauge::default(),
            waiting: Gauge::default(),
            open_seconds: seconds(),
            cell_seconds: seconds(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            scores: Counter::default(),
        };
        let registry = &mut metrics.registry;
        let requests = metrics.requests.clone();
        registry.register(
            "requests",
            "Requests answered, by route and status",
            requests,
        );
        let rejected = metrics.rejected.clone();
        registry.register("rejected", "Requests refused, by reason", rejected);
        let cells = metrics.cells.clone();
        registry.register("cells", "Cells run, by how they ended", cells);
        let closed = metrics.closed.clone();
        registry.register("sandboxes_closed", "Sandboxes closed, by reason", closed);
        for (name, help, counter) in [
            ("sandboxes_opened", "Sandboxes opened", &metrics.opened),
            (
                "received_bytes",
                "Bytes of request bodies",
                &metrics.received_bytes,
            ),
            ("sent_bytes", "Bytes of answers", &metrics.sent_bytes),
            ("scores", "Answers scored", &metrics.scores),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, gauge) in [
            ("sandboxes_open", "Sandboxes that are open", &metrics.open),
            (
                "sandboxes_opening",
                "Sandboxes that are being opened",
                &metrics.opening,
            ),
            (
                "sandboxes_waiting",
                "Requests that wait for a slot",
                &metrics.waiting,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, histogram) in [
            (
                "open_seconds",
                "Time to open a sandbox, without waiting",
                &metrics.open_seconds,
            ),
            (
                "cell_seconds",
                "Time that a cell ran",
                &metrics.cell_seconds,
            ),
        ] {
            registry.register(name, help, histogram.clone());
        }
        metrics
    }

    /// The text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing to a string does not fail");
        text
    }

    pub fn request(&self, route: &str, status: u16) {
        let labels = Request {
            route: route.to_owned(),
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Reason { reason }).inc();
    }

    pub fn closed(&self, reason: &'static str) {
        self.closed.get_or_create(&Reason { reason }).inc();
    }

    pub fn cell(&self, outcome: &CellOutcome) {
        let outcome = match outcome {
            CellOutcome::Ok => "ok",
            CellOutcome::Error { .. } => "error",
            CellOutcome::Timeout { .. } => "timeout",
            CellOutcome::OutOfMemory { .. } => "out_of_memory",
            CellOutcome::Limit { limit, .. } => match limit {
                CellLimit::Disk => "disk",
                CellLimit::Processes => "processes",
                CellLimit::Output => "output",
            },
            CellOutcome::Died { .. } => "died",
        };
        self.cells.get_or_create(&Outcome { outcome }).inc();
    }
}

/// Counts up now and down when dropped.
pub struct During(Gauge);

impl During {
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for During {
    fn drop(&mut self) {
        self.0.dec();
    }
}
