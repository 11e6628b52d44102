//! Errors: a bad file names file, line and field.

use std::path::{Path, PathBuf};

/// A file that cannot be used: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{}: {why}", path.display(), line.map(|n| format!(":{n}")).unwrap_or_default(), field.as_ref().map(|f| format!(": {f}")).unwrap_or_default())]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// The line (or the row of a table), from 1; `None` for the whole file.
    pub line: Option<u64>,
    /// The field.
    pub field: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl BadFile {
    pub(crate) fn new(path: &Path, line: Option<u64>, field: Option<&str>, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, field: field.map(str::to_owned), why: why.into() }
    }

    pub(crate) fn whole(path: &Path, why: impl Into<String>) -> Self {
        Self::new(path, None, None, why)
    }

    pub(crate) fn io(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        Self::whole(path, format!("cannot be {doing}: {error}"))
    }
}

/// Why a run ended early.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be used.
    #[error(transparent)]
    BadFile(#[from] BadFile),
    /// The progress callback asked to stop.
    #[error("interrupted")]
    Interrupted,
}
