//! Of several operators one leads, and another takes over when it is gone.

use std::{future, path::PathBuf, time::Duration};

use tests::{Binary, Cluster, Environment, eventually};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

const LIMIT: Duration = Duration::from_secs(30);

/// A leader, and one that waits.
async fn two_operators(cluster: &Cluster) -> (Binary, Binary) {
    let first = cluster.operator();
    until_leading(&first, LIMIT).await;
    let second = cluster.operator();
    eventually("the second one is ready", LIMIT, async || second.is_ready().await.then_some(())).await;
    assert_eq!(second.metric("smspipeline_leader").await, Some(0.0));
    (first, second)
}

async fn until_leading(operator: &Binary, limit: Duration) {
    let leads = async || operator.metric("smspipeline_leader").await.filter(|&leads| leads > 0.5);
    eventually("the operator leads", limit, leads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_crashes_another_operator_leads_within_twenty_seconds() {
    let cluster = Cluster::namespace().await;
    let (mut first, second) = two_operators(&cluster).await;
    first.kill();
    until_leading(&second, Duration::from_secs(20)).await;
}

/// A kubeconfig whose way to the API server carries nothing any more once it is cut, and closes no connection: as that of a
/// node whose network is gone.
async fn way_that_can_be_cut(cluster: &Cluster) -> (PathBuf, watch::Sender<bool>) {
    let text = std::fs::read_to_string(&Environment::get().kubeconfig).expect("the kubeconfig is there");
    let (_, rest) = text.split_once("https://").expect("it names a server");
    let server = rest[..rest.find(['"', '\n', ' ']).unwrap_or(rest.len())].to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let here = listener.local_addr().expect("an address").to_string();
    let kubeconfig = cluster.file("cut.kubeconfig", &text.replace(&server, &here));
    let (cut, is_cut) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (server, mut is_cut) = (server.clone(), is_cut.clone());
            tokio::spawn(async move {
                let carried = async {
                    let mut far = TcpStream::connect(server).await.expect("the API server accepts");
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                };
                let cut = async {
                    // Whoever holds the other end is gone where this fails, and so is the test.
                    is_cut.wait_for(|is_cut| *is_cut).await.map(drop).unwrap_or_default();
                };
                tokio::select! {
                    () = carried => {}
                    () = cut => future::pending().await,
                }
            });
        }
    });
    (kubeconfig, cut)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_calls_are_never_answered_ends_and_another_leads() {
    let cluster = Cluster::namespace().await;
    let (kubeconfig, cut) = way_that_can_be_cut(&cluster).await;
    let mut first = cluster.operator_through(&kubeconfig);
    until_leading(&first, LIMIT).await;
    let second = cluster.operator();
    eventually("the second one is ready", LIMIT, async || second.is_ready().await.then_some(())).await;

    cut.send(true).expect("connections are carried");

    // Before the other one may begin: two that work at once would undo each other's work.
    eventually("the first one ends", Duration::from_secs(20), async || first.exit_code()).await;
    until_leading(&second, Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_lets_go_so_that_nobody_waits_for_its_lease_to_run_out() {
    let cluster = Cluster::namespace().await;
    let (mut first, second) = two_operators(&cluster).await;
    assert_eq!(first.stop(), 0);
    // A Lease that is not let go can be taken after 12 s.
    until_leading(&second, Duration::from_secs(9)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_was_taken_ends_with_an_error() {
    let cluster = Cluster::namespace().await;
    let mut operator = cluster.operator();
    until_leading(&operator, LIMIT).await;
    let patch = r#"{"spec":{"holderIdentity":"another"}}"#;
    cluster.kubectl(&["patch", "lease", "sms-operator", "--type=merge", "-p", patch]);
    let code = eventually("the operator ends", LIMIT, async || operator.exit_code()).await;
    assert_eq!(code, 1);
    assert!(operator.output().contains("this operator leads no longer"), "{}", operator.output());
}
