//! Bar charts, drawn here, each with the table of its numbers.

use jiff::civil::Date;
use maud::{Markup, html};

use crate::views::stats::DayView;
use crate::web::frame::Frame;

/// What a chart shows of each day.
pub(in crate::web) struct Series<'a> {
    /// What is counted.
    pub(in crate::web) name: &'a str,
    /// The days, the oldest first.
    pub(in crate::web) days: &'a [DayView],
    /// The number that is drawn.
    pub(in crate::web) value: fn(&DayView) -> u64,
    /// How it is written.
    pub(in crate::web) words: fn(u64) -> String,
    /// It is something that is wrong.
    pub(in crate::web) is_bad: bool,
    /// The numbers of several days make one together.
    pub(in crate::web) adds_up: bool,
}

/// Of a bar and the gap after it, in units of the drawing.
const STEP: u64 = 10;
const BAR: u64 = 8;
const HEIGHT: u64 = 48;

/// A chart with its title, and its table behind a click.
pub(in crate::web) fn chart(frame: &Frame, series: &Series<'_>) -> Markup {
    let most = series.days.iter().map(series.value).max().unwrap_or_default();
    html! {
        figure.chart {
            figcaption { (series.name) @if most > 0 { span.soft { " " (frame.t("at most", "최대")) " " ((series.words)(most)) } } }
            (bars(series, most, &label(frame, series, most)))
            details {
                summary { (frame.t("Numbers", "숫자로 보기")) }
                table {
                    thead { tr { th scope="col" { (frame.t("Day", "날짜")) } th.number scope="col" { (series.name) } } }
                    tbody {
                        @for day in series.days {
                            tr { td { (day.day) } td.number { ((series.words)((series.value)(day))) } }
                        }
                    }
                }
            }
        }
    }
}

/// The bars alone, for a line of a table.
pub(in crate::web) fn sparkline(frame: &Frame, series: &Series<'_>) -> Markup {
    let most = series.days.iter().map(series.value).max().unwrap_or_default();
    bars(series, most, &label(frame, series, most))
}

fn label(frame: &Frame, series: &Series<'_>, most: u64) -> String {
    let span = match (series.days.first(), series.days.last()) {
        (Some(first), Some(last)) => format!("{} – {}", short(first.day), short(last.day)),
        _ => String::new(),
    };
    let at_most = frame.t("at most a day", "하루 최대");
    let in_all = if series.adds_up {
        let total = series.days.iter().map(series.value).sum();
        format!("{} {}, ", frame.t("in all", "합계"), (series.words)(total))
    } else {
        String::new()
    };
    format!("{}, {span}: {in_all}{at_most} {}", series.name, (series.words)(most))
}

fn short(day: Date) -> String {
    day.strftime("%m-%d").to_string()
}

fn bars(series: &Series<'_>, most: u64, label: &str) -> Markup {
    let width = STEP * series.days.len() as u64;
    let class = if series.is_bad { "bar bad" } else { "bar" };
    html! {
        svg.bars viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            line.ground x1="0" x2=(width) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (at, day) in (0..).zip(series.days) {
                @let value = (series.value)(day);
                @if let Some(height) = height(value, most) {
                    rect class=(class) x=(at * STEP) y=(HEIGHT - height) width=(BAR) height=(height) {
                        title { (day.day) ": " ((series.words)(value)) }
                    }
                }
            }
        }
    }
}

/// The smallest number that is not 0 is seen.
fn height(value: u64, most: u64) -> Option<u64> {
    let share = u128::from(value) * u128::from(HEIGHT) / u128::from(most.max(1));
    (value > 0).then(|| u64::try_from(share).unwrap_or(HEIGHT).max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_share_and_never_hides_a_row() {
        for (value, most, expected) in [
            (0, 0, None),
            (0, 9, None),
            (9, 9, Some(48)),
            (1, 2, Some(24)),
            (1, 1_000, Some(2)),
            (u64::MAX, u64::MAX, Some(48)),
        ] {
            assert_eq!(height(value, most), expected, "{value} of {most}");
        }
    }
}
