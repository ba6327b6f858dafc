//! A way to a server that can be cut: what is sent over it goes nowhere, and nobody hears of it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// From a port of this machine to another one.
pub(crate) struct Way {
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    target: AtomicU16,
    is_cut: AtomicBool,
    /// Connections that were made before are broken.
    generation: AtomicU64,
    /// What a proxy of HTTP takes from its requests.
    origin: Option<String>,
}

/// Between two looks at whether it was cut.
const LOOK: Duration = Duration::from_millis(20);

impl Way {
    pub(crate) fn to(target: u16) -> Self {
        Self::of_network(here(), target)
    }

    /// As a proxy of HTTP, whose clients know the server by its own port.
    pub(crate) fn as_proxy(target: u16) -> Self {
        Self::proxy_of_network(here(), target)
    }

    /// From a port that may belong to another network.
    pub(crate) fn of_network(listener: TcpListener, target: u16) -> Self {
        Self::with(listener, target, None)
    }

    /// As [`Way::as_proxy`], from a port that may belong to another network.
    pub(crate) fn proxy_of_network(listener: TcpListener, target: u16) -> Self {
        Self::with(listener, target, Some(format!(" http://127.0.0.1:{target}/")))
    }

    fn with(listener: TcpListener, target: u16, origin: Option<String>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let state = State {
            target: AtomicU16::new(target),
            is_cut: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            origin,
        };
        let state = Arc::new(state);
        let of_listener = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&of_listener);
                thread::spawn(move || connect(client, &state));
            }
        });
        Self { port, state }
    }

    /// Nothing passes any more, or all does again.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.state.is_cut.store(is_cut, Ordering::SeqCst);
    }

    /// It leads elsewhere from now on, and the connections of before are broken.
    pub(crate) fn lead_to(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
        self.state.generation.fetch_add(1, Ordering::SeqCst);
    }
}

/// A port of this machine.
fn here() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

fn connect(client: TcpStream, state: &Arc<State>) {
    let generation = state.generation.load(Ordering::SeqCst);
    while state.is_cut.load(Ordering::SeqCst) {
        thread::sleep(LOOK);
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", state.target.load(Ordering::SeqCst))) else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(LOOK));
    }
    let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { return };
    let other = Arc::clone(state);
    let there = thread::spawn(move || carry(from, to, &other, generation, other.origin.as_deref()));
    carry(server, client, state, generation, None);
    let _ = there.join();
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &State, generation: u64, origin: Option<&str>) {
    let mut piece = vec![0; 64 << 10];
    while state.generation.load(Ordering::SeqCst) == generation {
        if state.is_cut.load(Ordering::SeqCst) {
            thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                while state.is_cut.load(Ordering::SeqCst) {
                    thread::sleep(LOOK);
                }
                let at_origin = origin.map(|origin| without(&piece[..length], origin));
                if to.write_all(at_origin.as_deref().unwrap_or(&piece[..length])).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// The requests as the server itself knows them; each is one piece.
fn without(piece: &[u8], origin: &str) -> Vec<u8> {
    match piece.windows(origin.len()).position(|window| window == origin.as_bytes()) {
        Some(at) => [&piece[..at], b" /", &piece[at + origin.len()..]].concat(),
        None => piece.to_vec(),
    }
}
