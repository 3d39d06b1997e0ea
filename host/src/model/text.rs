//! Text for people: made safe for terminals, and mistyped names set right.

/// Text from guests and inputs made safe for logs and terminals: control characters are shown as escapes.
pub fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    let risky = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(risky) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if risky(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

/// As [`printable`], and no longer than so many bytes of the text; a sign tells where more follows.
pub fn shortened(text: &str, bytes_max: usize) -> String {
    let short = &text[..text.floor_char_boundary(bytes_max)];
    format!("{}{}", printable(short), if short.len() < text.len() { "…" } else { "" })
}

/// The known name that is nearest to a mistyped one, if one is near (Levenshtein distance up to a third of its length).
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (wrong.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (edit_distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance in characters, without regard to ASCII case.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(!ca.eq_ignore_ascii_case(cb))).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
