//! Real servers start, keep their data, survive what tests do to them, and stop.
//!
//! Needs what `cargo xtask test` prepares: Java, and PostgreSQL and Kafka in the cache (they are
//! fetched when they are not there).

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use devstack::{
    Cache, Durability, Error, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Postgres, PostgresBinaries,
    PostgresSettings, Silent,
};
use nix::unistd::{User, geteuid};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        Folder(std::env::temp_dir().join(format!("devstack-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("our own folder");
    }
}

fn cache() -> Cache {
    Cache::of_this_machine().expect("a cache folder")
}

fn postgres(folder: &Path, port: Option<u16>) -> Result<Postgres, Error> {
    let binaries = PostgresBinaries::install(&cache(), &Silent)?;
    let databases = &["notifications"][..];
    Postgres::start(&binaries, &PostgresSettings { folder, port, durability: Durability::Disposable, databases })
}

fn kafka(folder: &Path) -> Result<Kafka, Error> {
    let settings = KafkaSettings { folder, port: None, tuning: JavaTuning::QuickStart };
    Kafka::start(&KafkaBinaries::install(&cache(), &Silent)?, &settings)
}

/// The first thing that PostgreSQL says to a client who wants to enter a database.
fn greeting(port: u16, database: &str) -> Vec<u8> {
    let parameters = format!("user\0postgres\0database\0{database}\0\0");
    let length = u32::try_from(8 + parameters.len()).expect("a short message");
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("PostgreSQL listens");
    connection.write_all(&length.to_be_bytes()).expect("a connection");
    connection.write_all(&0x0003_0000_u32.to_be_bytes()).expect("a connection");
    connection.write_all(parameters.as_bytes()).expect("a connection");
    let mut answer = vec![0; 32];
    let read = connection.read(&mut answer).expect("an answer");
    answer.truncate(read);
    answer
}

/// PostgreSQL runs as `nobody` when we are root.
fn process_of_the_same_user() -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "read line"]).current_dir("/").stdin(Stdio::piped());
    if geteuid().is_root() {
        let nobody = User::from_name("nobody").expect("a list of users").expect("the user nobody");
        command.uid(nobody.uid.as_raw());
    }
    command.spawn().expect("sh runs")
}

#[test]
fn postgresql_keeps_its_data_and_password_over_a_restart_and_asks_for_it() {
    let folder = Folder::new("postgres-restart");
    let mut first = postgres(&folder.0, None).expect("PostgreSQL starts");
    let (port, url) = (first.port(), first.url("notifications"));
    // 'R' with code 10: it wants a password by SCRAM.
    assert!(greeting(port, "notifications").starts_with(b"R"), "no request for a password");
    first.stop();
    drop(first);

    let second = postgres(&folder.0, Some(port)).expect("PostgreSQL starts again");
    assert_eq!(second.url("notifications"), url);
}

#[test]
fn postgresql_heals_after_a_kill_that_left_its_lock_file() {
    let folder = Folder::new("postgres-kill");
    let mut first = postgres(&folder.0, None).expect("PostgreSQL starts");
    first.server().kill();
    drop(first);
    // As if its number had gone to another process of the same user, which PostgreSQL takes for its own.
    let mut other = process_of_the_same_user();
    let lock = folder.0.join("data/postmaster.pid");
    let text = fs::read_to_string(&lock).expect("a lock file");
    let rest = text.split_once('\n').expect("several lines").1;
    fs::write(&lock, format!("{}\n{rest}", other.id())).expect("our own folder");
    let second = postgres(&folder.0, None);
    other.kill().and_then(|()| other.wait()).expect("our own child");
    second.expect("PostgreSQL starts again");
}

#[test]
fn a_taken_port_is_one_clear_sentence_and_leaves_nothing_behind() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound listener").port();
    let folder = std::env::temp_dir().join(format!("devstack-taken-{}", std::process::id()));
    let error = postgres(&folder, Some(port)).expect_err("the port is taken");
    assert_eq!(error.to_string(), format!("port {port}, meant for PostgreSQL, is taken by another program"));
    assert!(!folder.exists());
}

#[test]
fn a_folder_serves_one_at_a_time() {
    let folder = Folder::new("postgres-twice");
    let _first = postgres(&folder.0, None).expect("PostgreSQL starts");
    assert!(matches!(postgres(&folder.0, None), Err(Error::FolderInUse { .. })));
}

#[test]
fn kafka_comes_back_on_the_same_port_after_a_kill_and_after_a_pause() {
    let folder = Folder::new("kafka-kill");
    let mut broker = kafka(&folder.0).expect("Kafka starts");
    let (address, first) = (broker.bootstrap_servers(), broker.pid());
    broker.kill();
    assert!(TcpStream::connect(&address).is_err(), "a killed broker still listens");
    broker.restart().expect("Kafka starts again");
    assert_eq!(broker.bootstrap_servers(), address);
    assert_ne!(broker.pid(), first);
    broker.pause();
    broker.resume();
    TcpStream::connect(&address).expect("the broker listens");

    let began = Instant::now();
    broker.stop();
    assert!(began.elapsed() < Duration::from_secs(20), "it had to be killed");
}
