//! Running until the system, or whoever sits at the terminal, wants it to end.
//!
//! ```text
//! begin ──► listening ── first signal ──► the tree is stopped ── second signal ──► the end of the process
//!               │  ▲                             │
//!               │  └ stops(tree)                 │
//!               └───────────── end ◄─────────────┘
//! ```
//!
//! A thread of its own listens. The first signal may come before there is a tree: then that is stopped at once.

use super::Supervisor;
use super::elsewhere::elsewhere;
use super::ended::Ended;
use super::tree::{News, Tree};
use crate::clock;
use crate::sync::{Arc, Mutex, Weak, thread};
use bedplate_core::clock::Instant;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use std::io;

impl Supervisor {
    /// Waits until `SIGTERM` or `SIGINT` (Ctrl-C) comes, and then stops the children in order, as
    /// [`shutdown`](Self::shutdown) does; or until the supervisor ends by itself, as [`wait`](Self::wait) does. A second
    /// signal ends the process at once, as it would without a handler. For `main`; with the feature `signal`, on Unix.
    /// An [`Application`](super::Application) listens from before its start.
    ///
    /// ```no_run
    /// use bedplate::supervisor::{ChildSpec, Supervisor};
    /// use std::process::ExitCode;
    /// use std::time::Duration;
    ///
    /// fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    ///     let server = ChildSpec::worker("server", |me| {
    ///         while !me.stop().wait(Duration::from_secs(1)) {}
    ///     });
    ///     let ended = Supervisor::builder("app").child(server).start()?.run_until_signal()?;
    ///     Ok(if ended.reason.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    /// }
    /// ```
    ///
    /// # Errors
    /// If there is no handler or thread to be had; the children are then asked to stop.
    ///
    /// # Concurrency
    /// Blocks as long as that takes. Signals that come before the call have the effect they had before; those that come
    /// after it returns have none, unless somebody else has a handler for them.
    pub fn run_until_signal(self) -> io::Result<Ended> {
        let listening = Listening::begin()?;
        listening.stops(&self.tree);
        Ok(self.run(Some(listening)))
    }
}

/// Listens for signals until it is ended.
pub(super) struct Listening {
    heard: Arc<Mutex<Heard>>,
    closing: Handle,
    thread: thread::JoinHandle<()>,
}

/// A signal, and when it came.
pub(super) type Signal = (i32, Instant);

struct Heard {
    first: Option<Signal>,
    /// What is to be stopped.
    tree: Weak<Tree>,
}

impl Listening {
    pub(super) fn begin() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let closing = signals.handle();
        let heard = Arc::new(Mutex::new(Heard {
            first: None,
            tree: Weak::new(),
        }));
        let hears = heard.clone();
        let builder = thread::Builder::new().name("bedplate-signals".to_owned());
        let thread = builder.spawn(move || {
            for signal in signals.forever() {
                hear(&hears, signal);
            }
        })?;
        Ok(Self {
            heard,
            closing,
            thread,
        })
    }

    /// The first signal stops this one; at once, if it has come already.
    pub(super) fn stops(&self, tree: &Arc<Tree>) {
        let came = {
            let mut heard = self.heard.lock();
            heard.tree = Arc::downgrade(tree);
            heard.first.is_some()
        };
        if came {
            tree.drive(News::Shutdown);
        }
    }

    /// The signal that came first.
    pub(super) fn end(self) -> Option<Signal> {
        self.closing.close();
        // It has ended, or is about to: there is nothing in it that panics.
        let _joined = self.thread.join();
        self.heard.lock().first
    }
}

fn hear(heard: &Mutex<Heard>, signal: i32) {
    let (is_second, tree) = {
        let mut heard = heard.lock();
        let is_second = heard.first.is_some();
        heard.first.get_or_insert_with(|| (signal, clock::now()));
        (is_second, heard.tree.upgrade())
    };
    if is_second {
        // If that does not end the process, nothing does that we could.
        let _refused = emulate_default_handler(signal);
    }
    if let Some(tree) = tree {
        // A stop callback that hangs must not keep the second one from being seen.
        elsewhere(Box::new(move || tree.drive(News::Shutdown)));
    }
}
