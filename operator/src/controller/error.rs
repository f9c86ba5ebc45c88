//! Why a reconcile fails.

use super::backoff::Class;

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Secret could not be read.
    #[error("failed to read Secret {name:?}")]
    ReadSecret {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A workload could not be looked at.
    #[error("failed to read Deployment {name:?}")]
    ReadWorkload {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// An object could not be applied.
    #[error("failed to apply {kind} {name:?}")]
    ApplyObject {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// An object of that name belongs to somebody else.
    #[error("{kind} {name:?} exists and does not belong to this pipeline: remove it or rename the pipeline")]
    NameConflict {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API server did not tell which kinds it has.
    #[error("failed to ask which kinds {api_version} has")]
    Discover {
        /// The group and version asked for.
        api_version: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// What was made before could not be looked at.
    #[error("failed to list the objects of kind {kind} that were made before")]
    ListObjects {
        /// Their kind.
        kind: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// An object that is no longer wanted could not be deleted.
    #[error("failed to delete {kind} {name:?}, which is no longer wanted")]
    DeleteObject {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A workload could not be stopped.
    #[error("failed to stop Deployment {name:?}")]
    StopWorkload {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// The finalizer could not be added or taken away.
    #[error("failed to write the finalizers of SmsPipeline {name:?}")]
    WriteFinalizer {
        /// Name of the pipeline.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// The status could not be written.
    #[error("failed to write the status of SmsPipeline {name:?}")]
    WriteStatus {
        /// Name of the pipeline.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
}

impl Error {
    /// What kind of error it is, which says when to try again.
    pub(super) fn class(&self) -> Class {
        match self {
            Self::NameConflict { .. } => Class::Refused,
            Self::ReadSecret { source, .. }
            | Self::ReadWorkload { source, .. }
            | Self::ApplyObject { source, .. }
            | Self::Discover { source, .. }
            | Self::ListObjects { source, .. }
            | Self::DeleteObject { source, .. }
            | Self::StopWorkload { source, .. }
            | Self::WriteFinalizer { source, .. }
            | Self::WriteStatus { source, .. } => Class::of(source),
        }
    }
    /// What an administrator can do about it, for a status; empty where the error says it.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::ReadSecret { source: kube::Error::Api(status), .. } if status.is_forbidden() => {
                "; where Helm installed the operator, the chart's value secrets.namespaces grants it"
            }
            _ => "",
        }
    }
}
