//! What can go wrong between "start it" and "it serves", in words that name the file or command.

use std::{io, path::PathBuf};

/// Why a server, an installation or a tool is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A program could not be run at all.
    #[error("cannot run {program}")]
    Run {
        /// The program as it was called.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A tool ran and failed.
    #[error("`{command}` failed ({status}); everything it said is in {}, which ends with:\n{tail}", log.display())]
    Tool {
        /// The program and its first argument.
        command: String,
        /// How it ended.
        status: String,
        /// Where its output is.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// A server ended or stayed silent instead of becoming ready.
    #[error("{server} {reason}; its log {} ends with:\n{tail}", log.display())]
    Start {
        /// The server's name.
        server: String,
        /// What happened instead of readiness.
        reason: String,
        /// The server's log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Another program listens where a server should.
    #[error("port {port}, meant for {server}, is taken by another program")]
    PortTaken {
        /// The server that wanted the port.
        server: &'static str,
        /// The port.
        port: u16,
    },
    /// Another live process runs a server in the same folder.
    #[error("{} is in use by another running process; stop that one or choose another folder", path.display())]
    FolderInUse {
        /// The server's folder.
        path: PathBuf,
    },
    /// The machine lacks something that cannot be installed from here; the text says what to do.
    #[error("{0}")]
    Machine(String),
}

impl Error {
    /// For `map_err` on file operations: `.map_err(Error::file("create", path))`.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }
}
