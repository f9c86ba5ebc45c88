//! Loopback ports: which are free, and what to say when one is not.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, ToSocketAddrs},
};

use crate::Error;

/// A port that nobody listens on right now. Another process may take it before it is used, so
/// whoever starts a server on it tries again with another one when that happens.
pub fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| Error::Run { program: "a listener on 127.0.0.1".to_owned(), source })
}

/// Fails when another program already listens on `port`.
pub fn expect_free(server: &'static str, port: u16) -> Result<(), Error> {
    match probe((Ipv4Addr::LOCALHOST, port)) {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::PortTaken { server, port }),
    }
}

/// Tries to listen on `address` and lets go again.
pub fn probe(address: impl ToSocketAddrs) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_with_a_listener_is_reported_with_the_server_that_wanted_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port();
        let error = expect_free("Kafka", port).expect_err("the port is taken");
        assert_eq!(error.to_string(), format!("port {port}, meant for Kafka, is taken by another program"));
    }

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free_port().expect("a free port");
        assert!(expect_free("Kafka", port).is_ok());
    }
}
