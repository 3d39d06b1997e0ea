//! The metrics as a file, for the textfile collector of Prometheus' node exporter.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Metrics;
use crate::error::{Code, Error, Result};
use crate::event::{Envelope, Event};
use crate::limits::METRICS_INTERVAL;
use crate::monitor::{Fold, Monitor};

/// Writes the metrics at the beginning, every few seconds (of the run's own time), and at the end. A reader sees the old
/// text or the new one, never a part: each is written under another name, which no collector reads, and then renamed.
///
/// A write that fails is told once and tried again with the next text; the run goes on.
pub struct MetricsFile {
    path: PathBuf,
    metrics: Metrics,
    next_us: u64,
    failed: bool,
}

impl MetricsFile {
    /// Tries whether the file can be written, and leaves it as it is.
    ///
    /// # Errors
    /// `CONFIG_3001` if it cannot.
    pub fn create(path: &Path) -> Result<Self> {
        let file = Self { path: path.to_owned(), metrics: Metrics::here(), next_us: 0, failed: false };
        let tried = match path.is_dir() || path.file_name().is_none() {
            true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            false => file.draft(b"").map(drop),
        };
        tried.map(|()| file).map_err(|e| {
            Error::new(Code::ConfigInvalid, format!("the file for metrics, {}, cannot be made", path.display()))
                .hint("choose a path in a folder that is there and can be written")
                .because(e)
        })
    }

    /// The text under its passing name; it goes away unless it is renamed.
    fn draft(&self, text: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The collector runs as another user.
        let mut draft = tempfile::Builder::new()
            .prefix(".atlas-metrics-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        draft.write_all(text)?;
        Ok(draft)
    }

    fn write(&mut self) {
        let written = self.draft(self.metrics.text().as_bytes()).and_then(|draft| Ok(draft.persist(&self.path)?));
        match written {
            Ok(_) => self.failed = false,
            Err(cause) if !self.failed => {
                self.failed = true;
                let file = self.path.display().to_string();
                tracing::warn!(file, %cause, "Metrics cannot be written; the run goes on.");
            }
            Err(_) => {}
        }
    }
}

impl Monitor for MetricsFile {
    fn name(&self) -> &'static str {
        "metrics-file"
    }

    fn observe(&mut self, event: &Envelope) {
        self.metrics.observe(event);
        if matches!(event.event, Event::RunStarted(_)) || event.elapsed_us >= self.next_us {
            self.next_us = event.elapsed_us.saturating_add(METRICS_INTERVAL.as_micros() as u64);
            self.write();
        }
    }

    fn finish(&mut self) {
        self.write();
    }
}
