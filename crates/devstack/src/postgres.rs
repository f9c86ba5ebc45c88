//! A real PostgreSQL on loopback.
//!
//! It asks for a password although it is local: any user of the machine can reach a loopback port, and
//! a superuser of PostgreSQL runs programs. The password is random, in a file that only its owner reads.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    Error, PostgresBinaries,
    account::Account,
    claim::Claim,
    ports, random,
    server::{Server, ServerSettings},
    spawn, tool,
};

const NAME: &str = "PostgreSQL";
const SUPERUSER: &str = "postgres";
const READY: &str = "database system is ready to accept connections";
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How often a start on a free port is tried: another process may take the port in between.
const ATTEMPTS: u32 = 5;

/// What a crash of the machine may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Durable,
    /// Everything. For tests: several times faster.
    Disposable,
}

/// Where and how to run.
#[derive(Clone, Copy, Debug)]
pub struct PostgresSettings<'a> {
    /// Holds the data, the log and the password; made when missing, kept otherwise.
    pub folder: &'a Path,
    /// The port; `None` for a free one.
    pub port: Option<u16>,
    /// Whether to wait for the disk.
    pub durability: Durability,
    /// Databases that exist once it has started.
    pub databases: &'a [&'a str],
}

/// A running PostgreSQL. Dropping it stops it; the data stays.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
    password: String,
    _claim: Claim,
}

impl Postgres {
    /// Starts it and returns when it accepts connections.
    pub fn start(binaries: &PostgresBinaries, settings: &PostgresSettings<'_>) -> Result<Postgres, Error> {
        if let Some(port) = settings.port {
            ports::expect_free(NAME, port)?;
        }
        let claim = Claim::on(settings.folder)?;
        let account = Account::instead_of_root(&[binaries.folder(), claim.folder()])?;
        claim.end_orphan("postgres")?;
        let home = Home { binaries, folder: claim.folder(), account };
        home.remove_stale_lock()?;
        let password = home.initialise()?;
        home.create_databases(settings.databases)?;

        let mut attempt = 1;
        loop {
            let port = settings.port.map_or_else(ports::free_port, Ok)?;
            let mut server = Server::start(home.server(port, settings.durability))?;
            claim.remember("postgres", server.pid())?;
            match server.wait_until(READY_WITHIN, |log| log.text().contains(READY).then_some(())) {
                Ok(()) => return Ok(Postgres { server, port, password, _claim: claim }),
                Err(_) if server.log_text().contains("Address already in use") => {
                    if settings.port.is_some() || attempt == ATTEMPTS {
                        return Err(Error::PortTaken { server: NAME, port });
                    }
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The address of a database, with the superuser's name and password. A secret.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The process itself, to pause, kill or watch it.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Ends every connection and stops.
    pub fn stop(&mut self) {
        self.server.stop();
    }
}

/// The folder of one server, as `initdb` and `postgres` see it.
struct Home<'a> {
    binaries: &'a PostgresBinaries,
    folder: &'a Path,
    account: Option<Account>,
}

impl Home<'_> {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// After a kill PostgreSQL believes its own lock file as long as any process has the number in it,
    /// even a dead one that nobody has waited for. We hold the claim on the folder, so once none of its
    /// processes is left the file is wrong.
    fn remove_stale_lock(&self) -> Result<(), Error> {
        let lock = self.data().join("postmaster.pid");
        if !cfg!(target_os = "linux") || !lock.exists() {
            return Ok(());
        }
        let deadline = Instant::now() + READY_WITHIN;
        while processes_in(&self.data()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        // If one is left after all, PostgreSQL finds its shared memory in use and says so.
        fs::remove_file(&lock).map_err(Error::file("remove", lock))
    }

    /// Makes the data folder unless it is there, and returns the superuser's password. `initdb` works
    /// in a folder that gets its name at the end, so an interrupted one is simply made again.
    fn initialise(&self) -> Result<String, Error> {
        let password_file = self.folder.join("password");
        let data = self.data();
        if data.exists() {
            return fs::read_to_string(&password_file).map_err(Error::file("read", password_file));
        }
        let password = random::secret()?;
        write_secret(&password_file, &password)?;

        let partial = self.folder.join("data.partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(Error::file("remove", &partial))?;
        }
        fs::create_dir(&partial).map_err(Error::file("create", &partial))?;
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o700))
            .map_err(Error::file("set permissions of", &partial))?;
        if let Some(account) = self.account {
            account.give(&partial)?;
            account.give(&password_file)?;
        }
        let mut command = Command::new(self.binaries.program("initdb"));
        command.arg("--pgdata").arg(&partial).arg("--pwfile").arg(&password_file);
        command.args(["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8"]);
        command.args(["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]);
        // The password has 128 random bits, so slow hashing protects nothing; clients built without
        // optimisation would pay for it at every connection.
        command.args(["--set", "scram_iterations=1", "--no-sync"]).current_dir("/");
        tool::run_as(self.account, &command, &self.folder.join("initdb.log"))?;
        fs::rename(&partial, &data).map_err(Error::file("move into place", &data))?;
        Ok(password)
    }

    /// Creates missing databases through PostgreSQL's single-user mode: the artifact has no psql, and
    /// this crate no database client. A file remembers those that are there.
    fn create_databases(&self, databases: &[&str]) -> Result<(), Error> {
        let known_file = self.folder.join("databases");
        let mut known = fs::read_to_string(&known_file).unwrap_or_default();
        for database in databases {
            if known.lines().any(|line| line == *database) {
                continue;
            }
            self.single_user(&format!("CREATE DATABASE \"{database}\""))?;
            known.push_str(database);
            known.push('\n');
            fs::write(&known_file, &known).map_err(Error::file("write", &known_file))?;
        }
        Ok(())
    }

    fn single_user(&self, statement: &str) -> Result<(), Error> {
        let mut command = Command::new(self.binaries.program("postgres"));
        command.args(["--single", "-c", "exit_on_error=true", "-D"]).arg(self.data()).arg("postgres").current_dir("/");
        let mut child = match self.account {
            Some(account) => spawn::dying_with_us_as(&command, account),
            None => spawn::dying_with_us(&command),
        };
        child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let not_run = |source| Error::Run { program: "postgres --single".to_owned(), source };
        let mut child = spawn::spawn(child).map_err(not_run)?;
        if let Some(mut input) = child.stdin.take() {
            writeln!(input, "{statement}").map_err(not_run)?;
        }
        let output = child.wait_with_output().map_err(not_run)?;
        let said = String::from_utf8_lossy(&output.stderr);
        // It exists when an earlier start was cut off before it was remembered.
        if output.status.success() || said.contains("already exists") {
            return Ok(());
        }
        Err(Error::Machine(format!("`{statement}` failed in {}: {}", self.data().display(), said.trim())))
    }

    fn server(&self, port: u16, durability: Durability) -> ServerSettings {
        let mut command = Command::new(self.binaries.program("postgres"));
        command.arg("-D").arg(self.data()).current_dir("/");
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("port", &port.to_string());
        set("listen_addresses", "127.0.0.1");
        set("unix_socket_directories", "");
        set("max_connections", "200");
        if durability == Durability::Disposable {
            for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
                set(setting, "off");
            }
        }
        let mut settings = ServerSettings::new(NAME, command, self.folder.join("postgres.log"));
        settings.account = self.account;
        // SIGTERM would wait for every client to leave.
        settings.stop_signal = Signal::SIGINT;
        settings
    }
}

/// Whether a live process works in `folder`, as every process of PostgreSQL does in its data folder.
fn processes_in(folder: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes
        .filter_map(Result::ok)
        .any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
}

fn write_secret(path: &Path, secret: &str) -> Result<(), Error> {
    let write = |mut file: File| file.write_all(secret.as_bytes());
    // An earlier one may belong to another user.
    let _ = fs::remove_file(path);
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(write)
        .map_err(Error::file("write", path))
}
