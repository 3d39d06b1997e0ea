//! What keys mean.

use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

use super::picture::Choice;

/// What a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Quit,
    /// Show this now.
    Choose(Choice),
    /// The terminal has another size.
    Redraw,
}

/// None for what means nothing.
pub fn action(event: &Event, choice: Choice) -> Option<Action> {
    let key = match event {
        Event::Resize(..) => return Some(Action::Redraw),
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Action::Quit),
        // Whoever reads the help leaves that first.
        KeyCode::Esc | KeyCode::Char('q' | '?') if choice.help => {
            Some(Action::Choose(Choice { help: false, ..choice }))
        }
        KeyCode::Esc | KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Char('?' | 'h') => Some(Action::Choose(Choice { help: true, ..choice })),
        KeyCode::Char('s') => Some(Action::Choose(Choice { sort: choice.sort.next(), ..choice })),
        KeyCode::Char('f') => Some(Action::Choose(Choice { failed_only: !choice.failed_only, ..choice })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;
    use crate::cli::top::picture::Sort;

    fn typed(code: KeyCode, modifiers: KeyModifiers, choice: Choice) -> Option<Action> {
        action(&Event::Key(KeyEvent::new(code, modifiers)), choice)
    }

    #[test]
    fn three_keys_leave_and_within_the_help_two_of_them_close_it() {
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        let help = Choice { help: true, ..Choice::default() };
        for (code, modifiers) in [(KeyCode::Char('q'), none), (KeyCode::Esc, none), (KeyCode::Char('c'), control)] {
            assert_eq!(typed(code, modifiers, Choice::default()), Some(Action::Quit));
        }
        assert_eq!(typed(KeyCode::Esc, none, help), Some(Action::Choose(Choice::default())));
        assert_eq!(typed(KeyCode::Char('c'), control, help), Some(Action::Quit));
        assert_eq!(typed(KeyCode::Char('c'), none, Choice::default()), None);
    }

    #[test]
    fn sorting_comes_round_and_filtering_goes_to_and_fro() {
        let mut choice = Choice::default();
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(choice.sort);
            let Some(Action::Choose(next)) = typed(KeyCode::Char('s'), KeyModifiers::NONE, choice) else { panic!() };
            choice = next;
        }
        assert_eq!(seen, [Sort::Chain, Sort::Time, Sort::Calls, Sort::Faults, Sort::Name]);
        assert_eq!(choice, Choice::default());
        let on = typed(KeyCode::Char('f'), KeyModifiers::NONE, choice);
        assert_eq!(on, Some(Action::Choose(Choice { failed_only: true, ..choice })));
    }
}
