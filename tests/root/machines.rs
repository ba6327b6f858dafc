//! Machines of their own, as far as their network goes: a namespace each, and cables to a switch in the one of the database.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network in which nothing is but what is put there.
pub(crate) struct Machine {
    name: String,
    network: File,
}

/// The address of the machine with the switch; the others count from it.
pub(crate) const SWITCH: &str = "10.77.0.1";

impl Machine {
    /// A machine with a switch, which others are put on.
    pub(crate) fn with_switch() -> Self {
        let machine = Self::new("switch");
        machine.ip(&["link", "add", "switch", "type", "bridge"]);
        machine.ip(&["address", "add", &format!("{SWITCH}/24"), "dev", "switch"]);
        machine.ip(&["link", "set", "switch", "up"]);
        machine
    }

    /// A machine whose cable is in the switch of this one.
    pub(crate) fn beside(&self, number: usize) -> Self {
        let machine = Self::new(&format!("node{number}"));
        let port = Self::port(number);
        self.ip(&["link", "add", &port, "type", "veth", "peer", "name", "cable", "netns", &machine.name]);
        self.ip(&["link", "set", &port, "master", "switch", "up"]);
        machine.ip(&["address", "add", &format!("10.77.0.{}/24", number + 2), "dev", "cable"]);
        machine.ip(&["link", "set", "cable", "up"]);
        machine
    }

    /// Whether what comes from the other machine, and goes there, is lost. Neither of them notices.
    pub(crate) fn cut(&self, number: usize, is_cut: bool) {
        let port = Self::port(number);
        let to: &[&str] = if is_cut { &["nomaster"] } else { &["master", "switch"] };
        self.ip(&[&["link", "set", &port], to].concat());
    }

    /// Does it there: what is bound, connected, or started belongs to that network.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn new(role: &str) -> Self {
        let name = format!("leadflow-{role}-{}", std::process::id());
        must(&["netns", "add", &name]);
        let network = File::open(format!("/run/netns/{name}")).unwrap();
        let machine = Self { name, network };
        machine.ip(&["link", "set", "lo", "up"]);
        machine
    }

    fn port(number: usize) -> String {
        format!("port{number}")
    }

    fn ip(&self, arguments: &[&str]) {
        must(&[&["-n", self.name.as_str()], arguments].concat());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn must(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("ip: {error}; install it: apt install iproute2"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {arguments:?}: {said}; it needs root, and a kernel with veth and bridge"
    );
}
