use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, routing::get};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{Cluster, loopback_address};

/// How often pods are looked at.
const INTERVAL: Duration = Duration::from_millis(100);
const PROCESSORS: &str = "app.kubernetes.io/component=processor";

/// Stands for the processors of a pipeline on a cluster without nodes: each pod becomes ready with an address at which it tells
/// its load, as if it shared the partitions with the others. It ends when dropped.
pub struct Processors {
    work: Arc<Work>,
    running: JoinHandle<()>,
}

struct Work {
    topics: [String; 3],
    partitions: usize,
    /// Each pod that is there, with how many messages it has in work.
    pods: Mutex<BTreeMap<String, usize>>,
    is_finished: AtomicBool,
    /// How many answers were given: no two bear the same time, as the answers of a processor that lives.
    answers: AtomicI64,
}

impl Processors {
    /// Of the pipeline in the cluster's namespace whose topics have this prefix and so many partitions each.
    pub fn start(cluster: &Cluster, prefix: &str, partitions: usize) -> Self {
        let topics = ["requests", "high-priority", "low-priority"].map(|topic| format!("{prefix}.{topic}"));
        let (is_finished, answers) = (AtomicBool::new(false), AtomicI64::new(0));
        let work = Arc::new(Work { topics, partitions, pods: Mutex::default(), is_finished, answers });
        let pods = Api::<Pod>::namespaced(cluster.client.clone(), &cluster.namespace);
        let running = tokio::spawn(run(pods, Arc::clone(&work)));
        Self { work, running }
    }

    /// From now on all that there was to do is done.
    pub fn finish(&self) {
        self.work.is_finished.store(true, Ordering::Relaxed);
    }

    /// Each processor, with how many messages it has in work: no two have as many.
    pub fn in_work(&self) -> BTreeMap<String, usize> {
        self.work.pods().clone()
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(pods: Api<Pod>, work: Arc<Work>) {
    let (mut known, processors) = (0, ListParams::default().labels(PROCESSORS));
    loop {
        let listed = pods.list(&processors).await.map(|list| list.items).unwrap_or_default();
        let names: Vec<_> = listed.iter().map(ResourceExt::name_any).collect();
        work.pods().retain(|name, _| names.contains(name));
        for name in names {
            if work.pods().contains_key(&name) {
                continue;
            }
            let address = serve(name.clone(), Arc::clone(&work)).await;
            let conditions = [json!({ "type": "Ready", "status": "True" })];
            let ip = address.ip().to_string();
            let status = json!({ "phase": "Running", "conditions": conditions, "podIP": ip, "podIPs": [{ "ip": ip }] });
            let patch = Patch::Merge(json!({ "status": status }));
            // A pod may be gone by now.
            if pods.patch_status(&name, &PatchParams::default(), &patch).await.is_ok() {
                known += 1;
                work.pods().insert(name, known);
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn serve(pod: String, work: Arc<Work>) -> SocketAddr {
    let listener = TcpListener::bind((loopback_address(), 9090)).await.expect("the address is free");
    let address = listener.local_addr().expect("it listens");
    let router = Router::new().route("/load", get(async move || Json(work.load(&pod))));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

impl Work {
    fn pods(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, pod: &str) -> Value {
        let pods = self.pods();
        let own = pods.keys().position(|name| name == pod);
        let position = self.is_finished.load(Ordering::Relaxed).then_some(1_000_000_000);
        let is_own = |partition: &usize| own == Some(partition % pods.len().max(1));
        let partition = |partition| json!({ "partition": partition, "position": position, "finished_beyond": 0 });
        let lane = |topic: &String| {
            json!({
                "topic": topic,
                "processed": 0,
                "failed": 0,
                "busy_seconds": 0.0,
                "in_flight": if *topic == self.topics[0] { pods.get(pod).copied().unwrap_or_default() } else { 0 },
                "throttled_seconds": 0.0,
                "oldest_unfinished_seconds": null,
                "partitions": (0..self.partitions).filter(is_own).map(partition).collect::<Vec<_>>(),
            })
        };
        let lanes: Vec<_> = self.topics.iter().map(lane).collect();
        let at = Timestamp::from_second(self.answers.fetch_add(1, Ordering::Relaxed)).expect("a time");
        json!({ "at": at, "since": Timestamp::UNIX_EPOCH, "max_in_flight": 10, "lanes": lanes })
    }
}
