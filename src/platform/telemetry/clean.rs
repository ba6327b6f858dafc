//! Standard error as the log writes to it: whatever an event holds, of leadflow or of a library and
//! at any level, it is one line, does nothing to a terminal and has no secret.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Value, json};
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, FormatFields, Writer};

use super::Format;
use crate::text::foreign;

/// Characters of a line, and of a text in a JSON line.
const LONGEST: usize = 16 << 10;
/// What the formatter ends its own colours with.
const NO_COLOR: &str = "\u{1b}[0m";

/// Makes a writer for each event, which is written whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clean {
    pub(super) format: Format,
    pub(super) has_color: bool,
}

impl MakeWriter<'_> for Clean {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl Write for Clean {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(format!("{}\n", self.cleaned(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The fields of a text line, each cleaned before it is coloured: the formatter's own escapes no control
/// in a field that is displayed.
pub(super) fn fields() -> impl for<'w> FormatFields<'w> + 'static {
    let one = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        let value = foreign::line(&format!("{value:?}"), LONGEST);
        let name = field.name().trim_start_matches("r#");
        match name {
            "message" => write!(writer, "{value}"),
            // Where a library that logs by other means has said it.
            name if name.starts_with("log.") => Ok(()),
            name if writer.has_ansi_escapes() => {
                write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
            }
            name => write!(writer, "{name}={value}"),
        }
    };
    format::debug_fn(one).delimited(" ")
}

impl Clean {
    fn cleaned(self, event: &[u8]) -> String {
        let text = String::from_utf8_lossy(event);
        match self.format {
            Format::Json => json_line(&text),
            Format::Text if self.has_color => colored_line(&text),
            Format::Text => kept(text.trim_end()),
        }
    }
}

fn json_line(text: &str) -> String {
    let mut value =
        serde_json::from_str(text).unwrap_or_else(|_| json!({ "message": foreign::line(text, LONGEST) }));
    shorten(&mut value);
    foreign::json(value, false)
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LONGEST => *text = foreign::line(text, LONGEST),
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

/// The colours of the formatter alone are left; [`fields`] has taken those of others out.
fn colored_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut pieces = text.trim_end().split('\u{1b}');
    line.push_str(&kept(pieces.next().unwrap_or_default()));
    for piece in pieces {
        let end = piece.find(|c: char| !matches!(c, '[' | ';') && !c.is_ascii_digit());
        match end.filter(|end| piece.starts_with('[') && piece[*end..].starts_with('m')) {
            Some(end) => {
                line.push('\u{1b}');
                line.push_str(&piece[..=end]);
                line.push_str(&kept(&piece[end + 1..]));
            }
            None => line.push_str(&kept(piece)),
        }
    }
    line + NO_COLOR
}

/// A piece between two colours, with the blanks at its ends.
fn kept(piece: &str) -> String {
    let begin = piece.len() - piece.trim_start_matches(' ').len();
    let end = piece.trim_end_matches(' ').len().max(begin);
    format!("{}{}{}", &piece[..begin], foreign::line(&piece[begin..end], LONGEST), &piece[end..])
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const HOSTILE: &str = "a\u{1b}[31mb\u{1b}]0;t\u{7}c\r\nERROR d\u{9b}1me\u{202e}f\0g\u{8}\u{2028}h";

    /// The output format of an event that holds hostile text in its message and its fields.
    fn written(format: Format, has_color: bool) -> String {
        #[derive(Clone, Default)]
        struct Kept(Arc<Mutex<Vec<u8>>>);
        impl Write for Kept {
            fn write(&mut self, event: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(event);
                Ok(event.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let kept = Kept::default();
        let writer = kept.clone();
        let builder = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_target(false);
        let log = || tracing::warn!(name = HOSTILE, shown = %HOSTILE, like = ?Some(HOSTILE), "{HOSTILE}");
        match format {
            Format::Json => {
                tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), log);
            }
            Format::Text => {
                let subscriber = builder.compact().fmt_fields(fields()).with_ansi(has_color).finish();
                tracing::subscriber::with_default(
                    subscriber.with(tracing_subscriber::filter::LevelFilter::TRACE),
                    log,
                );
            }
        }
        let event = kept.0.lock().unwrap().clone();
        Clean { format, has_color }.cleaned(&event)
    }

    #[test]
    fn an_event_is_one_line_that_does_nothing_to_a_terminal() {
        let plain = written(Format::Text, false);
        assert!(!plain.contains(|c: char| c.is_control() || "\u{202e}\u{2028}".contains(c)), "{plain:?}");
        assert!(plain.contains("WARN") && plain.contains("name="), "{plain}");
        let colored = written(Format::Text, true);
        let without_own = ["0m", "2m", "3m", "33m"]
            .iter()
            .fold(colored.clone(), |text, own| text.replace(&format!("\u{1b}[{own}"), ""));
        assert!(colored.contains("\u{1b}[33m"), "{colored:?}");
        assert!(
            !without_own.contains(|c: char| c.is_control() || "\u{202e}\u{2028}".contains(c)),
            "{colored:?}"
        );
        let json = written(Format::Json, false);
        assert!(!json.contains(|c: char| c.is_control() || "\u{202e}\u{2028}".contains(c)), "{json:?}");
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((value["message"].as_str(), value["name"].as_str()), (Some(HOSTILE), Some(HOSTILE)));
    }

    #[test]
    fn no_line_is_endless_and_none_has_a_secret() {
        foreign::know_text("s3cret-of-the-log", foreign::Kind::Kept);
        for format in [Format::Text, Format::Json] {
            let text = "s3cret-of-the-log ".repeat(100_000);
            let event = if format == Format::Json { json!({ "message": text }).to_string() } else { text };
            let line = Clean { format, has_color: false }.cleaned(event.as_bytes());
            assert!(line.len() < 5 * LONGEST && !line.contains("s3cret"), "{}", &line[..100]);
        }
        let value = json!({ "s3cret-of-the-log": ["x s3cret-of-the-log", 1.5, null, true] }).to_string();
        let line = Clean { format: Format::Json, has_color: false }.cleaned(value.as_bytes());
        assert_eq!(line, r#"{"…":["x …",1.5,null,true]}"#);
    }
}
