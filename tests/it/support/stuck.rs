//! Commands that are under way, and a table service that keeps them so.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use super::flows_toml::{FlowsToml, KEYS, SINCE};
use super::leadflow::{Output, Sandbox};
use super::scripted::{Requests, page, table_service};

/// A flow whose table does not answer any more once it is to hang, and the service.
pub(crate) fn hanging(hangs: &Arc<AtomicBool>) -> (Sandbox, Requests) {
    let hangs = Arc::clone(hangs);
    let service = table_service(move |_, _| {
        while hangs.load(Relaxed) {
            thread::park();
        }
        Some(page(&[], &[]))
    });
    let flow =
        FlowsToml::new().azure("marketplace").folder("folder").flow("leads").every("day").filter(SINCE);
    (Sandbox::with_storage(flow.body(KEYS), service.storage()), service)
}

/// Starts a command and does not wait.
pub(crate) fn begun(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    sandbox.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn ended(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Sends it a signal: `TERM`, `INT` …
pub(crate) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}
