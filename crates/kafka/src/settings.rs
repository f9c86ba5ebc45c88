use rdkafka::ClientConfig;

/// Where Kafka is and how to connect to it.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[group(id = "kafka")]
pub struct Settings {
    /// Brokers to ask first, as `host:port`, separated by commas.
    #[arg(long = "kafka-bootstrap-servers", env = "KAFKA_BOOTSTRAP_SERVERS")]
    pub bootstrap_servers: String,
}

impl Settings {
    /// The settings that every client needs, whatever it does.
    pub fn client_config(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", client_id)
            // The default of ten seconds would leave a client idle long after a broker is back.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            // New partitions are seen within this time where the group protocol does not tell of them.
            .set("topic.metadata.refresh.interval.ms", "10000");
        config
    }
}
