//! What users do, one thing after the other.

use serde_json::{Value, json};

/// One thing that a user does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Makes the pipeline, with this merged into its spec.
    Create(Value),
    /// Changes its spec.
    Patch(Value),
    /// Changes the database's URL in its Secret.
    Rotate,
    /// Deletes it.
    Delete,
    /// Makes another pipeline that wants the same topics.
    Succeed,
}

/// What a user does while everything goes well, and then while it does not.
pub struct Scenario {
    pub name: &'static str,
    pub before: Vec<Action>,
    pub disturbed: Vec<Action>,
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let scenario = |name, before, disturbed| Scenario { name, before, disturbed };
    let exposed = json!({
        "api": { "replicas": null, "autoscaling": { "minReplicas": 2, "maxReplicas": 4 }, "ingress": { "host": "a.example.com" } },
    });
    let edited = json!({
        "api": exposed["api"],
        "kafka": { "topics": { "retention": "2d" } },
        "processor": { "replicas": 2, "maxInFlight": 7 },
    });
    let withdrawn = json!({ "api": { "replicas": 1, "autoscaling": null, "ingress": null } });
    let topics = |settings: Value| json!({ "kafka": { "topics": settings } });
    let create = || Action::Create(json!({}));
    let doomed = || Action::Create(topics(json!({ "onDelete": "Delete" })));
    let on_delete = |word: &str| Action::Patch(topics(json!({ "onDelete": word })));
    let fixed = Action::Create(json!({ "kafka": { "topics": { "partitions": 4 } }, "processor": { "replicas": 3 } }));
    let bounds = json!({ "minReplicas": 1, "maxReplicas": 4 });
    let autoscaled = Action::Patch(json!({ "processor": { "replicas": null, "autoscaling": bounds } }));
    let paused = || Action::Patch(json!({ "paused": true, "processor": { "replicas": 2 } }));
    vec![
        scenario("create", vec![], vec![create()]),
        scenario("create, topics to go", vec![], vec![doomed()]),
        scenario("edit", vec![create()], vec![Action::Patch(edited)]),
        scenario("withdraw", vec![create(), Action::Patch(exposed)], vec![Action::Patch(withdrawn)]),
        scenario("grow", vec![create()], vec![Action::Patch(topics(json!({ "partitions": 2 })))]),
        scenario("rotate", vec![create()], vec![Action::Rotate]),
        scenario("hand over to the autoscaler", vec![], vec![fixed, autoscaled]),
        scenario("keep, let go", vec![create()], vec![on_delete("Delete"), on_delete("Retain")]),
        scenario("pause", vec![create()], vec![paused()]),
        scenario("go on", vec![create(), paused()], vec![Action::Patch(json!({ "paused": false }))]),
        scenario("delete, topics stay", vec![create()], vec![Action::Delete, Action::Succeed]),
        scenario("delete, topics go", vec![doomed()], vec![Action::Delete]),
    ]
}
