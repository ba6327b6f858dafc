//! What the commands print.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
pub(super) use leadflow::text::counted::counted;
use leadflow::text::foreign;
use serde::Serialize;
use terminal_size::terminal_size_of;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::columns::{Column, Table};

/// From this width on a moment is shown whole.
const WIDE: usize = 100;
/// A day and month of less than this ago needs no year.
const HALF_A_YEAR: SignedDuration = SignedDuration::from_hours(182 * 24);
/// Prose is easier to read in shorter lines than a wide terminal has.
const PROSE: usize = 100;

/// Prints a text; that nobody reads on (`| head`) is not an error. Whatever others have written into it
/// does nothing to the terminal; where it must not begin a line of its own it goes through [`line`].
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_while_read(text).map(|_| ())
}

/// Prints a text; `false` when nobody reads on.
pub(super) fn print_while_read(text: &str) -> anyhow::Result<bool> {
    if text.is_empty() {
        return Ok(true);
    }
    let mut out = io::stdout().lock();
    let ending = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{}{ending}", foreign::lines(text)).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// Prints a value as indented JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&foreign::json(serde_json::to_value(value)?, true))
}

/// A value as JSON on one line.
pub(super) fn json_line(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(foreign::json(serde_json::to_value(value)?, false))
}

/// What others have written, as one line; blanks at its begin stay.
pub(super) fn line(text: &str) -> String {
    let blanks = text.len() - text.trim_start_matches(' ').len();
    format!("{}{}", &text[..blanks], foreign::line(&text[blanks..], usize::MAX))
}

/// What a row or a file holds, for standard output: as it is for a file or another program, and as
/// [`print`] has it on a terminal.
pub(super) fn raw() -> Box<dyn Write> {
    let out = io::stdout().lock();
    if io::stdout().is_terminal() { Box::new(Cleaned { out, line: Vec::new() }) } else { Box::new(out) }
}

/// Passes whole lines on.
struct Cleaned<W: Write> {
    out: W,
    line: Vec<u8>,
}

/// Bytes of a line that are kept back at most.
const LONGEST_LINE: usize = 64 << 10;

impl<W: Write> Write for Cleaned<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") || self.line.len() > LONGEST_LINE {
            self.pass()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass()?;
        self.out.flush()
    }
}

impl<W: Write> Cleaned<W> {
    fn pass(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        self.out.write_all(foreign::lines(&String::from_utf8_lossy(&line)).as_bytes())
    }
}

/// Whether a text does nothing to a terminal, and has no secret.
pub(super) fn does_nothing(text: &str) -> bool {
    foreign::lines(text) == text
}

/// Prints a line on standard error; that nobody reads it is not an error.
pub(super) fn eprint(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", foreign::lines(text.trim_end()));
}

/// As [`eprint`], for problems of flows.toml, which are cleaned before they are coloured.
pub(super) fn eprint_colored(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

/// Panics go through [`eprint`], too: their messages may hold what others have written.
pub(super) fn eprint_panics() {
    std::panic::set_hook(Box::new(|fault| {
        let thread = std::thread::current();
        eprint(&format!("thread '{}' {fault}", thread.name().unwrap_or("<unnamed>")));
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            eprint(&trace.to_string());
        }
    }));
}

pub(super) fn has_color_on_stderr() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Columns of the terminal, or what `COLUMNS` says where it is none; `None` where nobody watches
/// and nothing needs to be cut.
pub(super) fn width() -> Option<usize> {
    terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0)).or_else(asked_width)
}

/// Columns for problems of flows.toml on standard error.
pub(super) fn width_of_stderr() -> usize {
    let width = terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0)).or_else(asked_width);
    width.unwrap_or(PROSE).clamp(40, PROSE)
}

fn asked_width() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|width| *width > 0)
}

/// A table without lines, as wide as the terminal; its last column gives way.
pub(super) fn table(head: &[&'static str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let last = head.len().saturating_sub(1);
    let column = |(at, name): (usize, &&'static str)| {
        if at == last { Column::text(name).shrinks(8) } else { Column::text(name) }
    };
    let columns: Vec<_> = head.iter().enumerate().map(column).collect();
    Table::new(&columns, rows.collect(), width()).to_string()
}

/// The text in one line that is at most so wide, cut with … if need be.
pub(super) fn cut(text: &str, width: Option<usize>) -> String {
    let line = line(text);
    let Some(width) = width.filter(|width| line.width() > *width) else { return line };
    let mut cut = String::new();
    let mut used = 1;
    for c in line.chars() {
        used += c.width().unwrap_or_default();
        if used > width {
            break;
        }
        cut.push(c);
    }
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// Prose in lines that fit the terminal; those after the first are indented.
pub(super) fn wrapped(text: &str, indent: &str) -> String {
    let text = line(text);
    let Some(width) = width() else { return text };
    let options = textwrap::Options::new(width.min(PROSE))
        .subsequent_indent(indent)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(&text, options)
}

/// A moment as people of the zone read it.
pub(super) fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment for a table. Where the width is small it has no year, or, where that could be mistaken,
/// no time of day.
pub(super) fn moment_within(at: Timestamp, zone: &TimeZone, now: Timestamp, width: Option<usize>) -> String {
    if width.is_none_or(|width| width >= WIDE) {
        return moment(at, zone);
    }
    let form = if now.duration_since(at) < HALF_A_YEAR { "%m-%d %H:%M:%S" } else { "%Y-%m-%d" };
    at.to_zoned(zone.clone()).strftime(form).to_string()
}

/// `420 ms`, `12.3 s`, `4 min 20 s`.
pub(super) fn duration(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    let millis = length.as_millis();
    match seconds {
        ..1 => format!("{millis} ms"),
        1..60 => format!("{:.1} s", length.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_is_cut_by_columns_and_not_by_letters() {
        for (text, width, expected) in [
            ("marketplace", Some(11), "marketplace"),
            ("marketplace", Some(6), "marke…"),
            ("new leads", Some(5), "new…"),
            ("새로운 잠재 고객", Some(8), "새로운…"),
            ("한글", Some(4), "한글"),
            ("한글", Some(3), "한…"),
            ("two\nlines", None, "two lines"),
        ] {
            assert_eq!(cut(text, width), expected, "{text} in {width:?}");
        }
    }

    #[test]
    fn a_file_on_a_terminal_does_nothing_to_it() {
        let mut out = Cleaned { out: Vec::new(), line: Vec::new() };
        for piece in ["\u{feff}a,b\r\n", "x\u{1b}]0;", "t\u{7},\u{202e}\r\n", "end\u{9b}"] {
            out.write_all(piece.as_bytes()).unwrap();
        }
        out.flush().unwrap();
        assert_eq!(String::from_utf8(out.out).unwrap(), "a,b\nx ]0;t ,\nend ");
    }

    #[test]
    fn durations_and_moments_are_as_short_as_they_can_be() {
        for (millis, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (12_340, "12.3 s"),
            (260_000, "4 min 20 s"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(duration(SignedDuration::from_millis(millis)), expected);
        }
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Asia/Seoul").unwrap();
        for (at, width, expected) in [
            ("2026-05-01T00:00:00Z", Some(80), "05-01 09:00:00"),
            ("2025-12-31T14:00:00Z", Some(80), "12-31 23:00:00"),
            ("2025-11-30T15:00:00Z", Some(80), "2025-12-01"),
            ("2026-05-01T00:00:00Z", Some(100), "2026-05-01 09:00:00"),
            ("2026-05-01T00:00:00Z", None, "2026-05-01 09:00:00"),
        ] {
            assert_eq!(moment_within(at.parse().unwrap(), &zone, now, width), expected, "{at} in {width:?}");
        }
    }
}
