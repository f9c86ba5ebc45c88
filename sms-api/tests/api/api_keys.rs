//! The file of API keys as it changes under a running replica, and the command that makes keys for it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use reqwest::Method;
use serde_json::{Value, json};
use sms_api::{access::AccessControl, api_keys::ApiKeys};
use sqlx::PgPool;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    logs,
    replica::{Replica, eventually},
};

/// A file of API keys that changes as a kubelet changes a mounted Secret: a link is swapped.
pub struct KeysFile(TempDir);

impl KeysFile {
    pub fn of(entries: &[Value]) -> Self {
        let file = Self(tempfile::tempdir().expect("a temporary folder"));
        file.put(&json!({ "keys": entries }).to_string());
        file
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("keys.json")
    }

    pub fn access(&self) -> AccessControl {
        AccessControl::keys(ApiKeys::read(self.path(), None).expect("a valid file"))
    }

    fn put(&self, content: &str) {
        let (version, link) = (self.0.path().join(Uuid::now_v7().to_string()), self.0.path().join("next"));
        fs::write(&version, content).expect("the folder is writable");
        symlink(version, &link).expect("the folder is writable");
        fs::rename(link, self.path()).expect("the folder is writable");
    }
}

/// The entry of a key that the command makes, and the key.
pub fn new_key(arguments: &[&str]) -> (Value, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_sms-api")).arg("new-api-key").args(arguments).output().expect("it runs");
    let (entry, key) = (String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"));
    assert!(status.success(), "{key}");
    (serde_json::from_str(&entry).expect("an entry"), key.trim_end().to_owned())
}

async fn status_for(replica: &Replica, key: &str) -> u16 {
    let read = replica.public(Method::GET, "/v1/messages/stats").bearer_auth(key);
    read.send().await.expect("an answer").status().as_u16()
}

#[test]
fn a_new_key_can_be_taken_from_where_it_is_printed() {
    let (entry, key) = new_key(&["--name=billing-2026", "--scopes=send,read"]);
    assert!(key.starts_with("smsk_") && key.len() == 48 && !key.contains(char::is_whitespace), "{key}");
    assert_eq!(
        (&entry["name"], &entry["tenant"], &entry["scopes"]),
        (&"billing-2026".into(), &"default".into(), &json!(["send", "read"]))
    );
    assert_ne!(new_key(&["--name=billing-2026", "--scopes=send,read"]).1, key);
}

#[test]
fn a_process_does_not_start_with_keys_that_it_cannot_use() {
    let database = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(database.path(), "postgres://nobody@127.0.0.1:1/nothing").expect("it is writable");
    let serve = |keys: &[&str]| {
        let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_sms-api"))
            .args(["serve", "--kafka-bootstrap-servers=nobody:1", "--metrics-address=127.0.0.1:0"])
            .args(["--internal-token-file=/nowhere", "--database-url-file"])
            .arg(database.path())
            .args(keys)
            .output()
            .expect("it runs");
        assert_eq!(status.code(), Some(1));
        String::from_utf8(stderr).expect("UTF-8")
    };
    assert!(serve(&[]).starts_with("sms-api: nobody could use the API: set API_KEYS_FILE"));
    let (mut entry, _) = new_key(&["--name=billing", "--scopes=read"]);
    entry["scopes"] = json!(["write"]);
    let file = KeysFile::of(&[entry]);
    let (path, flag) = (file.path(), format!("--api-keys-file={}", file.path().display()));
    let told = serve(&[&flag]);
    let place = "keys[0].scopes[0] of \"billing\": unknown variant `write`";
    assert!(told.starts_with(&format!("sms-api: API_KEYS_FILE: cannot use {}: {place}", path.display())), "{told}");
    drop(file);
    let told = serve(&[&flag]);
    assert!(told.starts_with(&format!("sms-api: API_KEYS_FILE: cannot read {}: ", path.display())), "{told}");
}

#[sqlx::test(migrations = "./migrations")]
async fn a_new_key_takes_over_from_an_old_one_without_a_gap(database: PgPool) {
    let (old, old_key) = new_key(&["--name=billing-2025", "--scopes=read"]);
    let (new, new_key) = new_key(&["--name=billing-2026", "--scopes=read"]);
    let file = KeysFile::of(std::slice::from_ref(&old));
    let replica = Replica::for_callers(&database, file.access()).await;
    assert_eq!([status_for(&replica, &old_key).await, status_for(&replica, &new_key).await], [200, 401]);

    file.put(&json!({ "keys": [old, new] }).to_string());
    eventually("the new key", async || (status_for(&replica, &new_key).await == 200).then_some(())).await;
    assert_eq!(status_for(&replica, &old_key).await, 200);

    file.put(&json!({ "keys": [new] }).to_string());
    eventually("the end of the old key", async || (status_for(&replica, &old_key).await == 401).then_some(())).await;
    assert_eq!(status_for(&replica, &new_key).await, 200);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_broken_file_leaves_the_keys_as_they_are_and_is_told(database: PgPool) {
    let (entry, key) = new_key(&["--name=billing", "--scopes=read"]);
    let file = KeysFile::of(std::slice::from_ref(&entry));
    let replica = Replica::for_callers(&database, file.access()).await;
    let is_told = async |reason: &str| {
        let (_, report) = replica.observed("/readyz").await;
        let checks: Value = serde_json::from_str(&report).expect("a report");
        let check = checks["checks"].as_array().expect("checks").iter().find(|check| check["name"] == "api-keys");
        let check = check.expect("a check of the keys").clone();
        (check["status"] == "UP" && check["data"]["reason"].as_str().unwrap_or_default().contains(reason)).then_some(())
    };
    let mut broken = entry.clone();
    broken["sha256"] = json!(key);
    file.put(&json!({ "keys": [broken] }).to_string());
    let reason = format!("cannot use {}: keys[0].sha256 of \"billing\": it must be", file.path().display());
    eventually("the reason", async || is_told(&reason).await).await;
    assert_eq!(replica.metric("api_keys_last_reload_successful").await, 0);
    assert_eq!(status_for(&replica, &key).await, 200);

    fs::remove_file(file.path()).expect("a file");
    eventually("the next reason", async || is_told(&format!("cannot read {}", file.path().display())).await).await;
    assert_eq!(status_for(&replica, &key).await, 200);

    file.put(&json!({ "keys": [entry] }).to_string());
    eventually("a good file", async || (replica.metric("api_keys_last_reload_successful").await == 1).then_some(()))
        .await;
    eventually("no reason any more", async || is_told("").await).await;
    assert_eq!(told_in_logs(&file.path()), 2, "each reason is logged once");
    assert!(!logs::text().contains(&key));
    replica.stop().await;
}

fn told_in_logs(file: &Path) -> usize {
    logs::text().lines().filter(|line| line.contains(&file.display().to_string())).count()
}
