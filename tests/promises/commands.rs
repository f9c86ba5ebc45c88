//! The commands of `sms-operator` that read a file and tell by their exit codes what they found.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use tests::{Cluster, Environment, eventually};

use crate::{
    cluster::{LIMIT, create_database_secret},
    objects::autoscaled,
};

const EXAMPLE: &str = include_str!("../../crds/examples/quickstart.yaml");

/// What a command answered.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    printed: String,
    told: String,
}

/// Runs `sms-operator` with a kubeconfig, and `input` as standard input.
fn run(kubeconfig: &Path, arguments: &[&str], input: &str) -> Answer {
    let mut child = Command::new(Environment::get().bin_dir.join("sms-operator"))
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sms-operator starts");
    // One that does not read its input may have ended.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the process is ours");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Answer { code: output.status.code(), printed: text(output.stdout), told: text(output.stderr) }
}

#[track_caller]
fn check(arguments: &[&str], input: &str, code: i32, expected: &str) {
    let answer = run(Path::new("/nonexistent"), arguments, input);
    assert_eq!(answer.code, Some(code), "{arguments:?}: {answer:?}");
    assert!(format!("{}{}", answer.printed, answer.told).contains(expected), "{arguments:?}: {answer:?}");
}

#[test]
fn what_is_printed_may_be_read_in_part() {
    let program = Environment::get().bin_dir.join("sms-operator");
    let mut command = Command::new(program);
    let mut child = command.arg("crd").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the process is ours");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_exit_code_tells_whether_a_file_is_valid_is_refused_or_cannot_be_read() {
    let refused = EXAMPLE.replacen("partitions: 6", "partitions: 0", 1);
    let problem = "stdin: notifications: spec.kafka.topics.partitions: partitions must be from 1 to 1000\n";
    check(&["validate", "-f", "-"], EXAMPLE, 0, "stdin: SmsPipeline notifications is valid\n");
    check(&["render", "-f", "-"], EXAMPLE, 0, "name: notifications-processor");
    for command in ["validate", "render"] {
        check(&[command, "-f", "-"], &refused, 1, problem);
        check(&[command, "-f", "/nonexistent/pipeline.yaml"], "", 2, "failed to read /nonexistent/pipeline.yaml");
        check(&[command, "-f", "-"], "kind: Secret", 2, "there is no SmsPipeline in stdin");
        check(&[command], "", 2, "--file");
    }
    check(&["diff", "-f", "-"], EXAMPLE, 2, "found neither a kubeconfig nor a ServiceAccount");
    check(&["completions", "bash"], "", 0, "complete -F _sms__operator");
    check(&["completions", "cobol"], "", 2, "possible values");
    check(&["--help"], "", 0, "1 differences");
}

fn diff(cluster: &Cluster, file: &str) -> Answer {
    run(&Environment::get().kubeconfig, &["diff", "-f", "-", "--namespace", &cluster.namespace], file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_tells_what_an_edit_would_change_and_changes_nothing() {
    let (mut applied, file) = autoscaled().await;
    // The controllers of Kubernetes write too, until the Deployments' Pods exist.
    eventually("nothing changes any more", LIMIT, async || {
        let before = applied.cluster.all_versions().await;
        applied.reconciled_times(1).await;
        (before == applied.cluster.all_versions().await).then_some(())
    })
    .await;
    applied.operator.stop();
    let before = applied.cluster.all_versions().await;
    let diff_after = |from: &str, to: &str| {
        assert!(file.contains(from), "{from:?} is in the file");
        diff(&applied.cluster, &file.replacen(from, to, 1))
    };

    let same = diff(&applied.cluster, &file);
    assert_eq!((same.code, same.printed.as_str(), same.told.as_str()), (Some(0), "", ""));

    let edited = diff_after("maxReplicas: 10", "maxReplicas: 12");
    assert_eq!(edited.code, Some(1), "{edited:?}");
    let (resource, name) = ("SmsPipeline/notifications", "HorizontalPodAutoscaler/notifications-api");
    let changed: Vec<_> = edited.printed.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    let of = |object: &str| [format!("--- live/{object}"), format!("+++ applied/{object}")];
    let numbers = |indent: &str| [format!("-{indent}maxReplicas: 10"), format!("+{indent}maxReplicas: 12")];
    assert_eq!(changed, [of(resource), numbers("      "), of(name), numbers("  ")].concat());

    let kept_longer = diff_after("prefix: ", "retention: 9d\n      prefix: ");
    assert_eq!(kept_longer.code, Some(1), "{kept_longer:?}");
    assert!(kept_longer.printed.starts_with(&of(resource).join("\n")), "{kept_longer:?}");
    assert!(kept_longer.printed.contains("\n+      retention: 9d\n"), "{kept_longer:?}");

    let unscaled = diff_after("    autoscaling: {", "    replicas: 4 # {");
    assert_eq!(unscaled.code, Some(1), "{unscaled:?}");
    assert!(unscaled.printed.contains(&format!("--- live/{name}\n+++ /dev/null\n")), "{unscaled:?}");
    assert!(unscaled.printed.contains("\n+  replicas: 4\n"), "{unscaled:?}");

    let moved = diff_after("prefix: ", "prefix: other-");
    assert_eq!((moved.code, moved.printed.as_str()), (Some(2), ""), "{moved:?}");
    assert!(moved.told.contains("notifications: spec.kafka.topics: prefix cannot be changed"), "{moved:?}");

    assert_eq!(applied.cluster.all_versions().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_not_in_the_cluster_is_all_added_and_shows_no_secret() {
    let cluster = Cluster::namespace().await;
    let without_secret = diff(&cluster, EXAMPLE);
    assert_eq!(without_secret.code, Some(1), "{without_secret:?}");
    assert!(without_secret.told.contains(r#"Secret "notifications-db""#), "{without_secret:?}");
    create_database_secret(&cluster);
    let before = cluster.all_versions().await;

    let added = diff(&cluster, EXAMPLE);

    assert_eq!((added.code, added.told.as_str()), (Some(1), ""), "{added:?}");
    for object in [
        "SmsPipeline/notifications",
        "Deployment/notifications-api",
        "Service/notifications-api",
        "Secret/notifications-internal",
    ] {
        assert!(added.printed.contains(&format!("--- /dev/null\n+++ applied/{object}\n")), "{object}: {added:?}");
    }
    assert!(!added.printed.lines().any(|line| line.starts_with('-') && line != "--- /dev/null"), "{added:?}");
    assert!(added.printed.contains("+  token: '***'") && !added.printed.contains("hunter2"), "{added:?}");
    assert_eq!(cluster.all_versions().await, before);

    cluster.kubectl(&["create", "service", "clusterip", "notifications-api", "--tcp=80:80"]);
    let refused = diff(&cluster, EXAMPLE);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.told.contains("does not belong to this pipeline"), "{refused:?}");
}
