//! What somebody may have meant who wrote a word that nobody knows.

/// `did you mean x? `, or nothing.
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    let lower = word.to_lowercase().replace('-', "_");
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase().replace('-', "_")), known));
    let nearest = near.min_by_key(|(distance, _)| *distance);
    let nearest =
        nearest.filter(|(distance, _)| *distance <= (word.len() / 3).max(1)).map(|(_, known)| known);
    let begun = || known.iter().find(|known| word.len() >= 3 && known.to_lowercase().starts_with(&lower));
    nearest.or_else(begun).map_or_else(String::new, |known| format!("did you mean `{known}`? "))
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn the_nearest_word_or_the_one_that_begins_so() {
        for (word, expected) in [
            ("emial", "did you mean `email`? "),
            ("First-Name", "did you mean `first_name`? "),
            ("desc", "did you mean `description`? "),
            ("xyz", ""),
            ("emxyl", ""),
        ] {
            assert_eq!(did_you_mean(word, &["email", "first_name", "description"]), expected);
        }
    }
}
