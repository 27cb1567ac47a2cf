//! `docs/performance.md` and its graphs: what the benches measured, and what people wrote about it.
//!
//! Always true: page and graphs follow from `docs/performance.json` and `docs/performance.in.md` alone, so that a test sees
//! whether they are right; what is kept names no machine and no path.

mod chart;
mod figure;
mod machine;
mod page;
mod record;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::run::{Cargo, root, target};
use record::Record;

/// Where the figures are kept, and the words.
const KEPT: &str = "docs/performance.json";
const WORDS: &str = "docs/performance.in.md";

/// What is made of both.
const PAGE: &str = "docs/performance.md";
const IMAGES: &str = "docs/images";

/// Keeps what the benches printed, in place of older figures of the same names, and writes the page anew.
pub(crate) fn record(lines: &[String]) -> Result<()> {
    let date = Cargo::program("date").args(["-u", "+%F"]).output()?;
    let mut record = read_record()?;
    let count = record.merge(lines, date.trim(), machine::hardware(&target()));
    ensure!(count > 0, "the benches printed no figure");
    fs::write(root().join(KEPT), record.json()?).with_context(|| format!("write {KEPT}"))?;
    write()
}

/// Writes the page and its graphs.
pub(crate) fn write() -> Result<()> {
    let pages = pages()?;
    for image in committed_images()?.iter().filter(|image| pages.iter().all(|(path, _)| path != *image)) {
        fs::remove_file(root().join(image))?;
    }
    for (path, text) in pages {
        fs::write(root().join(&path), text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Path and text of the page and of each graph.
fn pages() -> Result<Vec<(PathBuf, String)>> {
    let record = read_record()?;
    let words = fs::read_to_string(root().join(WORDS)).with_context(|| format!("read {WORDS}"))?;
    let page = page::render(&words, &record).with_context(|| format!("render {WORDS}"))?;
    let mut pages = vec![(PathBuf::from(PAGE), page)];
    for (group, figures) in record.groups() {
        pages.push((Path::new(IMAGES).join(chart::file_name(group)), chart::draw(group, &figures)));
    }
    Ok(pages)
}

fn read_record() -> Result<Record> {
    let path = root().join(KEPT);
    if !path.exists() {
        return Ok(Record::default());
    }
    let text = fs::read_to_string(path).with_context(|| format!("read {KEPT}"))?;
    Record::of(&text).with_context(|| format!("read {KEPT}"))
}

/// Graphs that are there, of groups that are measured or no longer are.
fn committed_images() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(IMAGES)).with_context(|| format!("list {IMAGES}"))? {
        let name = entry?.file_name();
        if chart::is_ours(&name.to_string_lossy()) {
            found.push(Path::new(IMAGES).join(name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_and_graphs_are_what_figures_and_words_give() {
        let how = "call `cargo xtask docs`";
        let pages = pages().expect("figures and words");
        for (path, text) in &pages {
            let committed = fs::read_to_string(root().join(path)).unwrap_or_default();
            assert!(committed == *text, "{}: {how}", path.display());
        }
        for image in committed_images().expect("a folder of images") {
            assert!(pages.iter().any(|(path, _)| *path == image), "{} is of nothing: {how}", image.display());
        }
    }
}
