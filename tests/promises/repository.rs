//! What the repository says of itself is true.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// Every file that git tracks or would track.
fn files() -> Vec<String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root()).output().expect("git starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).expect("paths are UTF-8");
    listed.lines().filter(|path| root().join(path).is_file()).map(str::to_owned).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let list = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).expect("members");
    list.split(',')
        .map(|member| member.trim().trim_matches('"').to_owned())
        .filter(|member| !member.is_empty())
        .collect()
}

/// The files that `mod` items reach from `file`, itself included; `folder` holds its modules.
fn reachable(file: &Path, folder: &Path, found: &mut BTreeSet<PathBuf>) {
    found.insert(file.to_owned());
    let text = fs::read_to_string(file).expect("a source file");
    for line in text.lines() {
        let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) else { continue };
        let module = folder.join(format!("{name}.rs"));
        assert!(module.is_file(), "{} declares mod {name}, which has no file {}", file.display(), module.display());
        reachable(&module, &folder.join(name), found);
    }
}

#[test]
fn every_source_file_is_reachable_from_a_mod() {
    let mut found = BTreeSet::new();
    let is_source = |path: &String| Path::new(path).extension().is_some_and(|extension| extension == "rs");
    let sources: Vec<_> = files().into_iter().filter(is_source).collect();
    let starts_a_target = |path: &&String| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        ["main.rs", "lib.rs"].contains(&name)
            || folder.ends_with("/tests")
            || name == "build.rs" && root().join(folder).join("Cargo.toml").is_file()
    };
    for target in sources.iter().filter(starts_a_target) {
        let file = root().join(target);
        reachable(&file, file.parent().expect("a folder"), &mut found);
    }
    let lost: Vec<_> = sources.iter().filter(|path| !found.contains(&root().join(path))).collect();
    assert!(lost.is_empty(), "no mod leads to {lost:?}");
}

#[test]
fn every_member_of_the_workspace_is_named_in_the_readme() {
    let readme = read("README.md");
    for member in members() {
        assert!(readme.contains(&format!("`{member}/`")), "README.md does not name `{member}/`");
    }
}

#[test]
fn every_path_in_the_readme_exists() {
    let readme = read("README.md");
    for quoted in readme.split('`').skip(1).step_by(2) {
        let looks_like_a_path = quoted.contains('/') && !quoted.contains(' ') && !quoted.contains(':');
        if looks_like_a_path && !quoted.starts_with('/') && !quoted.starts_with("target/") {
            assert!(root().join(quoted).exists(), "README.md names `{quoted}`, which does not exist");
        }
    }
}

#[test]
fn every_test_and_document_that_the_capabilities_name_exists() {
    let is_source = |path: &String| Path::new(path).extension().is_some_and(|extension| extension == "rs");
    let sources: String = files().iter().filter(|path| is_source(path)).map(|path| read(path)).collect();
    let document = read("docs/capabilities.md");
    for test in document.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains('_')) {
        assert!(sources.contains(&format!("fn {test}(")), "docs/capabilities.md names `{test}`, which is no test");
    }
    let words = document.split([' ', '\n', ',', ':', ';', '|']);
    for path in words.map(|word| word.trim_end_matches('.')).filter(|word| word.starts_with("docs/")) {
        assert!(root().join(path).is_file(), "docs/capabilities.md names {path}, which does not exist");
    }
}

#[test]
fn the_chart_has_the_version_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).expect("a version");
    let chart = read("charts/sms-operator/Chart.yaml");
    for field in ["version: ", "appVersion: "] {
        let found = chart.lines().find_map(|line| line.strip_prefix(field)).expect("a version").trim_matches('"');
        assert_eq!(found, version.trim_matches('"'), "{field}");
    }
}
