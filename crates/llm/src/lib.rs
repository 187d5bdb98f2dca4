//! Chat models behind one trait. Stages see [`ChatModel`], [`ChatRequest`] and [`ChatReply`]; [`open`] makes the real thing.
//!
//! A call passes these layers, one file each, outermost first:
//!
//! 1. `recording`: writes each exchange to a file, if asked to, so that `replay` can answer from it later
//! 2. `cache`: answers from the memory what was paid for before; identical calls in flight share one
//! 3. `budget`: stops before money or tokens run past the limit; counts what was spent
//! 4. `limiter`: bounds the calls in flight, adapting to overload, and paces requests and tokens a minute
//! 5. `retry`: sends again what met a passing fault, as late as the endpoint asks
//! 6. `openai`: speaks to any OpenAI-compatible endpoint, `transport` being its HTTP and `wire` its JSON
//!
//! `call` is what travels between them; `error` says which failures are an item's and which stop the run. Start with
//! [`open`] below, then `retry` and `transport`, where the faults are.

mod budget;
mod call;
mod chat;
mod error;
mod meter;

use std::sync::Arc;

use synth_core::Memo;
use synth_core::config::ModelConfig;

pub use budget::Budget;
pub use chat::{ChatModel, ChatReply, ChatRequest, Finish, Message, ReplySchema, ToolSpec};
pub use error::ModelError;
pub use meter::{Counts, Meter, MeterSnapshot};

/// Opens the model that is called `name` in the configuration.
///
/// `base_url_override` is where the builtin teacher listens; it is needed for that provider and wins over `base_url`.
/// Nothing is sent yet. Fails when the configuration cannot work: a key that is not set, a file that cannot be read.
pub fn open(
    name: &str,
    config: &ModelConfig,
    base_url_override: Option<&str>,
    memo: Arc<dyn Memo>,
    budget: Arc<Budget>,
    meter: Arc<Meter>,
) -> Result<Arc<dyn ChatModel>, ModelError> {
    let _ = (config, base_url_override, memo, budget, meter);
    Err(ModelError::Configuration { model: name.to_owned(), message: "not built yet".to_owned() })
}

/// Asks the endpoint for its list of models, which costs nothing, and says in a sentence whether it is there and
/// accepts the key.
pub async fn check(config: &ModelConfig) -> Result<String, ModelError> {
    Err(ModelError::Configuration { model: config.model.clone(), message: "not built yet".to_owned() })
}
