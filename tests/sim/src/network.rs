//! The network between the hosts: a `mesh::transport` of its own, with everything that can go wrong on one.
//!
//! It is no stand-in for sockets of the standard library, so that no runtime of its own is needed: all hosts share one
//! thread and one paused clock, and bytes are what is delayed, held up, reordered between connections, and cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mesh::transport::{Address, BoxIo, Listener, Transport};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use crate::given::mixed;
use crate::trace::Trace;
use crate::wire::{Socket, Wire};

/// A host, by the port of its one address.
pub(crate) type Host = u16;

/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

/// The network. Clones share it.
#[derive(Clone)]
pub(crate) struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    trace: Arc<Trace>,
    seed: u64,
    state: Mutex<State>,
    /// A link is whole again.
    healed: Notify,
}

struct State {
    random: StdRng,
    delay_ms: (u64, u64),
    slow: BTreeMap<(Host, Host), u64>,
    /// Links, each in one direction, on which nothing gets through.
    parted: BTreeSet<(Host, Host)>,
    dark: BTreeSet<Host>,
    lives: BTreeMap<Host, u32>,
    listening: BTreeMap<Host, (u32, mpsc::Sender<BoxIo>)>,
    wires: Vec<Weak<Wire>>,
    wires_made: u64,
}

/// The network as one life of a host sees it.
#[derive(Clone)]
pub(crate) struct Port {
    network: Network,
    host: Host,
    life: u32,
}

struct Local {
    port: Port,
    waiting: mpsc::Receiver<BoxIo>,
}

/// The address of a host; that of one machine, so that its callers are believed.
pub(crate) fn address(host: Host) -> Address {
    Address::Tcp(format!("127.0.0.1:{host}"))
}

// === impl Network ===

impl Network {
    /// A network on which bytes take from and to so many milliseconds.
    pub(crate) fn new(trace: Arc<Trace>, seed: u64, delay_ms: (u64, u64)) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(mixed(seed ^ 1)),
            delay_ms,
            slow: BTreeMap::new(),
            parted: BTreeSet::new(),
            dark: BTreeSet::new(),
            lives: BTreeMap::new(),
            listening: BTreeMap::new(),
            wires: Vec::new(),
            wires_made: 0,
        };
        Self { shared: Arc::new(Shared { trace, seed, state: Mutex::new(state), healed: Notify::new() }) }
    }

    /// The network for a host that is started.
    pub(crate) fn port(&self, host: Host) -> Port {
        let state = &mut *self.shared.state.lock();
        let life = state.lives.entry(host).or_default();
        *life += 1;
        Port { network: self.clone(), host, life: *life }
    }

    /// Nothing gets from the one to the other.
    pub(crate) fn part(&self, from: Host, to: Host) {
        let state = &mut *self.shared.state.lock();
        state.parted.insert((from, to));
        state.between(from, to).for_each(|wire| wire.hold(true));
    }

    /// Everything gets through again.
    pub(crate) fn heal(&self, from: Host, to: Host) {
        let state = &mut *self.shared.state.lock();
        state.parted.remove(&(from, to));
        state.between(from, to).for_each(|wire| wire.hold(false));
        self.shared.healed.notify_waiters();
    }

    /// Bytes from the one to the other take so many milliseconds more; 0: as ever.
    pub(crate) fn slow(&self, from: Host, to: Host, by_ms: u64) {
        let state = &mut *self.shared.state.lock();
        state.slow.insert((from, to), by_ms);
        let delay_ms = state.delay(from, to);
        state.between(from, to).for_each(|wire| wire.slow(delay_ms));
    }

    /// Cuts the newest connection between two hosts after so many more bytes of the one's. Whether there is one.
    pub(crate) fn cut(&self, from: Host, to: Host, after_bytes: usize) -> bool {
        let newest = self.shared.state.lock().between(from, to).last();
        newest.inspect(|wire| wire.cut_after(after_bytes)).is_some()
    }

    /// No connection between two hosts is to be cut any more.
    pub(crate) fn uncut(&self, from: Host, to: Host) {
        self.shared.state.lock().between(from, to).for_each(|wire| wire.uncut());
    }

    /// The process at a host is killed: whoever is connected learns of it.
    pub(crate) fn kill(&self, host: Host) {
        let state = &mut *self.shared.state.lock();
        *state.lives.entry(host).or_default() += 1;
        state.listening.remove(&host);
        for wire in state.wires() {
            if wire.from == host {
                wire.writer_killed();
            } else if wire.to == host {
                wire.reader_killed();
            }
        }
    }

    /// The host loses its power: nobody learns of it.
    pub(crate) fn darken(&self, host: Host) {
        let state = &mut *self.shared.state.lock();
        *state.lives.entry(host).or_default() += 1;
        state.listening.remove(&host);
        state.dark.insert(host);
        for wire in state.wires() {
            if wire.from == host {
                wire.writer_dark();
            } else if wire.to == host {
                wire.reader_dark();
            }
        }
    }

    /// The host has power again; it knows of no connection from before.
    pub(crate) fn lighten(&self, host: Host) {
        let state = &mut *self.shared.state.lock();
        if state.dark.remove(&host) {
            for wire in state.wires().into_iter().filter(|wire| wire.from == host || wire.to == host) {
                wire.hold(false);
                wire.writer_killed();
                wire.reader_killed();
            }
            self.shared.healed.notify_waiters();
        }
    }

    fn blocked(&self, from: Host, to: Host) -> bool {
        let state = self.shared.state.lock();
        state.dark.contains(&to) || state.parted.contains(&(from, to)) || state.parted.contains(&(to, from))
    }

    /// The way there and back.
    fn round_trip(&self, from: Host, to: Host) -> Duration {
        let state = &mut *self.shared.state.lock();
        let mut one = |from, to| {
            let (least, most) = state.delay(from, to);
            state.random.random_range(least..=most)
        };
        Duration::from_millis(one(from, to) + one(to, from))
    }

    fn lay(&self, here: Host, there: Host) -> (Socket, Socket) {
        let state = &mut *self.shared.state.lock();
        let mut wire = |from, to| {
            state.wires_made += 1;
            let (number, delay_ms) = (state.wires_made, state.delay(from, to));
            let seed = mixed(self.shared.seed ^ mixed(number));
            let wire = Wire::new(number, (from, to), delay_ms, self.shared.trace.clone(), seed);
            wire.hold(state.parted.contains(&(from, to)));
            state.wires.retain(|wire| wire.upgrade().is_some_and(|wire| !wire.is_over()));
            state.wires.push(Arc::downgrade(&wire));
            wire
        };
        let (out, back) = (wire(here, there), wire(there, here));
        (Socket::new(back.clone(), out.clone()), Socket::new(out, back))
    }
}

// === impl State ===

impl State {
    fn delay(&self, from: Host, to: Host) -> (u64, u64) {
        let more = self.slow.get(&(from, to)).copied().unwrap_or(0);
        (self.delay_ms.0 + more, self.delay_ms.1 + more)
    }

    fn wires(&self) -> Vec<Arc<Wire>> {
        self.wires.iter().filter_map(Weak::upgrade).filter(|wire| !wire.is_over()).collect()
    }

    fn between(&self, from: Host, to: Host) -> impl Iterator<Item = Arc<Wire>> + use<> {
        self.wires().into_iter().filter(move |wire| (wire.from, wire.to) == (from, to))
    }
}

// === impl Port ===

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("host", &self.host).field("life", &self.life).finish_non_exhaustive()
    }
}

impl Port {
    /// Whether the process that was given it is still there.
    fn lives(&self) -> io::Result<()> {
        let lives = self.network.shared.state.lock().lives.get(&self.host) == Some(&self.life);
        if lives { Ok(()) } else { Err(io::ErrorKind::NetworkDown.into()) }
    }

    async fn reach(&self, there: Host) -> io::Result<BoxIo> {
        let (network, here) = (&self.network, self.host);
        loop {
            self.lives()?;
            let healed = network.shared.healed.notified();
            if network.blocked(here, there) {
                healed.await;
                continue;
            }
            sleep(network.round_trip(here, there)).await;
            if !network.blocked(here, there) {
                break;
            }
        }
        self.lives()?;
        let listener = network.shared.state.lock().listening.get(&there).map(|(_, sender)| sender.clone());
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let (near, far) = network.lay(here, there);
        listener.ok_or_else(refused)?.try_send(Box::new(far)).map_err(|_| refused())?;
        network.shared.trace.note(format_args!("{here} is connected to {there}"));
        Ok(Box::new(near))
    }
}

impl Transport for Port {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        let host = |address: &Address| match address {
            Address::Tcp(text) => text.rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
            Address::Unix(_) => None,
        };
        async move {
            let there = host(address).ok_or(io::ErrorKind::AddrNotAvailable)?;
            self.reach(there).await
        }
        .boxed()
    }

    fn bind<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        async move {
            self.lives()?;
            let (sender, waiting) = mpsc::channel(BACKLOG);
            let state = &mut *self.network.shared.state.lock();
            if state.listening.contains_key(&self.host) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            state.listening.insert(self.host, (self.life, sender));
            Ok(Box::new(Local { port: self.clone(), waiting }) as Box<dyn Listener>)
        }
        .boxed()
    }
}

// === impl Local ===

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Listener for Local {
    fn local_address(&self) -> Address {
        address(self.port.host)
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        async move {
            match self.waiting.recv().await {
                Some(io) => Ok(io),
                // Its host is gone: whoever accepts is about to end.
                None => std::future::pending().await,
            }
        }
        .boxed()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let state = &mut *self.port.network.shared.state.lock();
        if state.listening.get(&self.port.host).is_some_and(|(life, _)| *life == self.port.life) {
            state.listening.remove(&self.port.host);
        }
    }
}
