//! A disk that is full.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Job;
use crate::harness::Folder;

/// A small file system in memory, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// None where this user may not mount; says so.
    fn mounted(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&path).expect("a folder");
        if let Err(why) = mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], &path) {
            eprintln!("Left out: a small file system cannot be mounted here: {why}");
            return None;
        }
        Some(Self(path))
    }

    fn resize(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], &self.0).expect("more space");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

fn mount(arguments: &[&str], path: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(path).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

#[test]
fn a_full_disk_ends_the_run_with_5_and_the_same_command_completes_once_there_is_space() {
    for strategy in ["sequential", "concurrent", "adaptive"] {
        let job = Job::new(5000, strategy, 100);
        let folder = Folder::new();
        let Some(disk) = Disk::mounted(folder.at("disk"), "1m") else { return };
        let store = disk.0.join("atlas.db");
        let mut last = 0;
        for size in ["1m", "2m", "3m"] {
            disk.resize(size);
            let ran = folder.atlas(job.arguments(&store)).run().exits(5);
            assert!(ran.stderr.contains("STORAGE_2009"), "{strategy}, {size}: {}", ran.stderr);
            job.is_sound(&folder, &store);
            let rows = crate::library::rows(&store, "items").len();
            assert!(rows >= last, "{strategy}, {size}: nothing that was committed is lost");
            last = rows;
        }
        assert!(last > 0, "{strategy}: something is committed before the disk is full");
        disk.resize("64m");
        job.comes_out_the_same(&folder, &store);
    }
}
