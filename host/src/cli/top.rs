//! `top`: a run of another process as it goes on, on the screen of the terminal.
//!
//! [`feed`] and [`tail`] look at store and event file, [`rows`] and [`told`] fold what they find, [`picture`] says what is to
//! be seen, [`draw`] draws it. All but the first two and [`screen`] are pure.

mod draw;
mod feed;
mod keys;
mod picture;
mod rows;
mod screen;
mod series;
mod tail;
#[cfg(test)]
mod tests;
mod told;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event;

use super::common::StoreArg;
use super::print::Printer;
use crate::error::Result;
use crate::event::Event;
use crate::model::now_ms;
use draw::Theme;
use feed::{Feed, Look};
use keys::Action;
use picture::{Choice, Sources};
use rows::Rows;
use screen::{Screen, broken};
use tail::Tail;
use told::Told;

/// Time between two looks.
const REFRESH: Duration = Duration::from_millis(500);
/// Longest wait for a key before signals are looked at.
const KEY_WAIT: Duration = Duration::from_millis(100);
/// Time between two looks while a long file of events is being read.
const HURRY: Duration = Duration::from_millis(10);

/// Watch a run that goes on in another process
///
/// Shows the newest run of the store, and the next one when it begins. It only reads, and holds nothing between two looks:
/// the run does not wait for it. With `--events` the file that the run writes by the same option is followed too; it tells
/// of plugins, health and alerts while the run goes on, which the store keeps at the end only.
///
/// Keys: q, Esc or Ctrl-C to leave, s to sort the plugins, f for failed items, ? for help.
///
/// Example: atlas-host top --store big.db --events events.ndjson
#[derive(Args, Debug)]
pub struct TopArgs {
    /// Follow this file of events, which the run writes by --events
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Leave when the run has ended, with a last picture
    #[arg(long)]
    until_end: bool,
    #[command(flatten)]
    store: StoreArg,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    rows: Option<Rows>,
    told: Option<Told>,
    nothing: Option<String>,
    follows: bool,
}

impl Found {
    fn sources(&self) -> Sources<'_> {
        Sources {
            rows: self.rows.as_ref(),
            told: self.told.as_ref(),
            nothing: self.nothing.as_deref(),
            follows: self.follows,
        }
    }

    /// Looks once more. True if more events wait to be read.
    fn look(&mut self, feed: &mut Feed, tail: Option<&mut Tail>, choice: Choice) -> Result<bool> {
        let mut more = false;
        if let Some(tail) = tail {
            let news = tail.look()?;
            if news.afresh {
                self.told = None;
            }
            for event in &news.events {
                match &mut self.told {
                    _ if matches!(event.event, Event::RunStarted(_)) => self.told = Told::begin(event),
                    Some(told) => told.observe(event),
                    None => {}
                }
            }
            more = news.more;
        }
        let heard_ms = self.told.as_ref().map(|told| told.newest_ms);
        match feed.look(now_ms(), heard_ms, choice.failed_only)? {
            Look::Nothing(why) => {
                self.rows = None;
                self.nothing = Some(why);
            }
            Look::Run(snapshot) => match &mut self.rows {
                Some(rows) if rows.is_of(&snapshot) => rows.take(*snapshot),
                _ => self.rows = Some(Rows::begin(*snapshot)),
            },
        }
        Ok(more)
    }
}

/// Exit code 0, or that of the signal that ended it. `color` is what the flags and the environment say.
pub fn run(args: TopArgs, color: bool, printer: &mut Printer) -> Result<u8> {
    let mut screen = Screen::take()?;
    let mut feed = Feed::new(&args.store.store);
    let mut tail = args.events.as_deref().map(Tail::new);
    let mut found = Found { follows: tail.is_some(), ..Found::default() };
    let mut choice = Choice::default();
    let theme = Theme { color };
    loop {
        let more = found.look(&mut feed, tail.as_mut(), choice)?;
        let over = found.sources().over();
        show(&mut screen, &found, choice, theme)?;
        if args.until_end && over && !more {
            let size = screen.terminal().size().map_err(broken)?;
            let picture = found.sources().picture(choice, now_ms(), usize::from(size.width));
            drop(screen);
            printer.line(&draw::text(&picture, choice, size.width, size.height))?;
            return Ok(0);
        }
        let next = Instant::now() + if more { HURRY } else { REFRESH };
        while Instant::now() < next {
            if let Some(code) = screen.signalled() {
                return Ok(code);
            }
            let left = next.saturating_duration_since(Instant::now()).min(KEY_WAIT);
            if !event::poll(left).map_err(broken)? {
                continue;
            }
            match keys::action(&event::read().map_err(broken)?, choice) {
                Some(Action::Quit) => return Ok(0),
                Some(Action::Choose(chosen)) => {
                    let asks = chosen.failed_only != choice.failed_only;
                    choice = chosen;
                    if asks {
                        break;
                    }
                }
                Some(Action::Redraw) => {}
                None => continue,
            }
            show(&mut screen, &found, choice, theme)?;
        }
    }
}

fn show(screen: &mut Screen, found: &Found, choice: Choice, theme: Theme) -> Result<()> {
    let terminal = screen.terminal();
    let width = usize::from(terminal.size().map_err(broken)?.width);
    let picture = found.sources().picture(choice, now_ms(), width);
    terminal.draw(|frame| draw::draw(frame, &picture, choice, theme)).map_err(broken)?;
    Ok(())
}
