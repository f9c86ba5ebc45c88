//! Installations that are made once and kept between runs.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use crate::{Error, Progress, environment};

/// The folder that holds every installation, each under a name that carries its version.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The machine's cache: `$DEVSTACK_CACHE`, else `$XDG_CACHE_HOME/smspipeline`, else
    /// `~/.cache/smspipeline`.
    pub fn of_this_machine() -> Result<Cache, Error> {
        let root = environment::cache_folder().ok_or_else(|| {
            Error::Machine(
                "no folder to keep installations in: set HOME, or DEVSTACK_CACHE to an absolute path".to_owned(),
            )
        })?;
        Cache::at(&root)
    }

    /// A cache in a given folder.
    pub fn at(root: &Path) -> Result<Cache, Error> {
        fs::create_dir_all(root).map_err(Error::file("create", root))?;
        Ok(Cache { root: root.to_owned() })
    }

    /// Where a tool that installs something says what it does.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.log"))
    }

    /// The installation called `key`, if it is there.
    pub fn find(&self, key: &str) -> Option<PathBuf> {
        let installed = self.root.join(key);
        installed.exists().then_some(installed)
    }

    /// The installation called `key`, made by `make` when it is missing. `make` gets a path that does
    /// not exist yet, for the file or folder to create, and a path for its log. What it leaves there
    /// gets its final name only when it succeeds; two processes that want the same thing take turns.
    pub fn install(
        &self,
        key: &str,
        progress: &dyn Progress,
        make: impl FnOnce(&Path, &Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        if let Some(installed) = self.find(key) {
            return Ok(installed);
        }
        let _turn = self.take_turn(key, progress)?;
        if let Some(installed) = self.find(key) {
            return Ok(installed);
        }
        let (partial, installed) = (self.root.join(format!("{key}.partial")), self.root.join(key));
        remove(&partial)?;
        make(&partial, &self.log(key))?;
        fs::rename(&partial, &installed).map_err(Error::file("move into place", &installed))?;
        Ok(installed)
    }

    fn take_turn(&self, key: &str, progress: &dyn Progress) -> Result<File, Error> {
        let path = self.root.join(format!("{key}.lock"));
        let lock = File::create(&path).map_err(Error::file("create", &path))?;
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => {
                progress.step(&format!("waiting for another process that is installing {key}"));
            }
            Err(TryLockError::Error(source)) => return Err(Error::File { action: "lock", path, source }),
        }
        lock.lock().map_err(Error::file("lock", path))?;
        Ok(lock)
    }
}

/// Removes what an interrupted installation left.
fn remove(path: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let removed = if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(Error::file("remove", path))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
    };

    use super::*;
    use crate::Silent;

    fn cache(name: &str) -> Cache {
        let root = std::env::temp_dir().join(format!("devstack-cache-{name}-{}", std::process::id()));
        Cache::at(&root).expect("a temporary folder")
    }

    fn write(path: &Path) -> Result<(), Error> {
        fs::write(path, "x").map_err(Error::file("write", path))
    }

    #[test]
    fn an_interrupted_installation_leaves_nothing_that_looks_finished() {
        let cache = cache("interrupted");
        let failed = cache.install("thing", &Silent, |partial, _| {
            write(partial)?;
            Err(Error::Machine("pulled the plug".to_owned()))
        });
        assert!(failed.is_err() && cache.find("thing").is_none());
        let installed = cache.install("thing", &Silent, |partial, _| write(partial)).expect("a second try");
        assert_eq!(fs::read_to_string(installed).expect("installed"), "x");
        fs::remove_dir_all(&cache.root).expect("our own folder");
    }

    #[test]
    fn two_that_want_the_same_thing_make_it_once() {
        let cache = cache("twice");
        let made = AtomicU32::new(0);
        let install = || {
            cache.install("thing", &Silent, |partial, _| {
                made.fetch_add(1, Ordering::SeqCst);
                write(partial)
            })
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(install)).collect();
            for worker in workers {
                assert!(worker.join().expect("no panic").is_ok());
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        fs::remove_dir_all(&cache.root).expect("our own folder");
    }
}
