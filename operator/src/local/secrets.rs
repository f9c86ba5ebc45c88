//! Secrets as files: `DIR/NAME/KEY` holds one key of one Secret, as a mounted Secret has it.

use std::{
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::{
    controller::{
        dereference::{Lookup, Referenced, Sensitive},
        names::{INTERNAL_TOKEN_KEY, Names},
        tokens::InternalTokens,
    },
    crd::SmsPipeline,
};

/// Reads what `pipeline` names from files below `secrets`.
pub async fn dereference(secrets: &Path, pipeline: &SmsPipeline) -> anyhow::Result<Referenced> {
    let internal_secret = Names::of(&pipeline.name_any()).internal_secret;
    let internal_tokens = match look_up(secrets, &internal_secret, INTERNAL_TOKEN_KEY)? {
        Lookup::Found(token) => InternalTokens::only(token),
        Lookup::NoSecret(_) | Lookup::NoKey | Lookup::NotText => InternalTokens::read(None, None),
    };
    let look_up = async |name: String, key: String| look_up(secrets, &name, &key);
    Referenced::read(pipeline, internal_tokens, look_up).await
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

fn look_up(secrets: &Path, name: &str, key: &str) -> anyhow::Result<Lookup> {
    let folder = secrets.join(name);
    let path = folder.join(key);
    match std::fs::read(&path) {
        Ok(value) => Ok(String::from_utf8(value).map_or(Lookup::NotText, |text| Lookup::Found(Sensitive(text)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => Ok(Lookup::NoKey),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Lookup::NoSecret(format!("as file {}", path.display())))
        }
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secret: &str, key: &str, expected: fn(&Path) -> Lookup) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keys = folder.path().join("api-keys");
        std::fs::create_dir(&keys).expect("the folder is writable");
        std::fs::write(keys.join("keys.json"), "{}").expect("the folder is writable");
        let found = look_up(folder.path(), secret, key).expect("readable");
        assert_eq!(found, expected(folder.path()));
    }

    #[test]
    fn a_file_in_the_folder_of_the_secret_is_its_key() {
        check("api-keys", "keys.json", |_| Lookup::Found(Sensitive("{}".to_owned())));
    }

    #[test]
    fn a_missing_file_is_a_missing_key() {
        check("api-keys", "keys", |_| Lookup::NoKey);
    }

    #[test]
    fn a_missing_folder_is_a_missing_secret_and_the_file_to_create_is_named() {
        check("others", "keys.json", |folder| {
            Lookup::NoSecret(format!("as file {}/others/keys.json", folder.display()))
        });
    }
}
