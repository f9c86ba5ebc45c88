//! Loopback ports: which are free, and what to say when one is not.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt::ReuseAddr,
};

use crate::Error;

#[cfg(target_os = "macos")]
const CLOSED_IN_PROGRAMS: SockFlag = SockFlag::empty();
#[cfg(not(target_os = "macos"))]
const CLOSED_IN_PROGRAMS: SockFlag = SockFlag::SOCK_CLOEXEC;

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

/// Whether somebody could listen on `address`.
///
/// Nobody listens for it: a child that another thread forks meanwhile has the socket too until it becomes its program, and
/// whoever listened on the port in that moment would find it taken. A socket that is only bound is in nobody's way.
pub fn probe(address: impl ToSocketAddrs) -> io::Result<()> {
    address.to_socket_addrs()?.try_for_each(|address| reserve(address).map(drop))
}

fn reserve(address: impl Into<SocketAddr>) -> io::Result<OwnedFd> {
    let address = address.into();
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, CLOSED_IN_PROGRAMS, None)?;
    setsockopt(&socket, ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
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
    fn looking_at_a_port_does_not_take_it() {
        let port = free_port().expect("a free port");
        let address = (Ipv4Addr::LOCALHOST, port);
        // As a forked child does, until it becomes its program.
        let _inherited = reserve(address).expect("the port is free");
        assert!(probe(address).is_ok() && TcpListener::bind(address).is_ok());
    }

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free_port().expect("a free port");
        assert!(expect_free("Kafka", port).is_ok());
    }
}
