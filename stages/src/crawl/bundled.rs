//! The sources that come with `synth`, embedded in the program.

use include_dir::{Dir, include_dir};
use synth_pipeline::StageError;

use super::{Found, Place, folder};

static SOURCES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sources");

/// All of them, or those named.
pub(super) fn find(only: &[String]) -> Result<Vec<Found>, StageError> {
    let names: Vec<&str> = SOURCES
        .dirs()
        .filter_map(|dir| dir.path().to_str())
        .collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(StageError::Files(format!(
            "there is no bundled source `{unknown}`; there are {}",
            names.join(", ")
        )));
    }
    let wanted = SOURCES
        .dirs()
        .filter(|dir| only.is_empty() || only.iter().any(|name| dir.path().to_str() == Some(name)));
    Ok(wanted.map(found).collect())
}

fn found(dir: &Dir<'_>) -> Found {
    let mut description = None;
    let mut files = Vec::new();
    for file in dir.files() {
        let Some(name) = file.path().file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name == "source.toml" {
            description = file.contents_utf8().map(str::to_owned);
        } else {
            files.push((name.to_owned(), Place::Bytes(file.contents().into())));
        }
    }
    let slug = dir.path().to_str().unwrap_or_default();
    folder::assemble(slug, description.as_deref(), None, files, String::new())
}
