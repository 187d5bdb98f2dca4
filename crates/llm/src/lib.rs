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
mod cache;
mod call;
mod chat;
mod error;
mod limiter;
mod meter;
mod openai;
mod patience;
mod recording;
mod replay;
mod retry;
mod secret;
mod transport;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use synth_core::Memo;
use synth_core::config::{ModelConfig, Provider};

pub use budget::Budget;
pub use chat::{ChatModel, ChatReply, ChatRequest, Finish, Message, ReplySchema, ToolSpec};
pub use error::ModelError;
pub use meter::{Counts, Meter, MeterSnapshot};
pub use patience::Patience;

use budget::{Budgeted, Prices};
use cache::Cached;
use call::{Answer, Call, Keys, Layer};
use limiter::{Limited, Limiter};
use openai::OpenAi;
use recording::Recording;
use replay::Replay;
use retry::Retrying;

/// Opens the model that is called `name` in the configuration.
///
/// `base_url_override` is where the builtin teacher listens; that provider needs it, and it wins over `base_url`.
/// Nothing is sent yet. Fails when the configuration cannot work: a key that is not set, a file that cannot be read.
///
/// Limits and calls in flight are this value's own: open a model once and share it between its roles.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a meter is handed over like the memory and the budget"
)]
pub fn open(
    name: &str,
    config: &ModelConfig,
    base_url_override: Option<&str>,
    memo: Arc<dyn Memo>,
    budget: Arc<Budget>,
    meter: Arc<Meter>,
) -> Result<Arc<dyn ChatModel>, ModelError> {
    open_with(
        name,
        config,
        base_url_override,
        memo,
        budget,
        &meter,
        Patience::of(config),
    )
}

/// [`open`] with bounds of one's own.
pub fn open_with(
    name: &str,
    config: &ModelConfig,
    base_url_override: Option<&str>,
    memo: Arc<dyn Memo>,
    budget: Arc<Budget>,
    meter: &Meter,
    patience: Patience,
) -> Result<Arc<dyn ChatModel>, ModelError> {
    let keys = Keys::new(config);
    let counters = meter.model(name);
    let prices = Prices::of(config);
    let mut layers: Box<dyn Layer> = match config.provider {
        Provider::Replay => Box::new(Replay::open(name, config, keys.clone(), counters)?),
        Provider::Builtin | Provider::Openai => {
            let base_url = match (config.provider, base_url_override) {
                (_, Some(base_url)) => base_url,
                (Provider::Builtin, None) => {
                    let message = "the builtin teacher is not running; start it first".to_owned();
                    return Err(ModelError::Configuration {
                        model: name.to_owned(),
                        message,
                    });
                }
                (_, None) => &config.base_url,
            };
            let limiter = Arc::new(Limiter::new(config));
            let provider = OpenAi::open(name, config, base_url, &patience)?;
            let retrying = Retrying::new(
                name,
                patience,
                Arc::clone(&limiter),
                Arc::clone(&counters),
                Box::new(provider),
            );
            let bounded = Limited::new(limiter, Box::new(retrying));
            let budgeted = Budgeted::new(budget, Arc::clone(&counters), prices, Box::new(bounded));
            Box::new(Cached::new(
                keys.clone(),
                memo,
                counters,
                prices,
                Box::new(budgeted),
            ))
        }
    };
    if !config.record.as_os_str().is_empty() {
        layers = Box::new(Recording::open(
            name,
            &config.model,
            keys,
            &config.record,
            layers,
        )?);
    }
    Ok(Arc::new(Model {
        model: config.model.clone(),
        layers,
    }))
}

/// Says in a sentence whether a model can be used, without any paid work: asks an endpoint for its list of models, which
/// shows whether it is there and accepts the key; reads a file that is to be replayed.
pub async fn check(config: &ModelConfig) -> Result<String, ModelError> {
    let name = &config.model;
    match config.provider {
        Provider::Builtin => Ok("the builtin teacher needs no key and no network".to_owned()),
        Provider::Replay => {
            let keys = Keys::new(config);
            let replay = Replay::open(name, config, keys, Meter::new().model(name))?;
            Ok(format!(
                "`{}` holds {} exchanges",
                config.exchanges.display(),
                replay.len()
            ))
        }
        Provider::Openai => openai::list_models(name, config, &Patience::of(config)).await,
    }
}

/// The layers as stages see them.
struct Model {
    model: String,
    layers: Box<dyn Layer>,
}

#[async_trait]
impl ChatModel for Model {
    fn name(&self) -> &str {
        &self.model
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        match self.layers.answer(Call::Chat(request)).await? {
            Answer::Chat(reply) => Ok(reply),
            Answer::Embed { .. } => unreachable!("a chat is answered by a chat"),
        }
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        match self.layers.answer(Call::Embed(texts)).await? {
            Answer::Embed { vectors, .. } => Ok(vectors),
            Answer::Chat(_) => unreachable!("an embedding is answered by an embedding"),
        }
    }
}
