//! Looks whether every port is free before anything is started.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::bail;

use crate::arguments::UpArguments;

/// Fails with one line per address that another program has.
pub fn expect_free(arguments: &UpArguments) -> anyhow::Result<()> {
    let taken = taken(arguments);
    if taken.is_empty() {
        return Ok(());
    }
    bail!("nothing was started\n{}", taken.join("\n"));
}

/// One line per address that cannot be listened on.
pub fn taken(arguments: &UpArguments) -> Vec<String> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let wanted = [
        ("the API", arguments.api_address, "--api-address"),
        ("the internal API", arguments.internal_address, "--internal-address"),
        ("the operator's metrics", arguments.metrics_address, "--metrics-address"),
        ("PostgreSQL", loopback(arguments.postgres_port), "--postgres-port"),
        ("Kafka", loopback(arguments.kafka_port), "--kafka-port"),
    ];
    let conflict = |(index, (what, address, flag)): (usize, &(&str, SocketAddr, &str))| {
        let earlier = wanted[..index].iter().find(|(_, other, _)| other == address);
        if let Some((other, _, _)) = earlier {
            return Some(format!("{address} is wanted for {other} and for {what}; choose another with {flag}"));
        }
        let error = devstack::probe(address).err()?;
        Some(format!("{address} for {what} cannot be used ({error}); choose another with {flag}"))
    };
    wanted.iter().enumerate().filter_map(conflict).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn arguments(line: &[&str]) -> UpArguments {
        match Arguments::parse_from(["xtask", "up"].iter().chain(line)).command {
            Command::Up(arguments) => arguments,
            other => panic!("not up: {other:?}"),
        }
    }

    #[test]
    fn every_taken_port_has_a_line_with_the_flag_that_changes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port().to_string();
        let free = || devstack::free_port().expect("a free port");
        let address = || format!("127.0.0.1:{}", free());
        let (api, internal, metrics) = (format!("127.0.0.1:{port}"), address(), address());
        let kafka = free().to_string();
        let line = [
            "--api-address",
            &api,
            "--internal-address",
            &internal,
            "--metrics-address",
            &metrics,
            "--postgres-port",
            &port,
            "--kafka-port",
            &kafka,
        ];
        let taken = taken(&arguments(&line));
        assert_eq!(taken.len(), 2, "{taken:?}");
        assert!(taken[0].starts_with(&format!("127.0.0.1:{port} for the API cannot be used")), "{taken:?}");
        assert!(taken[0].ends_with("choose another with --api-address"), "{taken:?}");
        assert!(taken[1].ends_with("choose another with --postgres-port"), "{taken:?}");
    }
}
