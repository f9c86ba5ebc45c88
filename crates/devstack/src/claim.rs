//! One process at a time may run a server in a folder, and what a killed one left there is ended first.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::Error;

/// The right to run a server in a folder. The kernel takes it back when this process ends, however
/// it ends.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    lock: File,
}

impl Claim {
    /// Makes `folder` and claims it.
    pub fn on(folder: &Path) -> Result<Claim, Error> {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let folder = folder.canonicalize().map_err(Error::file("resolve", folder))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(Error::file("create", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Claim { folder, lock }),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse { path: folder }),
            Err(TryLockError::Error(source)) => Err(Error::File { action: "lock", path, source }),
        }
    }

    /// The folder as an absolute path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Remembers `pid` as the server `name` of this folder.
    pub fn remember(&self, name: &str, pid: u32) -> Result<(), Error> {
        let path = self.pid_file(name);
        fs::write(&path, pid.to_string()).map_err(Error::file("write", &path))
    }

    /// Ends the server `name` if a killed process left it running in this folder.
    pub fn end_orphan(&self, name: &str) -> Result<(), Error> {
        let path = self.pid_file(name);
        let Some(pid) = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok()) else {
            return Ok(());
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.is_ours(pid) && Instant::now() < deadline {
            // An error means that it is gone already.
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::remove_file(&path).map_err(Error::file("remove", &path))
    }

    /// Whether `pid` is a process that was started for this folder. The number alone proves nothing:
    /// it may long belong to another program.
    fn is_ours(&self, pid: u32) -> bool {
        pid != process::id() && command_line(pid).is_some_and(|line| line.contains(&*self.folder.to_string_lossy()))
    }

    fn pid_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pid"))
    }
}

impl Drop for Claim {
    /// Closing the file would not do: a process that another thread is just starting has it, too, for a moment.
    fn drop(&mut self) {
        // An error means that the file, and with it the lock, is gone.
        let _ = self.lock.unlock();
    }
}

/// The command line of a live process, arguments separated by one byte. Empty for a dead one that
/// nobody has waited for.
fn command_line(pid: u32) -> Option<String> {
    if cfg!(target_os = "linux") {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("devstack-claim-{name}-{}", process::id()))
    }

    #[test]
    fn a_claimed_folder_cannot_be_claimed_again_until_it_is_let_go() {
        let folder = folder("twice");
        let claim = Claim::on(&folder).expect("a fresh folder");
        assert!(matches!(Claim::on(&folder), Err(Error::FolderInUse { .. })));
        drop(claim);
        assert!(Claim::on(&folder).is_ok());
        fs::remove_dir_all(&folder).expect("our own folder");
    }

    #[test]
    fn a_process_left_behind_in_the_folder_is_ended() {
        let folder = folder("orphan");
        let claim = Claim::on(&folder).expect("a fresh folder");
        // The folder appears among the arguments, as with every server.
        let mut orphan = Command::new("sh")
            .args(["-c", "read line", &claim.folder().to_string_lossy()])
            .stdin(process::Stdio::piped())
            .spawn()
            .expect("sh runs");
        claim.remember("server", orphan.id()).expect("a writable folder");
        claim.end_orphan("server").expect("nothing hinders us");
        assert!(!orphan.wait().expect("our own child").success());
        fs::remove_dir_all(&folder).expect("our own folder");
    }

    #[test]
    fn a_foreign_process_with_a_remembered_number_is_left_alone() {
        let folder = folder("foreign");
        let claim = Claim::on(&folder).expect("a fresh folder");
        let mut foreign =
            Command::new("sh").args(["-c", "read line"]).stdin(process::Stdio::piped()).spawn().expect("sh runs");
        claim.remember("server", foreign.id()).expect("a writable folder");
        claim.end_orphan("server").expect("nothing hinders us");
        assert!(foreign.try_wait().expect("our own child").is_none());
        foreign.kill().and_then(|()| foreign.wait()).expect("our own child");
        fs::remove_dir_all(&folder).expect("our own folder");
    }
}
