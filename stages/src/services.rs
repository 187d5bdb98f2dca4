//! What stages bring along: models by role, sandboxes, the memory of paid work. All of it opens when it is first needed, so
//! that a run with nothing to do opens nothing.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use synth_core::config::{Config, Provider, SandboxBackend};
use synth_core::{Fingerprint, Memo, MemoError, RecordError};
use synth_kaggle::{Kaggle, KaggleOptions};
use synth_llm::{Budget, ChatModel, Meter, ModelError};
use synth_pipeline::{Spend, StageError, WorkError};
use synth_sandbox::Sandboxes;
use synth_score::Scorer;
use tokio::sync::OnceCell;

use crate::purse::DownloadPurse;

/// What is said where nobody asks Kaggle.
pub const NO_CREDENTIALS: &str = "there are no credentials for Kaggle; make a token at https://www.kaggle.com/settings and set `KAGGLE_API_TOKEN` to it, or set `KAGGLE_USERNAME` and `KAGGLE_KEY`";

/// Models, sandboxes and memory for one invocation.
pub struct Services {
    /// The memory of paid work.
    pub memo: Arc<dyn Memo>,
    /// Where files that agents wrote are scored.
    pub scorer: Scorer,
    config: Config,
    scratch: PathBuf,
    say: Box<dyn Fn(&str) + Send + Sync>,
    budget: Arc<Budget>,
    meter: Arc<Meter>,
    models: tokio::sync::Mutex<BTreeMap<String, Arc<dyn ChatModel>>>,
    teachers: tokio::sync::Mutex<Vec<synth_teacher::Server>>,
    sandboxes: OnceCell<Arc<dyn Sandboxes>>,
    /// What was and may be downloaded.
    pub downloads: DownloadPurse,
    kaggle: OnceLock<Arc<Kaggle>>,
}

/// The folder under `run.output` of downloads on their way. What lies there is found again after a kill.
pub const DOWNLOADS: &str = "downloads";

impl Services {
    /// Nothing is opened yet. `scratch` is a folder for sandboxes; `say` tells a person what takes long.
    pub fn new(
        config: &Config,
        memo: Arc<dyn Memo>,
        scratch: PathBuf,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            memo,
            scorer: Scorer::default(),
            config: config.clone(),
            scratch,
            say: Box::new(say),
            budget: Arc::new(Budget::new(&config.budget)),
            meter: Arc::new(Meter::new()),
            models: tokio::sync::Mutex::default(),
            teachers: tokio::sync::Mutex::default(),
            sandboxes: OnceCell::new(),
            downloads: DownloadPurse::new(config.budget.download_bytes),
            kaggle: OnceLock::new(),
        }
    }

    /// Kaggle, asked as whoever the environment says.
    pub fn kaggle(&self) -> Result<Arc<Kaggle>, StageError> {
        if let Some(kaggle) = self.kaggle.get() {
            return Ok(Arc::clone(kaggle));
        }
        let opened = KaggleOptions::find(&self.config.kaggle)
            .and_then(Kaggle::open)
            .map_err(|error| StageError::Origin(error.to_string()))?;
        if opened.is_anonymous() {
            return Err(StageError::Origin(NO_CREDENTIALS.to_owned()));
        }
        Ok(Arc::clone(self.kaggle.get_or_init(|| Arc::new(opened))))
    }

    /// Tells whoever watches what takes long.
    pub fn tell(&self, text: &str) {
        (self.say)(text);
    }

    /// Takes these sandboxes instead of starting a backend of its own.
    #[must_use]
    pub fn with_sandboxes(self, sandboxes: Arc<dyn Sandboxes>) -> Self {
        Self {
            sandboxes: OnceCell::new_with(Some(sandboxes)),
            ..self
        }
    }

    /// Has files that agents wrote scored there instead of in this process.
    #[must_use]
    pub fn with_scorer(self, scorer: Scorer) -> Self {
        Self { scorer, ..self }
    }

    /// The model that plays a role.
    pub async fn model(&self, role: &str) -> Result<Arc<dyn ChatModel>, StageError> {
        let name = name_of(&self.config, role);
        let mut models = self.models.lock().await;
        if let Some(model) = models.get(name) {
            return Ok(Arc::clone(model));
        }
        let config = self
            .config
            .models
            .get(name)
            .ok_or_else(|| StageError::Model(format!("there is no model `{name}`")))?;
        let base_url = if config.provider == Provider::Builtin {
            let rates = synth_teacher::TeacherConfig {
                error_rate: config.error_rate,
                wrong_rate: config.wrong_rate,
            };
            let server = synth_teacher::serve(rates, None).await?;
            let base_url = server.base_url.clone();
            self.teachers.lock().await.push(server);
            Some(base_url)
        } else {
            None
        };
        let model = synth_llm::open(
            name,
            config,
            base_url.as_deref(),
            Arc::clone(&self.memo),
            Arc::clone(&self.budget),
            Arc::clone(&self.meter),
        )
        .map_err(|error| StageError::Model(error.to_string()))?;
        models.insert(name.to_owned(), Arc::clone(&model));
        Ok(model)
    }

    /// Where code runs.
    pub async fn sandboxes(&self) -> Result<&Arc<dyn Sandboxes>, StageError> {
        self.sandboxes
            .get_or_try_init(|| async {
                synth_sandbox::open_backend(
                    &self.config.sandbox,
                    self.config.jobs.sandboxes,
                    &self.scratch,
                    &*self.say,
                )
                .await
                .map_err(|error| StageError::Sandbox(error.to_string()))
            })
            .await
    }

    /// The image in which tasks of this domain run; empty for the default one. Local sandboxes have one environment.
    pub fn image(&self, domain: &str) -> &str {
        let sandbox = &self.config.sandbox;
        match sandbox.backend {
            SandboxBackend::Local => "",
            SandboxBackend::Docker => sandbox
                .docker
                .by_domain
                .get(domain)
                .map_or("", String::as_str),
        }
    }

    /// A model's failure is the item's, unless nobody can go on. An endpoint that could not be reached once in this
    /// invocation is not there: every further item would wait for it in vain.
    pub fn model_error(&self, error: ModelError) -> WorkError {
        let is_unreachable = matches!(&error, ModelError::Exhausted { last, .. } if matches!(**last, ModelError::Connection { .. }));
        if error.stops_the_run() || is_unreachable && self.meter.snapshot().total.calls == 0 {
            return WorkError::Stage(stage_error(error));
        }
        WorkError::Record(RecordError::from(error))
    }

    /// Ends what was opened.
    pub async fn close(&self) {
        if let Some(sandboxes) = self.sandboxes.get() {
            sandboxes.close().await;
        }
        for server in self.teachers.lock().await.drain(..) {
            server.shutdown().await;
        }
    }
}

impl synth_pipeline::Services for Services {
    fn spend(&self) -> Spend {
        let meter = self.meter.snapshot().total;
        Spend {
            calls: meter.calls,
            cached: meter.cached_replies,
            prompt_tokens: meter.prompt_tokens,
            completion_tokens: meter.completion_tokens,
            usd: meter.usd,
            sandboxes: self
                .sandboxes
                .get()
                .map_or(0, |sandboxes| sandboxes.opened()),
        }
    }
}

/// A model's failure after which nobody can go on.
#[expect(clippy::needless_pass_by_value, reason = "handed over by `map_err`")]
pub fn stage_error(error: ModelError) -> StageError {
    let message = error.to_string();
    match error {
        ModelError::BudgetReached { .. } => StageError::Budget(message),
        ModelError::Memo(_) | ModelError::Recording { .. } => StageError::Files(message),
        _ => StageError::Model(message),
    }
}

/// The model, by its name under `models`, that plays a role.
pub fn name_of<'a>(config: &'a Config, role: &str) -> &'a str {
    config
        .roles
        .by_name()
        .into_iter()
        .find(|(name, _)| *name == role)
        .map_or("", |(_, model)| model)
}

/// What of a model's configuration its replies depend on: not where it is reached, nor how fast.
pub fn reply_basis(config: &Config, role: &str) -> Fingerprint {
    let model = config.models.get(name_of(config, role));
    Fingerprint::of(&model.map(|model| {
        let provider = if model.provider == Provider::Replay {
            Provider::Openai
        } else {
            model.provider
        };
        (
            provider,
            &model.model,
            model.structured,
            model.error_rate.to_bits(),
            model.wrong_rate.to_bits(),
        )
    }))
}

/// A memory for `--fresh`: it knows nothing but what this invocation put into it, and hands everything on.
pub struct FreshMemo {
    inner: Arc<dyn Memo>,
    written: Mutex<HashSet<Fingerprint>>,
}

impl FreshMemo {
    /// Forgets what `inner` knows, without taking it away.
    pub fn new(inner: Arc<dyn Memo>) -> Self {
        Self {
            inner,
            written: Mutex::default(),
        }
    }
}

#[async_trait]
impl Memo for FreshMemo {
    async fn get(&self, key: Fingerprint) -> Result<Option<Vec<u8>>, MemoError> {
        if self
            .written
            .lock()
            .expect("no holder panics")
            .contains(&key)
        {
            self.inner.get(key).await
        } else {
            Ok(None)
        }
    }

    async fn put(&self, key: Fingerprint, value: Vec<u8>) -> Result<(), MemoError> {
        self.inner.put(key, value).await?;
        self.written.lock().expect("no holder panics").insert(key);
        Ok(())
    }
}
