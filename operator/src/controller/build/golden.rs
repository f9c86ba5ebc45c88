//! Files that hold what `build` makes of the examples, so that a change of it can be read as a difference.

/// `UPDATE=1 cargo test` rewrites the file; plain `cargo test` proves it is current.
#[track_caller]
pub(super) fn check(file: &str, rendered: &str) {
    let path = format!("{}/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "UPDATE is a switch of the tests, not a setting")]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, rendered).expect("golden/ is writable");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == rendered, "{path} is stale: read the difference and run UPDATE=1 cargo test -p sms-operator");
}
