//! Secrets as files: `DIR/NAME/KEY` holds one key of one Secret, as a mounted Secret has it.

use std::{
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::{
    controller::{
        dereference::{Lookup, Referenced, Sensitive, new_token, reach_database},
        names::{INTERNAL_TOKEN_KEY, Names},
    },
    crd::{SecretKeyRef, SmsPipeline},
};

/// Reads what `pipeline` names from files below `secrets`.
pub async fn dereference(secrets: &Path, pipeline: &SmsPipeline) -> anyhow::Result<Referenced> {
    let database_url = look_up(secrets, &pipeline.spec.database.url_secret_ref)?;
    let name = Names::of(&pipeline.name_any()).internal_secret;
    let internal_token = match look_up(secrets, &SecretKeyRef { name, key: INTERNAL_TOKEN_KEY.to_owned() })? {
        Lookup::Found(token) => token,
        Lookup::NoSecret | Lookup::NoKey | Lookup::NotText => new_token(),
    };
    let database_unreachable = reach_database(&database_url).await;
    Ok(Referenced { database_url, database_unreachable, internal_token })
}

/// Makes the files hold `secret`; a file that holds its key already is left alone.
pub fn write(secrets: &Path, secret: &Secret) -> anyhow::Result<()> {
    let folder = secrets.join(secret.name_any());
    for (key, value) in secret.data.iter().flatten() {
        let path = folder.join(key);
        if std::fs::read(&path).is_ok_and(|found| found == value.0) {
            continue;
        }
        write_private(&folder, &path, &value.0).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

/// Replaces the file in one step, so that no reader finds half of it.
fn write_private(folder: &Path, path: &Path, value: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    let fresh = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    io::Write::write_all(&mut file, value)?;
    std::fs::rename(fresh, path)
}

fn look_up(secrets: &Path, reference: &SecretKeyRef) -> anyhow::Result<Lookup> {
    let path: PathBuf = secrets.join(&reference.name).join(&reference.key);
    match std::fs::read(&path) {
        Ok(value) => Ok(String::from_utf8(value).map_or(Lookup::NotText, |text| Lookup::Found(Sensitive(text)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder_exists = secrets.join(&reference.name).is_dir();
            Ok(if folder_exists { Lookup::NoKey } else { Lookup::NoSecret })
        }
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}
