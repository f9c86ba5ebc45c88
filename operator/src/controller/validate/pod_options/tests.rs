use super::*;

fn options(options: Value) -> crd::PodOptions {
    serde_json::from_value(options).expect("pod options")
}

#[track_caller]
fn check_refused(spec: Value, expected: &str) {
    let refused = pod_options(&options(spec), API_COMPONENT).expect_err("not usable");
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn a_variable_that_the_operator_sets_is_refused_by_its_name() {
    check_refused(
        json!({ "env": [{ "name": "RUST_LOG", "value": "debug" }, { "name": "ANONYMOUS", "value": "true" }] }),
        "spec.api.env[1].name: ANONYMOUS is set by the operator: take it out",
    );
}

#[test]
fn a_processor_has_the_resources_of_the_decision_record() {
    let options = pod_options(&options(json!({})), PROCESSOR_COMPONENT).expect("usable");
    let limits = json!(options.resources.limits);
    assert_eq!(limits, json!({ "cpu": "1", "memory": "1Gi" }));
}

#[test]
fn resources_that_are_given_stand_in_place_of_the_defaults() {
    let resources = json!({ "resources": { "requests": { "cpu": 2 }, "limits": { "memory": "2Gi" } } });
    let options = pod_options(&options(resources), PROCESSOR_COMPONENT).expect("usable");
    assert_eq!(json!(options.resources), json!({ "requests": { "cpu": "2" }, "limits": { "memory": "2Gi" } }));
}

#[test]
fn a_number_of_bytes_is_read_however_large_it_is() {
    let options = options(json!({ "resources": { "limits": { "memory": 4_294_967_296_u64 } } }));
    let options = pod_options(&options, PROCESSOR_COMPONENT).expect("usable");
    assert_eq!(json!(options.resources.limits), json!({ "memory": "4294967296" }));
}

#[test]
fn a_quantity_that_kubernetes_would_not_read_is_refused_by_its_place() {
    for quantity in ["250m", "1", "1.5Gi", "0"] {
        assert!(is_quantity(&Quantity(quantity.to_owned())), "{quantity}");
    }
    for quantity in ["", "fast", "512MB", "-1", "1.", ".5", "1 Gi", "m"] {
        assert!(!is_quantity(&Quantity(quantity.to_owned())), "{quantity}");
    }
    check_refused(
        json!({ "resources": { "limits": { "memory": "512MB" } } }),
        "spec.api.resources.limits.memory: must be a number, with a unit where needed, as in 250m, 1 or 512Mi",
    );
}

#[test]
fn an_affinity_that_kubernetes_does_not_know_is_refused_by_its_place() {
    check_refused(json!({ "affinity": { "nodeAfinity": {} } }), r#"spec.api.affinity: unknown field "nodeAfinity""#);
    check_refused(
        json!({ "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": 3 } } }),
        "spec.api.affinity: podAffinity.requiredDuringSchedulingIgnoredDuringExecution: \
         invalid type: integer `3`, expected a sequence",
    );
}

#[test]
fn a_template_that_kubernetes_does_not_know_is_refused_by_its_place() {
    for (template, expected) in [
        (json!({ "spec": { "hostNetworking": true } }), r#"unknown field "spec.hostNetworking""#),
        (
            json!({ "spec": { "containers": [{ "name": "api", "tty": "yes" }] } }),
            "spec.containers[0].tty: invalid type: string \"yes\", expected a boolean",
        ),
        (
            json!({ "spec": { "containers": [{ "image": "x" }] } }),
            "spec.containers[0] has no name, by which it would be found",
        ),
    ] {
        check_refused(json!({ "podTemplate": template }), &format!("spec.api.podTemplate: {expected}"));
    }
}

#[test]
fn a_template_cannot_take_our_container_or_labels_away() {
    for (template, expected) in [
        (
            json!({ "spec": { "containers": [{ "name": "api", "$patch": "delete" }] } }),
            "spec.containers must keep the container \"api\"",
        ),
        (
            json!({ "metadata": { "labels": { "app.kubernetes.io/component": "web" } } }),
            "metadata.labels must leave app.kubernetes.io/component as it is: it tells whose pods they are",
        ),
        (
            json!({ "metadata": { "$patch": "delete" } }),
            "metadata.labels must leave app.kubernetes.io/component as it is: it tells whose pods they are",
        ),
        (
            json!({ "spec": { "containers": [{ "name": "apl", "tty": true }] } }),
            "container \"apl\" has no image, and is none of the operator's",
        ),
    ] {
        check_refused(json!({ "podTemplate": template }), &format!("spec.api.podTemplate: {expected}"));
    }
}

#[test]
fn a_template_may_add_and_take_away_what_is_not_ours() {
    let template = json!({
        "metadata": { "labels": { "team": "billing" } },
        "spec": {
            "priorityClassName": "high",
            "containers": [
                { "name": "api", "resources": { "limits": { "cpu": 2 } }, "lifecycle": { "$patch": "delete" } },
                { "name": "proxy", "image": "proxy:1", "ports": [{ "containerPort": 9999 }] },
            ],
            "initContainers": [{ "name": "migrate", "env": [{ "name": "RUST_LOG", "value": "debug" }] }],
        },
    });
    assert!(pod_options(&options(json!({ "podTemplate": template })), API_COMPONENT).is_ok());
}
