//! The images that containers are made from: their names, what they have to hold, and the making of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::errors::Error as EngineError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bollard::{Docker, body_try_stream};
use bytes::Bytes;
use futures::StreamExt;
use synth_core::Fingerprint;
use synth_core::config::SandboxConfig;
use tokio::io::AsyncReadExt;

use super::{host, rootfs};
use crate::SandboxError;
use crate::environment::{REQUIREMENTS, cache_folder, lock};

const DOCKERFILE: &str = include_str!("../../image/Dockerfile");
/// Says what an image was made from.
const LABEL: &str = "synth.image";
const CHUNK: usize = 1 << 20;

/// An image as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name for the Engine.
    pub name: String,
    /// What it is made from.
    pub fingerprint: String,
    requirements: String,
}

impl Image {
    /// The image that a spec names; the default one if it names none.
    pub fn named(config: &SandboxConfig, name: &str) -> Result<Self, SandboxError> {
        let mut requirements = REQUIREMENTS.to_owned();
        let repository = &config.docker.image;
        let full = if name.is_empty() {
            format!("{repository}:latest")
        } else {
            let image = config.images.get(name).ok_or_else(|| {
                SandboxError::Image(format!(
                    "there is no image `{name}`; describe it in `[sandbox.images.{name}]`"
                ))
            })?;
            let extra =
                fs::read_to_string(&image.requirements).map_err(SandboxError::io(format!(
                    "read `{}` of `sandbox.images.{name}`",
                    image.requirements.display()
                )))?;
            requirements.push('\n');
            requirements.push_str(&extra);
            format!("{repository}-{name}:latest")
        };
        let parts: [(&str, &[u8]); 3] = [
            ("requirements", requirements.as_bytes()),
            ("packages", rootfs::PACKAGES.as_bytes()),
            ("recipe", rootfs::RECIPE.as_bytes()),
        ];
        Ok(Self {
            name: full,
            fingerprint: Fingerprint::of_parts(&parts).to_string(),
            requirements,
        })
    }

    /// Writes what `docker build` needs to make the image, into a folder.
    pub fn write_context(&self, folder: &Path) -> Result<(), SandboxError> {
        let write = |name: &str, text: &str| {
            fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(name), text))
        };
        let dockerfile = DOCKERFILE.replace("@FINGERPRINT@", &self.fingerprint);
        write("Dockerfile", &dockerfile)
            .and_then(|()| write("packages", rootfs::PACKAGES))
            .and_then(|()| write("requirements.txt", &self.requirements))
            .map_err(SandboxError::io(format!(
                "write into `{}`",
                folder.display()
            )))
    }

    /// The tarball of the root filesystem, made first if there is none in the cache.
    pub async fn tarball(
        &self,
        config: &SandboxConfig,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<PathBuf, SandboxError> {
        let cache = cache_folder(config)?;
        fs::create_dir_all(&cache).map_err(SandboxError::io(format!(
            "make the cache folder `{}`",
            cache.display()
        )))?;
        let name = format!("image-{}", &self.fingerprint[..16]);
        let tarball = cache.join(format!("{name}.tar"));
        let _held = lock(&cache.join(format!("{name}.lock")), progress).await?;
        if !tarball.is_file() {
            rootfs::make(&self.requirements, &tarball, progress).await?;
        }
        Ok(tarball)
    }
}

/// What `build` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The image's name.
    pub image: String,
    /// The host that has it.
    pub host: String,
    /// Whether it was made now, rather than found.
    pub fresh: bool,
}

/// Sees to it that every configured host has this image.
pub async fn build(
    config: &SandboxConfig,
    image: &Image,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<Built>, SandboxError> {
    let mut built = Vec::new();
    for endpoint in host::endpoints(&config.docker.hosts) {
        let failed = |what: &str, error: EngineError| SandboxError::Docker {
            what: format!("{what} on `{}`", endpoint.url),
            why: error.to_string(),
        };
        let docker = host::connect(&endpoint).await.map_err(|error| {
            failed(
                "connect; is a Docker Engine running? Nothing was built",
                error,
            )
        })?;
        let found = fingerprint_on(&docker, &image.name)
            .await
            .map_err(|error| failed("look for the image", error))?;
        let fresh = found.as_ref() != Some(&image.fingerprint);
        if fresh {
            let tarball = image.tarball(config, progress).await?;
            progress(&format!("sending the image to `{}`", endpoint.url));
            import(&docker, image, &tarball)
                .await
                .map_err(|error| failed("import the image", error))?;
        }
        built.push(Built {
            image: image.name.clone(),
            host: endpoint.url.clone(),
            fresh,
        });
    }
    Ok(built)
}

/// In words, whether each configured host has this image.
pub async fn states(config: &SandboxConfig, image: &Image) -> Vec<(String, String)> {
    let mut states = Vec::new();
    for endpoint in host::endpoints(&config.docker.hosts) {
        let found = async {
            let docker = host::connect(&endpoint).await?;
            fingerprint_on(&docker, &image.name).await
        };
        let state = match found.await {
            Ok(Some(found)) if found == image.fingerprint => "ready".to_owned(),
            Ok(Some(_)) => "made by another version; run `synth sandbox build`".to_owned(),
            Ok(None) => "missing; run `synth sandbox build`".to_owned(),
            Err(error) => error.to_string(),
        };
        states.push((endpoint.url, state));
    }
    states
}

/// What the image on a host was made from; `None` when there is no such image.
pub async fn fingerprint_on(docker: &Docker, name: &str) -> Result<Option<String>, EngineError> {
    match docker.inspect_image(name).await {
        Ok(found) => {
            let labels = found
                .config
                .and_then(|config| config.labels)
                .unwrap_or_default();
            Ok(Some(labels.get(LABEL).cloned().unwrap_or_default()))
        }
        Err(EngineError::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn import(docker: &Docker, image: &Image, tarball: &Path) -> Result<(), EngineError> {
    let (repository, tag) = image.name.rsplit_once(':').expect("names have a tag");
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(repository)
        .tag(tag)
        .changes(vec![format!("LABEL {LABEL}={}", image.fingerprint)])
        .build();
    let file = tokio::fs::File::open(tarball).await?;
    let mut answers =
        Box::pin(docker.create_image(Some(options), Some(body_try_stream(chunks(file))), None));
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

/// A file, bit by bit.
fn chunks(file: tokio::fs::File) -> impl futures::Stream<Item = io::Result<Bytes>> {
    futures::stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let mut chunk = Vec::with_capacity(CHUNK);
        match (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Bytes::from(chunk)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    })
}
