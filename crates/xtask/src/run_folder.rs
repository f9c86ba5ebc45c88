//! A folder for the servers of one test run, beside the build.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use anyhow::Context;
use devstack::Claim;

/// What becomes of the folder at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing is left.
    Remove,
    /// The logs may tell why tests failed; the next run removes them.
    Keep,
}

/// A folder that belongs to this process alone.
#[derive(Debug)]
pub struct RunFolder {
    claim: Claim,
}

impl RunFolder {
    /// Makes a new one and removes those that nobody uses any more.
    pub fn create(parent: &Path) -> anyhow::Result<RunFolder> {
        remove_abandoned(parent);
        let claim = Claim::on(&parent.join(format!("run-{}", process::id())))?;
        Ok(RunFolder { claim })
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        self.claim.folder()
    }

    /// Gives it up.
    pub fn close(self, afterwards: Afterwards) -> anyhow::Result<()> {
        match afterwards {
            Afterwards::Keep => Ok(()),
            Afterwards::Remove => {
                fs::remove_dir_all(self.path()).with_context(|| format!("cannot remove {}", self.path().display()))
            }
        }
    }
}

/// Best effort: a folder that cannot be removed now is tried again by the next run.
fn remove_abandoned(parent: &Path) {
    for folder in folders(parent).unwrap_or_default() {
        if let Ok(claim) = Claim::on(&folder) {
            let _ = fs::remove_dir_all(claim.folder());
        }
    }
}

fn folders(parent: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(fs::read_dir(parent)?.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_run_removes_what_earlier_ones_left_and_spares_those_that_run() {
        let parent = std::env::temp_dir().join(format!("xtask-runs-{}", process::id()));
        let abandoned = parent.join("run-1");
        fs::create_dir_all(&abandoned).expect("a temporary folder");
        let used = Claim::on(&parent.join("run-2")).expect("a fresh folder");
        let run = RunFolder::create(&parent).expect("a writable parent");
        assert!(!abandoned.exists() && used.folder().exists() && run.path().exists());
        let path = run.path().to_owned();
        run.close(Afterwards::Remove).expect("our own folder");
        assert!(!path.exists());
        fs::remove_dir_all(&parent).expect("our own folder");
    }
}
