//! The API beside its own document: schemathesis asks whatever the document allows and forbids, and looks at the answers
//! with all of its checks.

use std::{env, ffi::OsString, path::Path, process::Stdio, time::Duration};

use sqlx::PgPool;
use tokio::process::Command;

use crate::{
    api_keys::{KeysFile, new_key},
    replica::Replica,
};

/// What it knows of how one field depends on another.
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis");

#[sqlx::test(migrations = "./migrations")]
async fn the_api_answers_everything_as_its_document_says(pool: PgPool) {
    let packages = packages();
    let (entry, key) = new_key(&["--name", "tester", "--scopes", "send,read,admin"]);
    let keys = KeysFile::of(&[entry]);
    let replica = Replica::for_callers(&pool, keys.access()).await;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let document = format!("http://{}/openapi.json", replica.host());
    let search = env::join_paths([Path::new(&packages), Path::new(HOOKS)]).expect("paths without colons");
    let mut schemathesis = Command::new("python3");
    schemathesis.args(["-m", "schemathesis.cli", "run", &document, "--checks", "all", "--no-color"]);
    // The same requests every time: what they find must not hang on the day.
    schemathesis.args(["--max-examples", "20", "--seed", "1", "--header", &format!("Authorization: Bearer {key}")]);
    schemathesis.env("PYTHONPATH", search).env("PYTHONDONTWRITEBYTECODE", "1").env("SCHEMATHESIS_HOOKS", "hooks");
    schemathesis.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    let run = tokio::time::timeout(Duration::from_mins(3), schemathesis.output()).await;
    let output = run.expect("it ends in three minutes").expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Tested: 15"), "it was to test all 15 operations:\n{said}");
    replica.stop().await;
}

#[expect(clippy::disallowed_methods, reason = "a test has no Config; xtask tells it where the packages are")]
fn packages() -> OsString {
    env::var_os("DEVSTACK_SCHEMATHESIS").expect("cargo xtask test sets DEVSTACK_SCHEMATHESIS")
}
