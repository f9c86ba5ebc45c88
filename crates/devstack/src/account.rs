//! The user that PostgreSQL runs as: it refuses root.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use nix::unistd::{User, geteuid};

use crate::{Error, spawn};

/// A user without rights of its own.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
    /// Whether it must be allowed through folders that are closed to it.
    pub needs_closed_folders: bool,
}

impl Account {
    /// The account for a server that refuses root and works in `folders`; `None` when we are not root
    /// and everything may run as ourselves.
    pub fn instead_of_root(folders: &[&Path]) -> Result<Option<Account>, Error> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let nobody = User::from_name("nobody").ok().flatten().ok_or_else(|| {
            Error::Machine("PostgreSQL refuses to run as root and there is no user `nobody` to run it as; add one or run as another user".to_owned())
        })?;
        let account = Account { user: nobody.uid.as_raw(), group: nobody.gid.as_raw(), needs_closed_folders: false };
        let Some(closed) = folders.iter().find(|folder| !open_to_all(folder)) else {
            return Ok(Some(account));
        };
        if spawn::can_open_closed_folders(account, closed) {
            return Ok(Some(Account { needs_closed_folders: true, ..account }));
        }
        Err(Error::Machine(format!(
            "PostgreSQL refuses to run as root, and the user `nobody` cannot reach {}; use folders that every user \
             can enter, for instance a checkout under /srv and DEVSTACK_CACHE=/var/cache/smspipeline",
            closed.display()
        )))
    }

    /// Gives one file or folder to this account.
    pub fn give(self, path: &Path) -> Result<(), Error> {
        chown(path, Some(self.user), Some(self.group)).map_err(Error::file("give another owner to", path))
    }
}

/// Whether any user may walk down to `folder`.
fn open_to_all(folder: &Path) -> bool {
    folder.ancestors().all(|part| fs::metadata(part).is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_below_a_closed_one_is_not_open_to_all() {
        let outer = std::env::temp_dir().join(format!("devstack-account-{}", std::process::id()));
        let inner = outer.join("inner");
        fs::create_dir_all(&inner).expect("a temporary folder");
        assert!(open_to_all(&inner));
        fs::set_permissions(&outer, fs::Permissions::from_mode(0o700)).expect("our own folder");
        assert!(!open_to_all(&inner));
        fs::remove_dir_all(&outer).expect("our own folder");
    }
}
