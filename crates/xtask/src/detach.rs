//! `cargo xtask up --detach`: the same supervisor in the background, watched until it is ready.

use std::{
    env,
    fs::{self, File},
    io::{Read, Write, stdout},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    arguments::UpArguments,
    screen::print_line,
    signals::{INTERRUPTED, StopRequest},
    supervisor::{self, Phase},
};

const POLL: Duration = Duration::from_millis(50);

/// Returns when the supervisor is ready; fails when it failed.
pub fn run(arguments: &UpArguments) -> anyhow::Result<ExitCode> {
    let folder = arguments.place.folder();
    if let Some(state) = supervisor::running(&folder) {
        bail!("already up in {}: {}; stop it with `cargo xtask down`", folder.display(), state.describe());
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let log = folder.join("up.log");
    let mut stop = StopRequest::listen()?;
    let mut child = start(&log)?;
    let mut output = File::open(&log).with_context(|| format!("cannot read {}", log.display()))?;
    loop {
        let stopped = stop.within(POLL);
        let exited = child.try_wait().context("cannot wait for the supervisor")?;
        let running = supervisor::running(&folder);
        let is_ready = running.is_some_and(|state| state.pid == child.id() && state.phase == Phase::Running);
        show_news(&mut output)?;
        if let Some(status) = exited {
            bail!("`up` ended before it was ready ({status}); what it said is above and in {}", log.display());
        }
        if stopped {
            return stop_supervisor(&mut child);
        }
        if is_ready {
            print_line(&format!("it stays up as process {}; its output goes on in {}", child.id(), log.display()));
            print_line("`cargo xtask status` tells how it is, `cargo xtask down` stops it");
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn start(log: &Path) -> anyhow::Result<Child> {
    let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let errors = file.try_clone().context("cannot share the log")?;
    let arguments = env::args_os().skip(1).filter(|argument| argument != "--detach");
    let mut command = Command::new(env::current_exe().context("cannot tell where xtask itself is")?);
    command.args(arguments).arg("--background");
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    command.spawn().context("cannot start the supervisor")
}

/// Shows what the supervisor wrote since the last time.
fn show_news(output: &mut File) -> anyhow::Result<()> {
    let mut news = Vec::new();
    output.read_to_end(&mut news).context("cannot read the supervisor's output")?;
    // If nobody reads us any more, the supervisor still runs on.
    let _ = stdout().write_all(&news).and_then(|()| stdout().flush());
    Ok(())
}

fn stop_supervisor(child: &mut Child) -> anyhow::Result<ExitCode> {
    print_line("stopping what was started");
    // An error means that it is gone already.
    let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    child.wait().context("cannot wait for the supervisor")?;
    Ok(ExitCode::from(INTERRUPTED))
}
