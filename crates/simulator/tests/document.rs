//! What the documentation quotes is what the simulator says.

use std::{fs, path::PathBuf};

use simulator::document::{generate, replace};

#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no Config")]
fn the_documentation_quotes_what_the_simulator_says() {
    let docs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
    let file = docs.join("autoscaling.md");
    let generated = generate();
    let document = fs::read_to_string(&file).expect("docs/autoscaling.md is readable");
    let expected = replace(&document, &generated.text).expect("docs/autoscaling.md has a place for it");
    let mut files = vec![(file, expected)];
    files.extend(generated.pictures.into_iter().map(|(name, content)| (docs.join(name), content)));
    for (file, expected) in files {
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &expected).expect("docs is writable");
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == expected, "{} is stale: run `sms-operator simulate --all --write docs`", file.display());
    }
}
