//! What an apply has done to the cluster, for those who are told of it.

use std::fmt;

use kube::{Resource, ResourceExt};

use crate::controller::kinds::Kind;

/// One object that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What was done to it.
    pub how: How,
    /// Its kind.
    pub kind: &'static Kind,
    /// Its name.
    pub name: String,
}

/// What was done to an object, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It was not there.
    Made,
    /// It was something else.
    Changed,
    /// It is gone.
    Deleted,
}

impl fmt::Display for How {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Made => "made",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        })
    }
}

/// What an apply that found `before` and left `after` has done; `None` when nothing was left to do.
pub(super) fn how(before: Option<&impl Resource>, after: &impl Resource) -> Option<How> {
    let Some(before) = before else { return Some(How::Made) };
    let is_same = before.resource_version() == after.resource_version();
    // A new status makes another version too, and of whatever has a status the API server counts the changes of the rest.
    let generations = (before.meta().generation, after.meta().generation);
    let is_status = generations.0.is_some()
        && generations.0 == generations.1
        && before.labels() == after.labels()
        && before.annotations() == after.annotations()
        && before.owner_references() == after.owner_references();
    (!is_same && !is_status).then_some(How::Changed)
}

/// All of it in a sentence; `None` when nothing was done.
pub fn sentence(written: &[Written]) -> Option<String> {
    let part = |how: How| {
        let of_kind = written.iter().filter(|written| written.how == how);
        let names: Vec<_> = of_kind.map(|Written { kind, name, .. }| format!("{} {name}", kind.kind)).collect();
        (!names.is_empty()).then(|| format!("{how} {}", names.join(", ")))
    };
    let parts: Vec<_> = [How::Made, How::Changed, How::Deleted].into_iter().filter_map(part).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::{apps::v1::Deployment, core::v1::Service},
        apimachinery::pkg::apis::meta::v1::ObjectMeta,
    };

    use super::*;
    use crate::controller::kinds;

    fn metadata(version: &str, generation: Option<i64>) -> ObjectMeta {
        ObjectMeta { resource_version: Some(version.to_owned()), generation, ..ObjectMeta::default() }
    }

    fn service(version: &str) -> Service {
        Service { metadata: metadata(version, None), ..Service::default() }
    }

    fn deployment(version: &str, generation: i64) -> Deployment {
        Deployment { metadata: metadata(version, Some(generation)), ..Deployment::default() }
    }

    #[test]
    fn only_what_the_apply_has_done_is_told() {
        assert_eq!(how(None::<&Service>, &service("1")), Some(How::Made));
        assert_eq!(how(Some(&service("1")), &service("1")), None);
        assert_eq!(how(Some(&service("1")), &service("2")), Some(How::Changed));
        assert_eq!(how(Some(&deployment("1", 1)), &deployment("2", 1)), None, "a status came in between");
        assert_eq!(how(Some(&deployment("1", 1)), &deployment("2", 2)), Some(How::Changed));
        let mut labelled = deployment("2", 1);
        labelled.labels_mut().insert("a".to_owned(), "b".to_owned());
        assert_eq!(how(Some(&deployment("1", 1)), &labelled), Some(How::Changed));
    }

    #[test]
    fn one_sentence_tells_all_of_it() {
        let written = |how, kind, name: &str| Written { how, kind, name: name.to_owned() };
        let all = [
            written(How::Deleted, &kinds::INGRESS, "c"),
            written(How::Made, &kinds::DEPLOYMENT, "a"),
            written(How::Made, &kinds::SERVICE, "b"),
        ];
        assert_eq!(sentence(&all).as_deref(), Some("made Deployment a, Service b; deleted Ingress c"));
        assert_eq!(sentence(&[]), None);
    }
}
