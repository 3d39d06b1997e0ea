//! Where granted hosts are: asked when a slot is filled, and again now and then for the sandboxes that start later.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::limits::HOST_ADDRESSES_FRESH;

/// The addresses of the hosts that a plugin may connect to.
pub(super) struct Hosts {
    granted: Vec<String>,
    found: Mutex<Option<(Instant, Arc<[SocketAddr]>)>>,
}

impl Hosts {
    /// `granted`: as `HOST:PORT`.
    pub fn new(granted: &[String]) -> Self {
        Self { granted: granted.to_vec(), found: Mutex::new(None) }
    }

    /// What they are now, or were a little while ago. Where nobody can tell, those found before stay: items are not to be lost
    /// by a name service that is away for a moment.
    ///
    /// Errors: a host that was never found.
    pub fn addresses(&self) -> Result<Arc<[SocketAddr]>, String> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, addresses)) = &*found
            && at.elapsed() < HOST_ADDRESSES_FRESH
        {
            return Ok(Arc::clone(addresses));
        }
        let addresses = match (resolve(&self.granted), &*found) {
            (Ok(addresses), _) => addresses.into(),
            (Err(why), Some((_, addresses))) => {
                tracing::warn!("{why}; plugins go on with the addresses found before.");
                Arc::clone(addresses)
            }
            (Err(why), None) => return Err(why),
        };
        *found = Some((Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }
}

fn resolve(hosts: &[String]) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = Vec::new();
    for host in hosts {
        let found =
            host.to_socket_addrs().map_err(|error| format!("granted host {host} cannot be resolved: {error}"))?;
        addresses.extend(found);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_found_again_stay_and_those_never_found_are_an_error() {
        let known: Arc<[SocketAddr]> = Arc::from(["127.0.0.1:80".parse().unwrap()]);
        // No such port: found out without a question to anybody.
        let hosts = Hosts::new(&["localhost:99999".to_owned()]);
        assert!(hosts.addresses().unwrap_err().contains("localhost:99999 cannot be resolved"));
        let long_ago = Instant::now().checked_sub(HOST_ADDRESSES_FRESH).expect("the machine is up for so long");
        *hosts.found.lock().unwrap() = Some((long_ago, Arc::clone(&known)));
        assert_eq!(hosts.addresses().unwrap(), known);
        let (at, _) = hosts.found.lock().unwrap().clone().unwrap();
        assert!(at.elapsed() < HOST_ADDRESSES_FRESH, "not asked for every sandbox");
    }
}
