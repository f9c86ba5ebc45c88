//! `cargo xtask queries`: asks a PostgreSQL with the schema of this checkout what it makes of every query of sms-api,
//! and keeps the answers in `sms-api/.sqlx`, with which sms-api compiles where there is no PostgreSQL.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
    process::ExitCode,
    time::SystemTime,
};

use anyhow::{Context, bail};
use devstack::{
    Cache, Durability, Postgres, PostgresBinaries, PostgresSettings, Progress,
    prerequisites::{self, Purpose},
};

use crate::{
    arguments::QueriesArguments,
    run_folder::{Afterwards, RunFolder},
    screen::Screen,
    workspace,
};

/// Names and contents.
type Answers = BTreeMap<String, Vec<u8>>;

/// Writes the answers down, or only compares them with what is there.
pub fn run(arguments: &QueriesArguments) -> anyhow::Result<ExitCode> {
    let screen = Screen::new();
    let kept_in = workspace::root().join("sms-api/.sqlx");
    let present = ask(&screen)?;
    let kept = if kept_in.exists() { read(&kept_in)? } else { Answers::new() };
    let changes = changes(&kept, &present);
    if changes == 0 {
        screen.say(&format!("{} is up to date: {} queries", kept_in.display(), present.len()));
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.check {
        bail!("{} is out of date ({changes} files); `cargo xtask queries` renews it", kept_in.display());
    }
    write(&kept_in, &present)?;
    screen.say(&format!("wrote {}: {} queries; files changed: {changes}", kept_in.display(), present.len()));
    Ok(ExitCode::SUCCESS)
}

/// What PostgreSQL makes of the queries now. The compiler asks it, through the macros of sqlx.
fn ask(screen: &Screen) -> anyhow::Result<Answers> {
    let cache = Cache::of_this_machine()?;
    prerequisites::ensure(Purpose::Run, &cache, screen)?;
    let binaries = PostgresBinaries::install(&cache, screen)?;
    let folder = RunFolder::create(&workspace::programs()?.with_file_name("devstack-queries"))?;
    screen.step("starting PostgreSQL");
    let settings = PostgresSettings {
        folder: &folder.path().join("postgres"),
        port: None,
        durability: Durability::Disposable,
        databases: &[],
    };
    let postgres = Postgres::start(&binaries, &settings)?;
    screen.say("applying sms-api/migrations");
    let database = postgres.url("postgres");
    let mut migrate = workspace::cargo(["run", "--quiet", "--locked", "--package", "migrate", "sms-api/migrations"]);
    workspace::run(migrate.env("DATABASE_URL", &database))?;

    screen.say("compiling the queries of sms-api");
    let answers = folder.path().join("answers");
    fs::create_dir(&answers).with_context(|| format!("cannot create {}", answers.display()))?;
    // Cargo does not know that this time the answers come from elsewhere.
    touch(&workspace::root().join("sms-api/src/lib.rs"))?;
    let mut check = workspace::cargo(["check", "--workspace", "--lib", "--bins", "--locked"]);
    check.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", &answers).env("DATABASE_URL", &database);
    workspace::run(&check)?;
    drop(postgres);
    let answers = read(&answers)?;
    folder.close(Afterwards::Remove)?;
    Ok(answers)
}

fn touch(file: &Path) -> anyhow::Result<()> {
    let touched = File::options().append(true).open(file).and_then(|file| file.set_modified(SystemTime::now()));
    touched.with_context(|| format!("cannot touch {}", file.display()))
}

fn read(folder: &Path) -> anyhow::Result<Answers> {
    let read = || -> io::Result<Answers> {
        fs::read_dir(folder)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.file_name().to_string_lossy().into(), fs::read(entry.path())?))
            })
            .collect()
    };
    read().with_context(|| format!("cannot read {}", folder.display()))
}

fn write(folder: &Path, answers: &Answers) -> anyhow::Result<()> {
    let write = || {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir(folder)?;
        answers.iter().try_for_each(|(name, answer)| fs::write(folder.join(name), answer))
    };
    write().with_context(|| format!("cannot write {}", folder.display()))
}

/// How many files one would have to write or remove.
fn changes(kept: &Answers, present: &Answers) -> usize {
    let written = present.iter().filter(|&(name, answer)| kept.get(name) != Some(answer));
    let removed = kept.keys().filter(|&name| !present.contains_key(name));
    written.count() + removed.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kept: &[(&str, &str)], present: &[(&str, &str)], expected: usize) {
        let answers = |files: &[(&str, &str)]| {
            files.iter().map(|&(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect()
        };
        assert_eq!(changes(&answers(kept), &answers(present)), expected);
    }

    #[test]
    fn a_new_a_changed_and_a_removed_query_are_each_noticed() {
        check(&[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "2")], 0);
        check(&[("a", "1")], &[("a", "1"), ("b", "2")], 1);
        check(&[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "3")], 1);
        check(&[("a", "1"), ("b", "2")], &[("a", "1")], 1);
        check(&[], &[("a", "1"), ("b", "2")], 2);
    }
}
