//! Date formats as .NET, Power Automate and JavaScript write them, translated into the letters of `date`.

/// Runs of letters, each with what it is here; of .NET where the two differ in the minutes and months.
const LETTERS: [(&str, &str); 21] = [
    ("yyyy", "%Y"),
    ("YYYY", "%Y"),
    ("yy", "%y"),
    ("YY", "%y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("M", "%-m"),
    ("dddd", "%A"),
    ("ddd", "%a"),
    ("dd", "%d"),
    ("DD", "%d"),
    ("d", "%-d"),
    ("HH", "%H"),
    ("H", "%-H"),
    ("hh", "%I"),
    ("h", "%-I"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("tt", "%p"),
    ("zzz", "%:z"),
];
/// One of these is in every such format; a single letter may be a word of a language.
const SURE: [&str; 10] = ["yyyy", "YYYY", "yy", "MM", "MMM", "dd", "DD", "HH", "mm", "ss"];

/// What the format would be here, where it is one of another language.
pub(super) fn meant(format: &str) -> Option<String> {
    let mut translated = String::new();
    let mut rest = format;
    let mut is_sure = false;
    while let Some(c) = rest.chars().next() {
        if c == '%' {
            // A directive with its flags, which stays.
            let length =
                1 + rest[1..].find(|c: char| c.is_ascii_alphabetic() || c == '%').map_or(0, |at| at + 1);
            translated.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let length = rest.find(|other: char| other != c).unwrap_or(rest.len());
        let run = &rest[..length];
        match LETTERS.iter().find(|(letters, _)| *letters == run) {
            Some((letters, here)) => {
                is_sure |= SURE.contains(letters);
                translated.push_str(here);
            }
            None => translated.push_str(run),
        }
        rest = &rest[length..];
    }
    is_sure.then_some(translated)
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn formats_of_other_languages_are_translated() {
        for (format, expected) in [
            ("yyyy-MM-dd", Some("%Y-%m-%d")),
            ("yyyy-MM-ddTHH:mm:ss", Some("%Y-%m-%dT%H:%M:%S")),
            ("d MMMM yyyy", Some("%-d %B %Y")),
            ("MM/dd/yy hh:mm tt", Some("%m/%d/%y %I:%M %p")),
            ("%Y-MM-dd", Some("%Y-%m-%d")),
            ("%-d.MM, 100%% of yyyy", Some("%-d.%m, 100%% of %Y")),
            ("yyyy년 MM월 dd일", Some("%Y년 %m월 %d일")),
            ("%Y-%m-%d %H:%M", None),
            ("%-d. %B %Y", None),
            ("%Y년 %m월", None),
            ("at %H h", None),
            ("", None),
            ("100%", None),
        ] {
            assert_eq!(meant(format).as_deref(), expected, "{format}");
        }
    }
}
