//! Running one command and telling what it took.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// What one run of a command took, its children included.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Seconds from its start to its end.
    pub wall: f64,
    /// Seconds of CPU time, user and system; none for brief commands.
    pub cpu: Option<f64>,
    /// Most memory that one of its processes had resident, in MB; none for brief commands.
    pub peak: Option<f64>,
}

/// GNU time: std tells neither the CPU time nor the memory of a child.
pub const TIME: &str = "/usr/bin/time";

/// Runs a command whose output nobody reads. A `brief` one is started without GNU time, which takes a millisecond itself.
///
/// Errors: the command cannot be started or does not end with exit code 0; the message has the end of its stderr.
pub fn run(command: Command, brief: bool, work: &Path) -> Result<Sample> {
    let (usage, stderr) = (work.join("usage"), work.join("stderr"));
    let mut command = if brief { command } else { with_time(&command, &usage) };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&stderr)?);
    // Else a command pays for what the one before it has written.
    rustix::fs::sync();

    let begin = Instant::now();
    let status = command.status().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    let wall = begin.elapsed().as_secs_f64();
    if !status.success() {
        let said = std::fs::read_to_string(&stderr).unwrap_or_default();
        let end: Vec<&str> = said.lines().rev().take(10).collect();
        bail!("{status}: {command:?}\n{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    if brief {
        return Ok(Sample { wall, cpu: None, peak: None });
    }
    let text = std::fs::read_to_string(&usage).with_context(|| usage.display().to_string())?;
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, system, kib] = figures[..] else { bail!("{TIME} said {text:?}, wanted three figures") };
    Ok(Sample { wall, cpu: Some(user + system), peak: Some(kib * 1024.0 / 1e6) })
}

fn with_time(command: &Command, usage: &Path) -> Command {
    let mut timed = Command::new(TIME);
    timed.args(["-f", "%U %S %M", "-o"]).arg(usage).arg("--").arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        timed.env(key, value.unwrap_or_default());
    }
    timed
}
