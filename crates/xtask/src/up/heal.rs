//! What a killed `up` may have left running, ended before the next one starts.
//!
//! On Linux the servers die with their supervisor, and the operator and its replicas end by themselves
//! when their standard input closes. That takes a moment, and elsewhere servers stay.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use devstack::{Claim, Progress};

use super::{ports, stack};
use crate::{arguments::UpArguments, screen::Screen, supervisor::Supervisor};

/// How long replicas may take to finish what they were doing.
const PATIENCE: Duration = Duration::from_secs(15);

/// Ends leftovers if an earlier supervisor of this folder was killed.
pub fn after(supervisor: &Supervisor, arguments: &UpArguments, screen: &Screen) -> anyhow::Result<()> {
    if !supervisor.follows_a_crash {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    if !ports::taken(arguments).is_empty() {
        screen.step("waiting for what a killed `up` left behind to end");
    }
    while !ports::taken(arguments).is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
    }
    let claim = supervisor.folder_claim();
    claim.end_orphan(stack::OPERATOR)?;
    for (folder, server) in [(stack::POSTGRES_FOLDER, "postgres"), (stack::KAFKA_FOLDER, "kafka")] {
        Claim::on(&claim.folder().join(folder))?.end_orphan(server)?;
    }
    Ok(())
}
