//! The data of a task as a volume on a host: named by its content, sent once through the API, mounted read-only ever after.
//!
//! A container that is never started holds the volume while its owner may use it: the Engine removes no volume that a container
//! refers to. Another volume, empty, says that the first is complete; whoever changes either holds a lock, which is a container's
//! name. So a volume that was seen to be complete by somebody who holds it stays so.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bollard::errors::Error as EngineError;
use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptions,
    UploadToContainerOptionsBuilder,
};
use bollard::{Docker, body_try_stream};
use bytes::Bytes;
use synth_core::Fingerprint;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::host::Host;
use super::owner::{Owner, now};
use crate::files::plain;
use crate::{MountedFile, SandboxError};

/// The label of a volume with data, and when it was made.
const LABEL: &str = "synth.volume";
const CREATED: &str = "synth.created";
/// A volume that is older and that nobody holds is removed; it can be sent again.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
const CHUNK: usize = 256 << 10;
/// How long another's sending is waited for at a time.
const PATIENCE: Duration = Duration::from_millis(200);

/// Files of this machine, by where a sandbox finds them below `data/`.
pub type Listing = Vec<(String, PathBuf)>;

/// What files hold, remembered while they do not change.
#[derive(Default)]
pub struct Contents {
    known: Mutex<HashMap<PathBuf, (u64, SystemTime, String)>>,
}

impl Contents {
    /// The files in full, with folders opened up, and the name of the volume that holds them.
    pub fn name(&self, files: &[MountedFile]) -> Result<(String, Listing), SandboxError> {
        let mut listing = Listing::new();
        for file in files {
            let names = plain(&file.path)?;
            list(&names.join("/"), &file.host_path, &mut listing).map_err(|source| {
                SandboxError::Data {
                    path: file.path.clone(),
                    source,
                }
            })?;
        }
        listing.sort();
        let mut hashes = Vec::with_capacity(listing.len());
        for (path, host_path) in &listing {
            let hash = self.hash(host_path).map_err(|source| SandboxError::Data {
                path: path.clone(),
                source,
            })?;
            hashes.push((path.as_str(), hash));
        }
        let fingerprint = Fingerprint::of(&("volume", &hashes)).to_string();
        Ok((format!("synth-data-{}", &fingerprint[..32]), listing))
    }

    fn hash(&self, path: &Path) -> io::Result<String> {
        let metadata = fs::metadata(path)?;
        let state = (metadata.len(), metadata.modified()?);
        let known = |contents: &Self| {
            let known = contents
                .known
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let (length, modified, hash) = known.get(path)?;
            ((*length, *modified) == state).then(|| hash.clone())
        };
        if let Some(hash) = known(self) {
            return Ok(hash);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        let hash = hasher.finalize().to_hex().to_string();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.to_path_buf(), (state.0, state.1, hash.clone()));
        Ok(hash)
    }
}

fn list(path: &str, host_path: &Path, listing: &mut Listing) -> io::Result<()> {
    let host_path = host_path.canonicalize()?;
    let metadata = fs::metadata(&host_path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(&host_path)? {
            let entry = entry?;
            let name = entry
                .file_name()
                .into_string()
                .map_err(|_| io::Error::other("a name in the folder is not UTF-8"))?;
            // A link in a folder of data may lead anywhere.
            if !entry.file_type()?.is_symlink() {
                list(&format!("{path}/{name}"), &entry.path(), listing)?;
            }
        }
    } else if metadata.is_file() {
        listing.push((path.to_owned(), host_path));
    } else {
        return Err(io::Error::other(
            "it is neither a regular file nor a folder",
        ));
    }
    Ok(())
}

/// Sees to it that a host has the volume, complete, and keeps it while this owner lives.
pub async fn provide(
    host: &Host,
    docker: &Docker,
    owner: &Owner,
    image: &str,
    name: &str,
    files: Listing,
) -> Result<(), SandboxError> {
    let mut held = host.volumes.lock().await;
    if held.contains(name) {
        return Ok(());
    }
    let fail = |what| move |error| host.failed(what, &error);
    create(docker, name).await.map_err(fail("make a volume"))?;
    hold(
        docker,
        owner,
        image,
        name,
        &format!("{}-{}", holder(name), owner.run),
    )
    .await
    .map_err(fail("hold a volume"))?;
    let complete = marker(name);
    while !exists(docker, &complete)
        .await
        .map_err(fail("look for a volume"))?
    {
        let lock = holder(name);
        match hold(docker, owner, image, name, &lock).await {
            Ok(()) => {}
            // Another is sending it; a dead one's lock goes with the next sweep.
            Err(EngineError::DockerResponseServerError {
                status_code: 409, ..
            }) => {
                super::sweep::sweep_containers(docker, owner).await;
                sleep(PATIENCE).await;
                continue;
            }
            Err(error) => return Err(host.failed("hold a volume", &error)),
        }
        let sent = send(host, docker, &lock, files.clone()).await;
        let marked = match sent {
            Ok(()) => create(docker, &complete)
                .await
                .map_err(fail("make a volume")),
            Err(error) => Err(error),
        };
        host.remove(docker, &lock).await;
        marked?;
    }
    held.insert(name.to_owned());
    Ok(())
}

fn marker(volume: &str) -> String {
    format!("{volume}-complete")
}

fn holder(volume: &str) -> String {
    volume.replacen("data", "hold", 1)
}

async fn create(docker: &Docker, name: &str) -> Result<(), EngineError> {
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        labels: Some(HashMap::from([
            (LABEL.to_owned(), name.to_owned()),
            (CREATED.to_owned(), now().to_string()),
        ])),
        ..VolumeCreateRequest::default()
    };
    docker.create_volume(request).await.map(drop)
}

async fn exists(docker: &Docker, name: &str) -> Result<bool, EngineError> {
    match docker.inspect_volume(name).await {
        Ok(_) => Ok(true),
        Err(EngineError::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a container that refers to the volume, and is never started.
async fn hold(
    docker: &Docker,
    owner: &Owner,
    image: &str,
    volume: &str,
    name: &str,
) -> Result<(), EngineError> {
    let mount = Mount {
        target: Some("/workspace".into()),
        source: Some(volume.to_owned()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["/bin/false".into()]),
        labels: Some(owner.labels()),
        host_config: Some(HostConfig {
            network_mode: Some("none".into()),
            mounts: Some(vec![mount]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    docker.create_container(Some(options), body).await.map(drop)
}

/// Sends the files into the volume that a container refers to, as a stream: no file is ever in memory as a whole.
async fn send(
    host: &Host,
    docker: &Docker,
    container: &str,
    files: Listing,
) -> Result<(), SandboxError> {
    let (sender, mut receiver) = mpsc::channel(4);
    let packing = spawn_blocking(move || pack(&files, &sender));
    let parts = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let options = UploadToContainerOptionsBuilder::new()
        .path("/workspace")
        .build();
    let sending = docker.upload_to_container(container, Some(options), body_try_stream(parts));
    let (packed, sent) = tokio::join!(packing, sending);
    // What failed first is the cause of the other.
    packed.map_err(|error| SandboxError::Open(error.to_string()))??;
    sent.map_err(|error| host.failed("send the data files", &error))
}

/// Writes the files as a tarball, all of it root's and for reading only.
fn pack(files: &Listing, sender: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), SandboxError> {
    let mut tar = tar::Builder::new(BufWriter::with_capacity(CHUNK, Parts(sender.clone())));
    let mut made = std::collections::BTreeSet::new();
    for (path, host_path) in files {
        let mut append = || {
            for (index, _) in path.match_indices('/') {
                if made.insert(path[..index].to_owned()) {
                    let mut header = header(tar::EntryType::Directory, 0o755, 0);
                    tar.append_data(&mut header, &path[..index], io::empty())?;
                }
            }
            let file = File::open(host_path)?;
            let mut header = header(tar::EntryType::Regular, 0o444, file.metadata()?.len());
            tar.append_data(&mut header, path, file)
        };
        if let Err(source) = append() {
            // The Engine must not take what it has for the whole.
            let _ = sender.blocking_send(Err(io::Error::other("a file cannot be read")));
            if source.kind() == io::ErrorKind::BrokenPipe {
                return Ok(()); // the sending failed, and says why
            }
            return Err(SandboxError::Data {
                path: path.clone(),
                source,
            });
        }
    }
    // It fails when the sending has, which says why.
    let _ = tar.into_inner().and_then(|mut rest| rest.flush());
    Ok(())
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

struct Parts(mpsc::Sender<io::Result<Bytes>>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes volumes that are old and that nobody holds; how many.
pub async fn sweep(docker: &Docker, owner: &Owner, kept: Option<Duration>) -> usize {
    let filters = HashMap::from([("label", vec![LABEL.to_owned()])]);
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let Ok(found) = docker.list_volumes(Some(options)).await else {
        return 0;
    };
    let before = now().saturating_sub(kept.unwrap_or(KEPT).as_secs());
    let mut removed = 0;
    for volume in found.volumes.unwrap_or_default() {
        let created = volume
            .labels
            .get(CREATED)
            .and_then(|text| text.parse::<u64>().ok());
        if volume.name.ends_with("-complete") || created.is_none_or(|created| created > before) {
            continue;
        }
        removed += usize::from(remove(docker, owner, &volume.name).await);
    }
    removed
}

/// Removes a volume and its mark, under the lock; puts the mark back when somebody holds the volume.
async fn remove(docker: &Docker, owner: &Owner, name: &str) -> bool {
    let lock = holder(name);
    let images = docker
        .list_images(None::<bollard::query_parameters::ListImagesOptions>)
        .await;
    let Some(image) = images.ok().and_then(|images| images.into_iter().next()) else {
        return false; // a lock is a container, and that takes an image
    };
    let body = ContainerCreateBody {
        image: Some(image.id),
        cmd: Some(vec!["/bin/false".into()]),
        labels: Some(owner.labels()),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(&lock).build();
    if docker.create_container(Some(options), body).await.is_err() {
        return false;
    }
    let none = None::<RemoveVolumeOptions>;
    let marked = docker
        .remove_volume(&marker(name), none.clone())
        .await
        .is_ok();
    let removed = docker.remove_volume(name, none).await.is_ok();
    if marked && !removed {
        // Without the mark the data is sent once more, to the same effect.
        let _ = create(docker, &marker(name)).await;
    }
    let _ = docker
        .remove_container(
            &lock,
            None::<bollard::query_parameters::RemoveContainerOptions>,
        )
        .await;
    removed
}
