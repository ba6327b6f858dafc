//! Names of time zones: those of the IANA database, and what people write instead.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use windows_timezones::WindowsTimezone;

/// Abbreviations, which name no zone, and the places that use them.
const ABBREVIATIONS: [(&str, &[&str]); 36] = [
    ("KST", &["Asia/Seoul"]),
    ("JST", &["Asia/Tokyo"]),
    ("CST", &["America/Chicago", "Asia/Shanghai"]),
    ("CDT", &["America/Chicago"]),
    ("CT", &["America/Chicago"]),
    ("EDT", &["America/New_York"]),
    ("ET", &["America/New_York"]),
    ("MDT", &["America/Denver"]),
    ("MT", &["America/Denver"]),
    ("PST", &["America/Los_Angeles"]),
    ("PDT", &["America/Los_Angeles"]),
    ("PT", &["America/Los_Angeles"]),
    ("AKST", &["America/Anchorage"]),
    ("AST", &["America/Halifax", "Asia/Riyadh"]),
    ("BRT", &["America/Sao_Paulo"]),
    ("CEST", &["Europe/Berlin", "Europe/Paris"]),
    ("MEZ", &["Europe/Berlin"]),
    ("MESZ", &["Europe/Berlin"]),
    ("EEST", &["Europe/Athens", "Europe/Helsinki"]),
    ("WEST", &["Europe/Lisbon"]),
    ("BST", &["Europe/London"]),
    ("MSK", &["Europe/Moscow"]),
    ("TRT", &["Europe/Istanbul"]),
    ("IST", &["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"]),
    ("GST", &["Asia/Dubai"]),
    ("SGT", &["Asia/Singapore"]),
    ("HKT", &["Asia/Hong_Kong"]),
    ("ICT", &["Asia/Bangkok", "Asia/Ho_Chi_Minh"]),
    ("WIB", &["Asia/Jakarta"]),
    ("PHT", &["Asia/Manila"]),
    ("AWST", &["Australia/Perth"]),
    ("ACST", &["Australia/Adelaide"]),
    ("AEST", &["Australia/Sydney", "Australia/Brisbane"]),
    ("AEDT", &["Australia/Sydney"]),
    ("NZST", &["Pacific/Auckland"]),
    ("NZDT", &["Pacific/Auckland"]),
];

/// Places that stand for an offset, beside those of the abbreviations.
const PLACES: [&str; 7] = [
    "Asia/Kathmandu",
    "Asia/Kabul",
    "Asia/Karachi",
    "Asia/Dhaka",
    "America/Caracas",
    "Pacific/Honolulu",
    "America/St_Johns",
];

/// Winter and summer.
const SEASONS: [Timestamp; 2] =
    [Timestamp::constant(1_767_614_400, 0), Timestamp::constant(1_783_252_800, 0)];

/// Every name of the database.
static NAMES: LazyLock<Vec<String>> =
    LazyLock::new(|| jiff::tz::db().available().map(|name| name.to_string()).collect());

/// What to write instead of a name that the IANA database does not have.
pub fn instead_of(name: &str) -> String {
    let name = name.trim();
    if let Ok(zone) = TimeZone::get(&name.replace(" / ", "/").replace(' ', "_")) {
        return write(&[zone.iana_name().unwrap_or("UTC").to_owned()]);
    }
    if name.eq_ignore_ascii_case("z") {
        return write(&["UTC".to_owned()]);
    }
    if name.eq_ignore_ascii_case("local") {
        return "name the zone, such as \"Europe/Paris\" or \"Asia/Seoul\"".to_owned();
    }
    if let Some(zone) = of_windows(name) {
        return format!("this is a Windows name; {}", write(&[zone]));
    }
    if let Some((offset, places)) = label(name) {
        return of_label(offset, places);
    }
    if let Some(offset) = offset(name) {
        return of_offset(offset);
    }
    let abbreviation = ABBREVIATIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    if let Some((_, zones)) = abbreviation {
        let zones: Vec<String> = zones.iter().map(|zone| (*zone).to_owned()).collect();
        return format!("an abbreviation does not name a time zone; {}", write(&zones));
    }
    let zones = of_place(name);
    if zones.is_empty() { of_spelling(name) } else { write(&zones) }
}

/// What is surprising about a name that the database has.
pub fn surprise(name: &str) -> Option<(String, String)> {
    let lower = name.to_ascii_lowercase();
    if let Some(place) =
        [("est", "America/New_York"), ("mst", "America/Denver")].iter().find(|(known, _)| *known == lower)
    {
        let message = format!("`{name}` has no daylight saving time");
        return Some((message, format!("if the place has it, write \"{}\"", place.1)));
    }
    let hours: i8 = lower.strip_prefix("etc/gmt")?.parse().ok().filter(|hours| *hours != 0)?;
    let (side, other) = if hours.is_positive() { ("behind", '-') } else { ("ahead of", '+') };
    let hours = hours.unsigned_abs();
    let message =
        format!("`{name}` is {hours} h {side} UTC: names that start with Etc/ have their sign reversed");
    Some((message, format!("if the other side is meant, write \"Etc/GMT{other}{hours}\"")))
}

fn write(zones: &[String]) -> String {
    let quoted: Vec<String> = zones.iter().map(|zone| format!("\"{zone}\"")).collect();
    let words = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "an IANA name such as \"Europe/Paris\" or \"Asia/Seoul\"".to_owned(),
    };
    format!("write {words}")
}

/// Windows' names in any letter case, also those of its labels, such as `Pacific Time (US & Canada)`.
fn of_windows(name: &str) -> Option<String> {
    let words = |text: &str| {
        let word = |word: &str| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect()
            })
        };
        text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
    };
    let label = name.replace(" Time (US & Canada)", " Standard Time");
    let forms = [name.to_owned(), words(name), label, format!("{} Standard Time", words(name))];
    let zone = |form: &String| Some(form.parse::<WindowsTimezone>().ok()?.tzdb_id().to_owned());
    forms.iter().find_map(zone)
}

/// `(UTC+09:00) Seoul`, as Windows and Power Automate show a zone.
fn label(name: &str) -> Option<(Offset, &str)> {
    let (before, places) = name.strip_prefix('(')?.split_once(')')?;
    Some((offset(before)?, places.trim()))
}

fn of_label(offset: Offset, places: &str) -> String {
    let fits = |zone: &String| TimeZone::get(zone).is_ok_and(|zone| has(&zone, offset));
    let windows = of_windows(places).filter(fits);
    let mut zones: Vec<String> = match windows {
        Some(zone) => vec![zone],
        None => places.split(',').flat_map(|place| of_place(place.trim())).filter(fits).collect(),
    };
    zones.dedup();
    zones.truncate(4);
    if zones.is_empty() { of_offset(offset) } else { format!("this is a label; {}", write(&zones)) }
}

/// `GMT+9`, `UTC+09:00`, `utc 9`, `+0900`.
fn offset(name: &str) -> Option<Offset> {
    let lower = name.to_ascii_lowercase();
    let number = lower.strip_prefix("utc").or(lower.strip_prefix("gmt")).unwrap_or(&lower).trim();
    if number.is_empty() {
        return lower.starts_with(['u', 'g']).then_some(Offset::UTC);
    }
    let (sign, digits) = match number.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ if number.len() < lower.len() => (1, number),
        _ => return None,
    };
    let digits = digits.trim();
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let is_real = (0..=14).contains(&hours) && [0, 15, 30, 45].contains(&minutes);
    if is_real { Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok() } else { None }
}

fn of_offset(offset: Offset) -> String {
    if offset == Offset::UTC {
        return write(&["UTC".to_owned()]);
    }
    let of_abbreviations = ABBREVIATIONS.iter().flat_map(|(_, zones)| zones.iter().copied());
    let place = of_abbreviations
        .chain(PLACES)
        .find(|place| TimeZone::get(place).is_ok_and(|zone| has(&zone, offset)));
    let example = place.map_or_else(String::new, |place| format!(", for example \"{place}\""));
    let hours = offset.seconds() / 3_600;
    // No place is further away to the west.
    let fixed = if offset.seconds() % 3_600 == 0 && (-12..=14).contains(&hours) {
        format!("; without daylight saving time it is \"Etc/GMT{:+}\" (the sign is reversed)", -hours)
    } else {
        String::new()
    };
    format!("write the IANA name of the place{example}{fixed}")
}

fn has(zone: &TimeZone, offset: Offset) -> bool {
    SEASONS.iter().any(|season| zone.to_offset(*season) == offset)
}

/// Zones of that city.
fn of_place(name: &str) -> Vec<String> {
    let city = name.replace(' ', "_");
    let of = |zone: &&String| zone.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&city));
    NAMES.iter().filter(of).cloned().collect()
}

fn of_spelling(name: &str) -> String {
    // Short words are near to many.
    let is_guessed = name.len() > 5 && name.is_ascii();
    let nearest = NAMES
        .iter()
        .map(|zone| (strsim::damerau_levenshtein(&name.to_lowercase(), &zone.to_lowercase()), zone))
        .min();
    match nearest.filter(|(distance, _)| is_guessed && *distance <= name.len() / 4) {
        Some((_, zone)) => format!("did you mean `{zone}`?"),
        None => write(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_people_write_has_its_answer() {
        let answers: Vec<String> = [
            "KST",
            "CST",
            "pst",
            "Z",
            "local",
            "GMT+9",
            "UTC+9",
            "9",
            "0900",
            "UTC+09:00",
            "utc 9",
            "+0900",
            "-03:30",
            "UTC+5:30",
            "GMT+25",
            "UTC+09:00:00",
            "(UTC+09:00) Seoul",
            "(UTC) Coordinated Universal Time",
            "(UTC-08:00) Pacific Time (US & Canada)",
            "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna",
            "(UTC+05:30) Chennai, Kolkata, Mumbai, New Delhi",
            "(UTC+12:45) Chatham Islands",
            "(UTC-07:00) Arizona",
            "(GMT+09:00) Seoul",
            "(UTC+09:00) Osaka, Sapporo, Tokyo",
            "Korea Standard Time",
            "korea standard time",
            "Korea",
            "Seoul",
            "new york",
            "Asia / Seoul",
            " Asia/Seoul ",
            "Asia/Soul",
            "Europe/Berln",
            "한국",
            "KST-9",
            "XYZ",
            "Japna",
            "",
            "Central European Time",
            "Mars/Olympus",
            "+",
            "(",
            "UTC+é",
        ]
        .iter()
        .map(|name| format!("{name} → {}", instead_of(name)))
        .collect();
        insta::assert_snapshot!(answers.join("\n"));
    }

    #[test]
    fn an_answer_is_a_name_that_is_known() {
        for (_, zones) in ABBREVIATIONS {
            assert!(zones.iter().all(|zone| TimeZone::get(zone).is_ok()), "{zones:?}");
        }
        for place in PLACES {
            assert!(TimeZone::get(place).is_ok(), "{place}");
        }
    }

    #[test]
    fn a_surprising_name_of_a_zone_is_noted_with_the_one_that_may_be_meant() {
        for (name, expected) in [
            ("Etc/GMT+9", Some(("`Etc/GMT+9` is 9 h behind UTC", "Etc/GMT-9"))),
            ("etc/gmt-9", Some(("`etc/gmt-9` is 9 h ahead of UTC", "Etc/GMT+9"))),
            ("EST", Some(("`EST` has no daylight saving time", "America/New_York"))),
            ("MST", Some(("`MST` has no daylight saving time", "America/Denver"))),
            ("Asia/Seoul", None),
            ("Etc/GMT0", None),
        ] {
            let found = surprise(name);
            assert_eq!(found.is_some(), expected.is_some(), "{name}");
            let is_expected = |((message, help), (what, other)): ((String, String), (&str, &str))| {
                message.starts_with(what) && help.contains(&format!("\"{other}\""))
            };
            assert!(found.clone().zip(expected).is_none_or(is_expected), "{found:?}");
        }
    }
}
