//! The terminal: taken for a while, and always given back.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ratatui::DefaultTerminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Code, Error, Result};

/// The screen of the terminal; the one before comes back when this is dropped, and where the program panics.
pub struct Screen {
    terminal: DefaultTerminal,
    signal: Arc<AtomicUsize>,
}

impl Screen {
    /// Takes the screen. Errors: CONFIG_3001 if there is no terminal.
    pub fn take() -> Result<Self> {
        let none = |why: &str| {
            Error::new(Code::ConfigInvalid, format!("`top` needs a terminal, and {why}"))
                .hint("`atlas-host runs show` tells about a run anywhere")
        };
        if !io::stdout().is_terminal() {
            return Err(none("standard output is none"));
        }
        if !io::stdin().is_terminal() {
            return Err(none("standard input is none"));
        }
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return Err(none("this one cannot move its cursor (TERM is dumb)"));
        }
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)
                .map_err(|e| none("signals cannot be watched").because(e))?;
        }
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self { terminal, signal }),
            Err(error) => {
                ratatui::restore();
                Err(none("this one cannot be used").because(error))
            }
        }
    }

    /// Where to draw.
    pub fn terminal(&mut self) -> &mut DefaultTerminal {
        &mut self.terminal
    }

    /// Exit code of a signal that came, if one did: 130 for SIGINT, 143 for the others.
    pub fn signalled(&self) -> Option<u8> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal if signal == SIGINT as usize => Some(130),
            _ => Some(143),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// A terminal that cannot be written or read any more.
pub fn broken(error: io::Error) -> Error {
    Error::new(Code::StorageWrite, "the terminal cannot be used any more").because(error)
}
