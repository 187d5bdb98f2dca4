//! Kaggle's API and its storage host on loopback: what a crawl needs, as the service answers it, with faults on demand.
//!
//! A [`World`] says what there is: competitions and datasets as plain data. [`Fixture::start`] serves it on two hosts, as the
//! service does: the API ([`Fixture::api_url`], as RPC and as REST) answers downloads with a redirect to a signed address of the
//! storage host ([`Fixture::storage_url`]), which refuses credentials. Both run on a thread of their own and end with the value.
//! [`Fixture::fault`] makes calls fail, [`Fixture::wire`] chooses among the forms that answers have had over the years,
//! [`Fixture::edit`] changes the world, [`Fixture::requests`] and [`Fixture::count`] tell what was asked.
//!
//! This is a reading of the service of its own: it shares no code with the client that it tests.
//! That the reading is right is shown by the official client, which works against it (`tests/official_client.rs`).
//!
//! Start with `server/mod.rs` for the way of a request and with `world/small.rs` for the hand-made competitions.

mod fault;
mod log;
mod server;
pub mod world;

pub use fault::{Fault, Rule};
pub use log::{Host, Seen};
pub use server::{Addresses, Fixture, KEY, Rest, TOKEN, USERNAME, Wire};
pub use world::World;
