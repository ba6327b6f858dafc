//! Words for what the state names by codes, in the language of who asks.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::history::{Cause, Outcome};
use crate::outbox::RecipientState;
use crate::web::frame::Frame;

/// How an outcome or a state looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Plain,
    Waits,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "badge good",
            Self::Plain => "badge",
            Self::Waits => "badge waits",
            Self::Bad => "badge bad",
        }
    }
}

/// The outcome of a run.
pub(in crate::web) fn outcome(frame: &Frame, word: &str) -> Markup {
    let (tone, words) = match Outcome::parse(word) {
        Some(Outcome::Running) => (Tone::Waits, frame.t("running", "실행 중")),
        Some(Outcome::NothingNew) => (Tone::Plain, frame.t("nothing new", "새 행 없음")),
        Some(Outcome::ConditionFalse) => (Tone::Plain, frame.t("condition false", "조건 불충족")),
        Some(Outcome::Waiting) => (Tone::Waits, frame.t("mail waiting", "메일 대기")),
        Some(Outcome::Sent) => (Tone::Good, frame.t("sent", "보냄")),
        Some(Outcome::PartlySent) => (Tone::Bad, frame.t("partly sent", "일부만 보냄")),
        Some(Outcome::Held) => (Tone::Bad, frame.t("held", "보류")),
        Some(Outcome::Failed) => (Tone::Bad, frame.t("failed", "실패")),
        Some(Outcome::Interrupted) => (Tone::Bad, frame.t("interrupted", "중단됨")),
        None => return html! { span.badge { (word) } },
    };
    html! { span class=(tone.class()) { (words) } }
}

/// The outcome alone, for a list to choose from.
pub(in crate::web) fn outcome_name(frame: &Frame, word: Outcome) -> &'static str {
    match word {
        Outcome::Running => frame.t("running", "실행 중"),
        Outcome::NothingNew => frame.t("nothing new", "새 행 없음"),
        Outcome::ConditionFalse => frame.t("condition false", "조건 불충족"),
        Outcome::Waiting => frame.t("mail waiting", "메일 대기"),
        Outcome::Sent => frame.t("sent", "보냄"),
        Outcome::PartlySent => frame.t("partly sent", "일부만 보냄"),
        Outcome::Held => frame.t("held", "보류"),
        Outcome::Failed => frame.t("failed", "실패"),
        Outcome::Interrupted => frame.t("interrupted", "중단됨"),
    }
}

/// Why a run happened.
pub(in crate::web) fn cause(frame: &Frame, word: &str) -> String {
    let words = match Cause::parse(word) {
        Some(Cause::Schedule) => frame.t("its schedule", "일정"),
        Some(Cause::Retry) => frame.t("a failed run before it", "앞선 실행의 실패"),
        Some(Cause::Once) => frame.t("leadflow run --once", "leadflow run --once"),
        Some(Cause::Trigger) => frame.t("started by hand", "직접 실행"),
        Some(Cause::Resubmit) => frame.t("resubmit of an earlier run", "이전 실행 다시 제출"),
        Some(Cause::Replay) => frame.t("replay of a range", "지난 기간 다시 실행"),
        None => return word.to_owned(),
    };
    words.to_owned()
}

/// The state of a recipient or of a whole mail, with the mark of uncertainty that `word` may bear.
pub(in crate::web) fn mail_state(frame: &Frame, word: &str) -> Markup {
    let (state, mark) = match word.split_once(", ") {
        Some((state, _)) => (state, true),
        None => (word, false),
    };
    let (tone, words) = match RecipientState::parse(state) {
        Some(RecipientState::Waiting) => (Tone::Waits, frame.t("waiting", "대기")),
        Some(RecipientState::Sent) => (Tone::Good, frame.t("sent", "보냄")),
        Some(RecipientState::Uncertain) => (Tone::Bad, frame.t("uncertain", "불확실")),
        Some(RecipientState::Held) => (Tone::Bad, frame.t("held", "보류")),
        Some(RecipientState::Dropped) => (Tone::Plain, frame.t("dropped", "포기함")),
        None => (Tone::Plain, lead_word(frame, state).unwrap_or(state)),
    };
    html! {
        span class=(tone.class()) { (words) }
        @if mark { " " span class=(Tone::Bad.class()) { (frame.t("uncertain", "불확실")) } }
    }
}

/// What became of a lead that no mail carries.
fn lead_word(frame: &Frame, state: &str) -> Option<&'static str> {
    Some(match state {
        "not read yet" => frame.t("not read yet", "아직 읽지 않음"),
        "not mailed" => frame.t("not mailed", "메일로 보내지 않음"),
        "no longer kept" => frame.t("no longer kept", "더 이상 보관하지 않음"),
        _ => return None,
    })
}

/// A moment and how long ago it was; machines read the whole of it.
pub(in crate::web) fn moment(frame: &Frame, at: Timestamp) -> Markup {
    html! { time datetime=(at) { (frame.moment(at)) } }
}

/// From which moment on.
pub(in crate::web) fn since(frame: &Frame, at: Timestamp) -> Markup {
    html! {
        @match frame.language.tag() {
            "ko" => { (moment(frame, at)) "부터" }
            _ => { "since " (moment(frame, at)) }
        }
    }
}

/// A message, in which what stands between backticks is code.
pub(in crate::web) fn marked(text: &str) -> Markup {
    let pieces: Vec<_> = text.split('`').collect();
    // Without its end a backtick is one of the text.
    let is_whole = pieces.len() % 2 == 1;
    html! {
        @if !is_whole { (text) }
        @else {
            @for (at, piece) in pieces.iter().enumerate() {
                @if at % 2 == 1 { code { (piece) } } @else { (piece) }
            }
        }
    }
}

/// How far a moment lies from now, for people.
pub(in crate::web) fn distance(frame: &Frame, at: Timestamp) -> String {
    let apart = frame.now.duration_since(at);
    let length = coarse(frame, apart.abs());
    let is_past = !apart.is_negative();
    match (frame.language.tag(), is_past) {
        ("ko", true) => format!("{length} 전"),
        ("ko", false) => format!("{length} 후"),
        (_, true) => format!("{length} ago"),
        (_, false) => format!("in {length}"),
    }
}

fn coarse(frame: &Frame, length: SignedDuration) -> String {
    let seconds = length.as_secs();
    let (count, english, korean) = match seconds {
        ..60 => (seconds, "second", "초"),
        60..3_600 => (seconds / 60, "minute", "분"),
        3_600..172_800 => (seconds / 3_600, "hour", "시간"),
        _ => (seconds / 86_400, "day", "일"),
    };
    match frame.language.tag() {
        "ko" => format!("{count}{korean}"),
        _ if count == 1 => format!("1 {english}"),
        _ => format!("{count} {english}s"),
    }
}

/// `< 1 ms`, `420 ms`, `12.3 s`, `4 min 20 s`.
pub(in crate::web) fn duration(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    match seconds {
        ..1 if length.as_millis() == 0 && length.is_positive() => "< 1 ms".to_owned(),
        ..1 => format!("{} ms", length.as_millis()),
        1..60 => format!("{:.1} s", length.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// A number with its noun.
pub(in crate::web) fn counted(frame: &Frame, count: u64, one: &str, many: &str, korean: &str) -> String {
    match (frame.language.tag(), count) {
        ("ko", _) => korean.replace("{}", &count.to_string()),
        (_, 1) => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code_and_everything_is_escaped() {
        for (text, expected) in [
            ("", ""),
            ("no table", "no table"),
            ("no table `a<b>` in `c`.", "no table <code>a&lt;b&gt;</code> in <code>c</code>."),
            ("a ` alone", "a ` alone"),
            ("`a", "`a"),
            ("`a` and `b", "`a` and `b"),
        ] {
            assert_eq!(marked(text).into_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_duration_has_the_unit_that_people_read() {
        for (micros, expected) in [
            (0, "0 ms"),
            (900, "< 1 ms"),
            (420_000, "420 ms"),
            (12_340_000, "12.3 s"),
            (260_000_000, "4 min 20 s"),
            (7_260_000_000, "2 h 1 min"),
        ] {
            assert_eq!(duration(SignedDuration::from_micros(micros)), expected);
        }
    }
}
