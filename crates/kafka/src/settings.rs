use rdkafka::ClientConfig;

use crate::{Error, Security};

/// Where Kafka is and how to connect to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, clap::Args)]
#[group(id = "kafka")]
pub struct Settings {
    /// Brokers to ask first, as `host:port`, separated by commas.
    #[arg(long = "kafka-bootstrap-servers", env = "KAFKA_BOOTSTRAP_SERVERS")]
    pub bootstrap_servers: String,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub security: Security,
}

impl Settings {
    /// Brokers that everybody may connect to.
    pub fn plaintext(bootstrap_servers: impl Into<String>) -> Self {
        Self { bootstrap_servers: bootstrap_servers.into(), security: Security::default() }
    }

    /// The settings that every client needs, whatever it does. Reads the files that the settings name.
    pub fn client_config(&self, client_id: &str) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", client_id)
            // The default of ten seconds would leave a client idle long after a broker is back.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            // New partitions are seen within this time where the group protocol does not tell of them.
            .set("topic.metadata.refresh.interval.ms", "10000");
        self.security.apply(&mut config)?;
        Ok(config)
    }
}
