//! Ctrl-C and its relatives as something to wait for.

use std::{
    process,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::Context;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// The exit code of a program that was interrupted: 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Somebody's wish that we stop.
#[derive(Debug)]
pub struct StopRequest {
    requests: Receiver<()>,
    arrived: bool,
}

impl StopRequest {
    /// From now on signals end us only through this value. A second one ends us at once: the servers
    /// then die with us, without their good order.
    pub fn listen() -> anyhow::Result<StopRequest> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot listen for signals")?;
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for (count, _) in signals.forever().enumerate() {
                if count > 0 || sender.send(()).is_err() {
                    process::exit(i32::from(INTERRUPTED));
                }
            }
        });
        Ok(StopRequest { requests, arrived: false })
    }

    /// Waits this long at most; whether a stop was asked for, now or before.
    pub fn within(&mut self, time: Duration) -> bool {
        if !self.arrived {
            match self.requests.recv_timeout(time) {
                Ok(()) => self.arrived = true,
                Err(RecvTimeoutError::Timeout) => {}
                // The thread never ends; if it did, waiting would become a busy loop.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(time),
            }
        }
        self.arrived
    }
}
