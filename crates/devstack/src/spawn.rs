//! Starts child processes that do not outlive this one, not even after `kill -9`.
//!
//! Linux can send a child a signal when its parent dies; `setpriv` of util-linux sets that up without
//! unsafe code here. The kernel ties it to the *thread* that started the child, hence one thread that
//! starts them all and ends only with the process. Elsewhere the next start finds what was left
//! behind (see `claim.rs`).

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        mpsc::{self, Sender},
    },
    thread,
};

use crate::account::Account;

/// Starts `command` from the thread that lives as long as this process.
pub fn spawn(command: Command) -> io::Result<Child> {
    let (answer, answered) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts processes is gone");
    STARTER.send(Request { command, answer }).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

struct Request {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

static STARTER: LazyLock<Sender<Request>> = LazyLock::new(|| {
    let (sender, requests) = mpsc::channel::<Request>();
    thread::spawn(move || {
        for Request { mut command, answer } in requests {
            // A caller that gave up waiting has dropped its end; the child is then dropped with it.
            let _ = answer.send(command.spawn());
        }
    });
    sender
});

/// The same program, arguments, environment and folder, but killed when this process dies. Standard
/// input and outputs of `command` are not carried over: set them on the result.
pub fn dying_with_us(command: &Command) -> Command {
    if *SETPRIV_WORKS {
        wrapped(command, &["--pdeathsig", "KILL"])
    } else {
        copy(command, Command::new(command.get_program()))
    }
}

/// Like [`dying_with_us`], and as another user.
pub fn dying_with_us_as(command: &Command, account: Account) -> Command {
    if !*SETPRIV_WORKS {
        let mut child = copy(command, Command::new(command.get_program()));
        child.uid(account.user).gid(account.group);
        return child;
    }
    let (user, group) = (account.user.to_string(), account.group.to_string());
    let mut options = vec!["--pdeathsig", "KILL", "--reuid", &user, "--regid", &group, "--clear-groups"];
    if account.needs_closed_folders {
        options.extend(OPEN_CLOSED_FOLDERS);
    }
    wrapped(command, &options)
}

/// Lets another user pass folders that are closed to it, such as /root. `no_setuid_fixup` because
/// access(2), which PostgreSQL asks about its own executable, otherwise ignores the capability.
const OPEN_CLOSED_FOLDERS: [&str; 6] =
    ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override", "--securebits", "+no_setuid_fixup"];

/// Whether [`OPEN_CLOSED_FOLDERS`] is possible here; containers may have taken the right to it away.
pub fn can_open_closed_folders(account: Account, folder: &Path) -> bool {
    let mut probe = Command::new("ls");
    probe.arg("-d").arg(folder.join("."));
    let mut probe = dying_with_us_as(&probe, Account { needs_closed_folders: true, ..account });
    *SETPRIV_WORKS && succeeds(&mut probe)
}

static SETPRIV_WORKS: LazyLock<bool> =
    LazyLock::new(|| succeeds(Command::new("setpriv").args(["--pdeathsig", "KILL", "true"])));

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn wrapped(command: &Command, options: &[&str]) -> Command {
    let mut wrapper = Command::new("setpriv");
    wrapper.args(options).arg("--").arg(command.get_program());
    copy(command, wrapper)
}

fn copy(from: &Command, mut to: Command) -> Command {
    to.args(from.get_args());
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    if let Some(folder) = from.get_current_dir() {
        to.current_dir(folder);
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_dies_with_us_keeps_arguments_environment_and_folder() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $GREETING from $PWD"]).env("GREETING", "hello").current_dir("/");
        let mut child = dying_with_us(&command);
        child.stdout(Stdio::piped());
        let output = spawn(child).and_then(Child::wait_with_output).expect("sh runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello from /\n");
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error_and_not_a_hang() {
        let missing = Command::new("/nonexistent/program");
        assert_eq!(spawn(missing).expect_err("no such program").kind(), io::ErrorKind::NotFound);
    }
}
