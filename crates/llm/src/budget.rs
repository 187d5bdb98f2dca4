//! The spending limit of an invocation: asked before a call is made, told afterwards what it cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use synth_core::Usage;
use synth_core::config::{BudgetConfig, ModelConfig};

use crate::ModelError;
use crate::call::{Answer, Call, Layer};
use crate::meter::{Counters, nano_usd, usd};

/// US dollars and tokens for one invocation, shared between its models.
///
/// A call is let through while less than the limit is spent, so the calls in flight at that moment may overshoot it.
#[derive(Debug, Default)]
pub struct Budget {
    limit_nano_usd: u64,
    limit_tokens: u64,
    spent_nano_usd: AtomicU64,
    spent_tokens: AtomicU64,
}

impl Budget {
    /// A budget of which nothing is spent; a limit of 0 is no limit.
    pub fn new(config: &BudgetConfig) -> Self {
        Self {
            limit_nano_usd: nano_usd(config.usd),
            limit_tokens: config.tokens,
            ..Self::default()
        }
    }

    /// A budget that never ends.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Fails with [`ModelError::BudgetReached`] when a limit is reached.
    pub fn check(&self) -> Result<(), ModelError> {
        let spent_nano_usd = self.spent_nano_usd.load(Relaxed);
        if self.limit_nano_usd > 0 && spent_nano_usd >= self.limit_nano_usd {
            let (spent, limit) = (usd(spent_nano_usd), usd(self.limit_nano_usd));
            return Err(ModelError::BudgetReached {
                key: "usd",
                spent: format!("{spent:.2} USD"),
                limit: format!("{limit:.2} USD"),
            });
        }
        let spent_tokens = self.spent_tokens.load(Relaxed);
        if self.limit_tokens > 0 && spent_tokens >= self.limit_tokens {
            let limit = format!("{} tokens", self.limit_tokens);
            return Err(ModelError::BudgetReached {
                key: "tokens",
                spent: format!("{spent_tokens} tokens"),
                limit,
            });
        }
        Ok(())
    }

    fn spend(&self, usage: Usage) {
        self.spent_nano_usd.fetch_add(nano_usd(usage.usd), Relaxed);
        self.spent_tokens
            .fetch_add(usage.prompt_tokens + usage.completion_tokens, Relaxed);
    }
}

/// What a model's tokens cost, in US dollars a million.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    prompt: f64,
    completion: f64,
}

impl Prices {
    pub(crate) fn of(config: &ModelConfig) -> Self {
        Self {
            prompt: config.usd_per_million_prompt,
            completion: config.usd_per_million_completion,
        }
    }

    pub(crate) fn put_on(self, usage: &mut Usage) {
        usage.usd = (usage.prompt_tokens as f64 * self.prompt
            + usage.completion_tokens as f64 * self.completion)
            / 1e6;
    }
}

/// The layer that asks and tells the [`Budget`], and puts a price on every answer.
pub(crate) struct Budgeted {
    budget: Arc<Budget>,
    counters: Arc<Counters>,
    prices: Prices,
    inner: Box<dyn Layer>,
}

impl Budgeted {
    pub(crate) fn new(
        budget: Arc<Budget>,
        counters: Arc<Counters>,
        prices: Prices,
        inner: Box<dyn Layer>,
    ) -> Self {
        Self {
            budget,
            counters,
            prices,
            inner,
        }
    }
}

#[async_trait]
impl Layer for Budgeted {
    async fn answer(&self, call: Call<'_>) -> Result<Answer, ModelError> {
        self.budget.check()?;
        let mut answer = self.inner.answer(call).await?;
        let usage = answer.usage_mut();
        self.prices.put_on(usage);
        self.budget.spend(*usage);
        self.counters.call(*usage);
        Ok(answer)
    }
}
