//! The settings of the one-node broker.

use std::path::Path;

use super::SecureListener;

/// `server.properties` for a broker on `port` (0 = the kernel picks) with its data in `data`.
pub fn server(port: u16, data: &Path, secure: Option<&SecureListener>) -> String {
    let data = data.display();
    let (listener, map) = secure.map_or_else(Default::default, |secure| {
        let address = format!(",SECURE://{}", secure.bootstrap_servers());
        (address, ",SECURE:SASL_SSL")
    });
    let secured = secure.map_or_else(String::new, SecureListener::properties);
    format!(
        "\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0{listener}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{listener}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{map}
# Must be set and is never contacted: the only voter is in the formatted data (format --standalone).
controller.quorum.bootstrap.servers=127.0.0.1:1
log.dirs={data}
# Topics are the operator's business; a typing error in a topic name must not look like a topic.
auto.create.topics.enable=false
# A restart after a kill waits until the session of the killed broker has run out.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# There is one node.
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Memory: 128 MiB by default, the larger part of an idle broker.
log.cleaner.dedupe.buffer.size=2097152
num.network.threads=2
num.io.threads=4
background.threads=2
# Groups that form and heal within a second or three, not within a minute.
group.initial.rebalance.delay.ms=0
group.consumer.min.heartbeat.interval.ms=300
group.consumer.heartbeat.interval.ms=300
group.consumer.assignment.interval.ms=0
group.consumer.min.session.timeout.ms=2000
group.consumer.session.timeout.ms=3000
group.min.session.timeout.ms=1000
{secured}"
    )
}
