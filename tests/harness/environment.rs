use std::{net::Ipv4Addr, path::PathBuf, sync::OnceLock, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

/// The servers and executables that this run of the tests shares.
#[derive(Debug)]
pub struct Environment {
    /// Folder of sms-operator, sms-api, sms-processor and xtask.
    pub bin_dir: PathBuf,
    /// Kafka's bootstrap servers.
    pub kafka: String,
    /// A kubeconfig with every right.
    pub kubeconfig: PathBuf,
    /// The kubectl executable.
    pub kubectl: PathBuf,
    /// The helm executable.
    pub helm: PathBuf,
    /// How long tests go on that find more the longer they run.
    pub soak: Duration,
    database_url: String,
}

impl Environment {
    /// What `cargo xtask test` has set up.
    pub fn get() -> &'static Self {
        static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
        ENVIRONMENT.get_or_init(|| Self {
            bin_dir: variable("DEVSTACK_BIN_DIR").into(),
            kafka: variable("KAFKA_BOOTSTRAP_SERVERS"),
            kubeconfig: variable("KUBECONFIG").into(),
            kubectl: variable("DEVSTACK_KUBECTL").into(),
            helm: variable("DEVSTACK_HELM").into(),
            soak: Duration::from_secs(variable("SOAK_SECONDS").parse().expect("SOAK_SECONDS is a number")),
            database_url: variable("DATABASE_URL"),
        })
    }

    /// Makes a database of its own for one test and gives its URL.
    pub async fn database(&self) -> String {
        let name = unique("test");
        let mut connection = PgConnection::connect(&self.database_url).await.expect("PostgreSQL answers");
        // The name is made here, of letters and digits.
        let statement = AssertSqlSafe(format!("create database {name}"));
        sqlx::query(statement).execute(&mut connection).await.expect("the database is created");
        with_database(&self.database_url, &name)
    }
}

/// A name that no other test has.
pub fn unique(what: &str) -> String {
    format!("{what}{}", &Uuid::new_v4().simple().to_string()[..12])
}

/// A loopback address that no other test has: all of 127.0.0.0/8 is loopback, so the ports need not differ.
pub fn loopback_address() -> Ipv4Addr {
    let random = Uuid::new_v4();
    let [second, third, fourth, ..] = random.as_bytes();
    Ipv4Addr::new(127, (*second).max(1), *third, (*fourth).clamp(1, 254))
}

/// A port on 127.0.0.1 that stays free until it is used: it lies outside the range from which the kernel hands
/// out ports, so no connection and no listener of another test gets it.
pub fn reserved_port() -> u16 {
    let free = |port: &u16| devstack::probe((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let random = std::iter::repeat_with(|| 10_000 + (Uuid::new_v4().as_u128() % 20_000) as u16);
    random.take(100).find(free).expect("one of a hundred ports is free")
}

fn with_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL names its database");
    format!("{server}/{name}")
}

fn variable(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the one place where tests learn of their servers")]
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with cargo xtask test"))
}
