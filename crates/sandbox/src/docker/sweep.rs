//! Removes what dead owners left on a host: their containers, and data that nobody has used for long.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};

use super::owner::{Owner, RUN};
use super::volume;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Containers of dead owners.
    pub containers: usize,
    /// Volumes with data that nobody holds.
    pub volumes: usize,
}

/// Sweeps a host. What cannot be removed is left for the next time; a living owner's is never touched.
pub async fn sweep(docker: &Docker, owner: &Owner) -> Swept {
    Swept {
        containers: sweep_containers(docker, owner).await,
        volumes: volume::sweep(docker, owner, None).await,
    }
}

/// As `sweep`, and with it all data that nobody holds, however new.
pub async fn sweep_all(docker: &Docker, owner: &Owner) -> Swept {
    Swept {
        containers: sweep_containers(docker, owner).await,
        volumes: volume::sweep(docker, owner, Some(Duration::ZERO)).await,
    }
}

/// Removes the containers of dead owners; how many.
pub async fn sweep_containers(docker: &Docker, owner: &Owner) -> usize {
    remove_those(docker, RUN, |labels| owner.is_orphan(labels)).await
}

/// Removes what this start of the backend made.
pub async fn remove_own(docker: &Docker, owner: &Owner) {
    remove_those(docker, &format!("{RUN}={}", owner.run), |_| true).await;
}

async fn remove_those(
    docker: &Docker,
    label: &str,
    is_meant: impl Fn(&HashMap<String, String>) -> bool,
) -> usize {
    let filters = HashMap::from([("label", vec![label.to_owned()])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let found = match docker.list_containers(Some(options)).await {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(%error, "cannot sweep");
            return 0;
        }
    };
    let removals = found
        .into_iter()
        .filter(|container| is_meant(container.labels.as_ref().unwrap_or(&HashMap::new())))
        .filter_map(|container| container.id)
        .map(async |id| {
            let options = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            docker.remove_container(&id, Some(options)).await.is_ok()
        });
    let removed = futures::future::join_all(removals).await;
    removed.into_iter().filter(|removed| *removed).count()
}
