//! `simulate`: traces of traffic through the autoscaler's rule and through the formulas of others.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, bail};
use simulator::{Comparison, PolicyName, Scenario, TRACES, compare, document, plot, table};

use super::Answer;
use crate::config::Simulate;

/// The document whose tables and pictures `--write` renews.
const DOCUMENT: &str = "autoscaling.md";

/// Plays what was asked for.
pub fn run(settings: &Simulate) -> anyhow::Result<Answer> {
    let mut answer = Answer::default();
    if let Some(folder) = &settings.write {
        renew(folder, &mut answer)?;
        return Ok(answer);
    }
    let policies = if settings.policy.is_empty() { PolicyName::all() } else { settings.policy.clone() };
    let names: Vec<&str> =
        if settings.all { TRACES.to_vec() } else { settings.trace.iter().map(String::as_str).collect() };
    let scenarios = names.into_iter().map(scenario).collect::<anyhow::Result<Vec<_>>>()?;
    let comparisons: Vec<_> = scenarios.iter().map(|scenario| compare(scenario, &policies, settings.seed)).collect();
    if let Some(folder) = &settings.out {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for comparison in &comparisons {
            write(folder, &format!("{}.json", comparison.scenario.name), &json(comparison)?, &mut answer)?;
            write(folder, &format!("{}.svg", comparison.scenario.name), &plot::draw(comparison), &mut answer)?;
        }
    }
    if settings.json {
        answer.printed = json(&comparisons)? + "\n";
    } else {
        answer.printed = comparisons.iter().map(told).collect::<Vec<_>>().join("\n");
    }
    Ok(answer)
}

/// The trace of this name, or of this file.
fn scenario(name: &str) -> anyhow::Result<Scenario> {
    match Scenario::named(name) {
        Ok(scenario) => Ok(scenario),
        Err(unknown) if !Path::new(name).exists() => bail!(unknown),
        Err(_) => {
            let text = fs::read_to_string(name).with_context(|| format!("failed to read {name}"))?;
            Scenario::parse(&text).with_context(|| format!("{name} is no trace that can be played"))
        }
    }
}

/// The table, and what the rule said where it is alone.
fn told(comparison: &Comparison) -> String {
    let mut text = table(comparison);
    if let [outcome] = &comparison.outcomes[..] {
        text += "\n";
        for decision in &outcome.decisions {
            let _ = writeln!(text, "{:>7} s  {}", decision.at.as_second(), decision.text);
        }
    }
    text
}

fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<String> {
    serde_json::to_string_pretty(value).context("the outcome cannot be written as JSON")
}

fn renew(folder: &Path, answer: &mut Answer) -> anyhow::Result<()> {
    let file = folder.join(DOCUMENT);
    let before = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let generated = document::generate();
    let after = document::replace(&before, &generated.text).with_context(|| file.display().to_string())?;
    write(folder, DOCUMENT, &after, answer)?;
    for (name, picture) in &generated.pictures {
        write(folder, name, picture, answer)?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, content: &str, answer: &mut Answer) -> anyhow::Result<()> {
    let file = folder.join(name);
    fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    let _ = writeln!(answer.notes, "wrote {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{Cli, Command};

    fn settings(arguments: &[&str]) -> Simulate {
        let arguments = ["sms-operator", "simulate"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).expect("arguments").command {
            Command::Simulate(settings) => settings,
            other => panic!("not a simulation: {other:?}"),
        }
    }

    fn answer(arguments: &[&str]) -> anyhow::Result<Answer> {
        run(&settings(arguments))
    }

    #[test]
    fn policies_are_compared_in_a_table() {
        let arguments = ["--trace", "backlog", "--policy", "drain-slo", "--policy", "keda-lag:5000"];
        let printed = answer(&arguments).expect("an answer").printed;
        let rows: Vec<_> = printed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(rows[0], "backlog:");
        assert_eq!(rows[3..], ["drain-slo", "keda-lag:5000"], "{printed}");
    }

    #[test]
    fn the_rule_alone_tells_its_decisions() {
        let printed = answer(&["--trace", "backlog", "--policy", "drain-slo"]).expect("an answer").printed;
        assert!(printed.contains("→ 12 replicas: more are needed. "), "{printed}");
    }

    #[test]
    fn a_trace_of_ones_own_is_a_file_and_leaves_json_and_a_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mine.json");
        let mut mine = Scenario::named("step").expect("a trace");
        mine.name = "mine".to_owned();
        fs::write(&file, serde_json::to_string(&mine).expect("JSON")).expect("writable");
        let (file, out) = (file.display().to_string(), folder.path().join("out"));
        let out_text = out.display().to_string();
        let found = answer(&["--trace", &file, "--policy", "numaflow", "--out", &out_text, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&found.expect("an answer").printed).expect("JSON");
        assert_eq!(json[0]["outcomes"][0]["policy"], "numaflow");
        assert!(out.join("mine.json").exists() && out.join("mine.svg").exists());
    }

    #[test]
    fn what_does_not_exist_or_cannot_be_played_is_told_with_its_name() {
        let error = |arguments: &[&str]| format!("{:#}", answer(arguments).expect_err("an error"));
        assert!(error(&["--trace", "stedy"]).starts_with("there is no trace \"stedy\", nor a file of that name"));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bad.json");
        let text = serde_json::to_string(&Scenario::named("step").expect("a trace")).expect("JSON");
        fs::write(&file, text.replace("\"partitions\":12", "\"partitions\":0")).expect("writable");
        let file = file.display().to_string();
        let expected = format!("{file} is no trace that can be played: partitions: must be from 1 to 1000");
        assert_eq!(error(&["--trace", &file]), expected);
    }

    #[test]
    fn a_simulation_without_a_trace_is_wrong_usage() {
        assert!(Cli::try_parse_from(["sms-operator", "simulate"]).is_err());
        assert!(Cli::try_parse_from(["sms-operator", "simulate", "--all", "--trace", "step"]).is_err());
    }
}
