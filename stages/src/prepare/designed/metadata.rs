//! What agents may read of a table's columns: a text file beside the data.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use synth_core::Source;

use super::frame::{Frame, plain};

/// Its path.
pub(super) const FILE: &str = "metadata.txt";

/// Characters of a page that are passed on.
const MAX_PAGE: usize = 6000;

/// The text: what the source says of itself, and a line `name: description` for each column.
pub(super) fn text(
    source: &Source,
    frame: &Frame,
    descriptions: &BTreeMap<String, String>,
) -> String {
    let mut text = String::new();
    for (heading, page) in [
        ("Description", &source.pages.description),
        ("Data", &source.pages.data),
    ] {
        let page: String = page.trim().chars().take(MAX_PAGE).collect();
        if !page.is_empty() {
            write!(text, "=== {heading} ===\n\n{page}\n\n")
                .expect("writing to memory does not fail");
        }
    }
    let title = if source.title.trim().is_empty() {
        &source.slug
    } else {
        &source.title
    };
    let mut text = format!("{}\n\n{text}=== Columns ===\n\n", plain(title));
    for column in &frame.columns {
        let description = descriptions
            .get(&column.name)
            .map_or(column.name.as_str(), String::as_str);
        writeln!(text, "{}: {description}", column.name).expect("writing to memory does not fail");
    }
    text
}
