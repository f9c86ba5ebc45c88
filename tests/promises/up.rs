//! The product on a laptop: one command starts it, another tells of it, a third stops it.

use std::{
    path::Path,
    process::{Command, Output},
};

use tests::{Environment, loopback_address, reserved_port};

/// `cargo xtask` with its own folder, addresses and ports.
struct Stack {
    folder: tempfile::TempDir,
    flags: Vec<String>,
}

impl Stack {
    fn new() -> Self {
        let address = loopback_address();
        let flags = [
            ("--api-address", format!("{address}:8080")),
            ("--internal-address", format!("{address}:8081")),
            ("--metrics-address", format!("{address}:9090")),
            ("--postgres-port", reserved_port().to_string()),
            ("--kafka-port", reserved_port().to_string()),
        ];
        let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        Self { folder: tempfile::tempdir().expect("a temporary folder"), flags }
    }

    fn run(&self, command: &str, flags: &[String]) -> Output {
        Command::new(Environment::get().bin_dir.join("xtask"))
            .args([command, "--data-dir"])
            .arg(self.folder.path())
            .args(flags)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .output()
            .expect("xtask starts")
    }

    fn up(&self) -> Output {
        let flags: Vec<_> = std::iter::once("--detach".to_owned()).chain(self.flags.clone()).collect();
        self.run("up", &flags)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.run("down", &[]);
    }
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_product_starts_tells_of_itself_and_stops_with_one_command_each() {
    let stack = Stack::new();
    assert_eq!(stack.run("status", &[]).status.code(), Some(3), "nothing runs yet");

    let up = stack.up();
    assert!(up.status.success(), "{}", printed(&up));
    assert!(printed(&up).contains("first message: 202 in "), "{}", printed(&up));
    let outcome = ["first message: SENT after ", "first message: FAILED after "];
    assert!(outcome.iter().any(|outcome| printed(&up).contains(outcome)), "{}", printed(&up));

    let status = stack.run("status", &[]);
    assert_eq!(status.status.code(), Some(0), "{}", printed(&status));
    assert!(printed(&status).contains("everything runs as asked for"), "{}", printed(&status));

    let second = stack.up();
    assert!(!second.status.success());
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("already up") && error.contains("cargo xtask down"), "{error}");
    assert_eq!(stack.run("status", &[]).status.code(), Some(0), "the first one goes on");

    let down = stack.run("down", &[]);
    assert!(down.status.success(), "{}", printed(&down));
    assert_eq!(stack.run("status", &[]).status.code(), Some(3), "nothing runs any more");

    let again = stack.up();
    assert!(again.status.success(), "the data of the first run is taken up: {}", printed(&again));
}
