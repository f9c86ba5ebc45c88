//! A real broker that wants TLS and a password lets in who has both, and tells everybody else why not.
//!
//! Needs what `cargo xtask test` prepares: Java, openssl, and Kafka in the cache (it is fetched when it is not there).

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use devstack::{Cache, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, SecureListener, Silent};
use kafka::{Admin, Error, Mechanism, NewTopic, Protocol, Security, Settings, Source};

struct Broker {
    kafka: Kafka,
    folder: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let binaries = KafkaBinaries::install(&Cache::of_this_machine().expect("a cache"), &Silent).expect("Kafka");
        let settings = KafkaSettings { folder: folder.path(), port: None, tuning: JavaTuning::QuickStart };
        let kafka = Kafka::start_secured(&binaries, &settings).expect("the broker starts");
        Self { kafka, folder }
    }

    fn listener(&self) -> &SecureListener {
        self.kafka.secure().expect("it was started secured")
    }

    /// The right settings, as files.
    fn settings(&self) -> Settings {
        let listener = self.listener();
        let password = self.folder.path().join("password");
        fs::write(&password, format!("{}\n", listener.password())).expect("the folder is writable");
        Settings {
            bootstrap_servers: listener.bootstrap_servers(),
            security: Security {
                protocol: Protocol::SaslSsl,
                ca: Some(Source::File(listener.authority())),
                mechanism: Some(Mechanism::ScramSha512),
                username: Some(listener.user().to_owned()),
                password: Some(Source::File(password)),
                ..Security::default()
            },
        }
    }

    /// An authority that the broker does not know.
    fn other_authority(&self) -> SecureListener {
        SecureListener::prepare(&self.folder.path().join("other")).expect("openssl makes certificates")
    }
}

fn with_certificate(settings: Settings, listener: &SecureListener) -> Settings {
    let source = |path: &Path| Some(Source::Value(fs::read_to_string(path).expect("the file is readable")));
    let security = Security {
        certificate: source(&listener.client_certificate()),
        key: source(&listener.client_key()),
        ..settings.security
    };
    Settings { security, ..settings }
}

async fn describe(settings: &Settings) -> Result<(), Error> {
    let admin = Admin::new(settings, "tests").expect("usable settings");
    admin.describe_topics(vec!["none".to_owned()]).await.map(|found| assert!(found.is_empty()))
}

/// What is told, which must be the same each time: a status is written whenever it changes.
async fn refusal(settings: &Settings) -> String {
    let admin = Admin::new(settings, "tests").expect("usable settings");
    let mut told = Vec::new();
    for _ in 0..2 {
        let refused = admin.describe_topics(vec!["none".to_owned()]).await.expect_err("nobody is let in");
        told.push(refused.to_string());
    }
    assert_eq!(told[0], told[1]);
    told.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_right_secrets_is_let_in_and_everybody_else_is_told_why_not() {
    let broker = Broker::start();
    let right = broker.settings();

    let admin = Admin::new(&right, "tests").expect("usable settings");
    let topic = |name: &str| NewTopic {
        name: name.to_owned(),
        partitions: 2,
        replication_factor: 1,
        config: BTreeMap::from([("retention.ms", "60000".to_owned())]),
    };
    admin.create_topics(&[topic("secured")]).await.expect("the topic is created");
    let found = admin.describe_topics(vec!["secured".to_owned()]).await.expect("the topic is described");
    assert_eq!(found["secured"].partitions, 2);
    // The first question for a group has the broker make the topic of all groups.
    let asked = async {
        while let Err(error) = admin.offsets("group".to_owned(), vec![("secured".to_owned(), 0)]).await {
            println!("{error}");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("a consumer is let in too");
    describe(&with_certificate(right.clone(), broker.listener())).await.expect("its authority signed the certificate");

    let changed = |change: fn(&mut Security)| {
        let mut wrong = right.clone();
        change(&mut wrong.security);
        wrong
    };
    let password = changed(|security| security.password = Some(Source::Value("hunter2".to_owned())));
    let mechanism = changed(|security| security.mechanism = Some(Mechanism::Plain));
    let protocol = changed(|security| *security = Security::default());
    let other = broker.other_authority();
    let mut authority = right.clone();
    authority.security.ca = Some(Source::File(other.authority()));
    let certificate = with_certificate(right.clone(), &other);
    let (_, port) = right.bootstrap_servers.rsplit_once(':').expect("an address and a port");
    let at = |host: &str| Settings { bootstrap_servers: format!("{host}:{port}"), ..right.clone() };
    // The broker's certificate names 127.0.0.2; this is the same address by another name.
    let (name, nowhere) = (at("127.2"), at("kafka.invalid"));

    let (password, mechanism, authority, certificate, name, nowhere, protocol) = tokio::join!(
        refusal(&password),
        refusal(&mechanism),
        refusal(&authority),
        refusal(&certificate),
        refusal(&name),
        refusal(&nowhere),
        refusal(&protocol),
    );

    assert!(password.starts_with("Kafka does not let us in: SASL authentication error"), "{password}");
    assert!(!password.contains("hunter2"), "{password}");
    assert!(mechanism.contains("supported mechanisms: SCRAM-SHA-512"), "{mechanism}");
    assert!(authority.contains("certificate verify failed"), "{authority}");
    assert!(certificate.starts_with("no secure connection to Kafka"), "{certificate}");
    assert!(name.contains("certificate verify failed"), "{name}");
    assert!(nowhere.contains("Failed to resolve 'kafka.invalid:"), "{nowhere}");
    assert!(protocol.ends_with("expects another security protocol"), "{protocol}");
}
