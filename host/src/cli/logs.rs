//! The program's log: structured lines on stderr, as text or JSON.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line each
    Text,
    /// One JSON object each
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// True if stderr gets colour.
    pub fn on_stderr(self) -> bool {
        self.on(&io::stderr())
    }

    /// True if stdout gets colour.
    pub fn on_stdout(self) -> bool {
        self.on(&io::stdout())
    }

    fn on(self, stream: &impl IsTerminal) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                stream.is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// Starts the log. `verbosity` counts -v minus -q; `ATLAS_LOG` (a filter such as `info,guest=debug`) outweighs it.
pub fn start(verbosity: i16, format: LogFormat, color: Color) {
    let level = match verbosity {
        ..=-2 => "off",
        -1 => "error",
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    // The engine's own crates talk a lot; they join only when asked for.
    let talkative = ["wasmtime", "cranelift_codegen", "wasmtime_cranelift", "rustls", "ureq", "ureq_proto"];
    // What the last one says is told by the error that follows.
    let quiet = talkative.map(|name| format!(",{name}=warn")).concat() + ",rustls_platform_verifier=off";
    let filter = std::env::var("ATLAS_LOG")
        .ok()
        .filter(|value| !value.is_empty())
        .and_then(|value| EnvFilter::try_new(value).ok())
        .unwrap_or_else(|| {
            EnvFilter::new(match level {
                "off" => level.to_owned(),
                // What plugins say about items is for their author: errors always, the rest with -v.
                "warn" => format!("{level},guest=error{quiet}"),
                _ => format!("{level}{quiet}"),
            })
        });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines)
        .with_ansi(color.on_stderr())
        .with_target(false);
    // A second start in one process keeps the first log.
    let _ = match format {
        LogFormat::Text => builder.compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(true).try_init(),
    };
}

/// Whole lines to stderr.
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::with_capacity(256))
    }
}

/// Gathers one line, and writes it with one call, so that lines of several threads do not mix.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Where stderr is gone there is nobody to tell.
        let _ = io::stderr().write_all(&self.0);
    }
}
