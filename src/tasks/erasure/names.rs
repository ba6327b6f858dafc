//! The names by which a text may mean a person.

/// What a person is called, in either order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Names {
    /// Words in lower case between single spaces, with a space at either end.
    spoken: Vec<String>,
    /// Without anything between them, in scripts that are written so: 김민준.
    joined: Vec<String>,
}

/// A shorter name is one of many words.
const SHORTEST: usize = 4;
/// The same of a name whose signs are syllables or words.
const SHORTEST_JOINED: usize = 3;

impl Names {
    pub(super) fn learn(&mut self, first: &str, last: &str) {
        for (one, other) in [(first, last), (last, first)] {
            let name = words_of(&format!("{one} {other}"));
            if name.trim().chars().count() >= SHORTEST && !self.spoken.contains(&name) {
                self.spoken.push(name);
            }
            let joined = letters_of(&format!("{one}{other}"));
            let is_written_so = joined.chars().all(has_no_spaces);
            if is_written_so && joined.chars().count() >= SHORTEST_JOINED && !self.joined.contains(&joined) {
                self.joined.push(joined);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spoken.is_empty() && self.joined.is_empty()
    }

    /// Whether one of them is in the text, which is in lower case.
    pub(super) fn stand_in(&self, text: &str) -> bool {
        let mut words = String::new();
        let mut letters = String::new();
        if !self.spoken.is_empty() {
            words = words_of(text);
        }
        if !self.joined.is_empty() {
            letters = letters_of(text);
        }
        self.spoken.iter().any(|name| words.contains(name))
            || self.joined.iter().any(|name| letters.contains(name))
    }
}

/// Hangul, Han and Kana: names are written without a space, and particles follow at once.
fn has_no_spaces(c: char) -> bool {
    matches!(c,
        '\u{3005}' | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The words in lower case, whatever lies between them, with a space before and after each.
fn words_of(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + 2);
    words.push(' ');
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words.push_str(&word.to_lowercase());
        words.push(' ');
    }
    words
}

/// Letters and digits alone.
fn letters_of(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_either_order_and_not_within_other_words() {
        let mut names = Names::default();
        names.learn("Ann", "Lee");
        for (text, expected) in [
            ("ann lee", true),
            ("lee;ann", true),
            ("\"ann\",\"lee\"", true),
            ("joann leeson", false),
            ("annlee", false),
            ("ann", false),
        ] {
            assert_eq!(names.stand_in(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_written_without_a_space_is_found_with_and_without_one() {
        for (first, last) in [("민준", "김"), ("김민준", ""), ("", "김민준")] {
            let mut names = Names::default();
            names.learn(first, last);
            for text in ["김민준", "새 고객: 김민준님", "(김민준)"] {
                assert!(names.stand_in(text), "{first} {last}: {text}");
            }
            assert!(!names.stand_in("김민"), "{first} {last}");
        }
        let mut names = Names::default();
        names.learn("민준", "김");
        assert!(names.stand_in("김 민준") && names.stand_in("민준 김") && names.stand_in("김, 민준 님"));
        names.learn("小明", "王");
        assert!(names.stand_in("王小明") && !names.stand_in("王小"));
    }

    #[test]
    fn a_word_that_is_too_short_does_not_count_as_a_name() {
        for (first, last) in [("", ""), ("Bo", ""), ("산", "이"), ("-", "."), ("A", "B")] {
            let mut names = Names::default();
            names.learn(first, last);
            assert!(names.is_empty(), "{first} {last}");
        }
    }
}
