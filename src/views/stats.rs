//! `stats`.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::stats::{Days, Tally};

/// Runs counted by day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct StatsView {
    /// How many, today among them.
    pub days: u16,
    /// The zone of the days.
    pub time_zone: String,
    /// When the first day begins.
    pub since: Timestamp,
    /// By flow.
    pub flows: Vec<FlowStatsView>,
    /// Of all flows.
    pub total: TallyView,
}

/// The runs of a flow by day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct FlowStatsView {
    /// Its name.
    pub flow: String,
    /// The oldest first.
    pub days: Vec<DayView>,
    /// Of all days.
    pub total: TallyView,
}

/// The runs of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct DayView {
    /// The day.
    pub day: Date,
    /// Its runs.
    #[serde(flatten)]
    pub tally: TallyView,
}

/// Runs counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TallyView {
    /// All of them.
    pub runs: u64,
    /// Those that failed.
    pub failed: u64,
    /// Rows that went into a mail.
    pub rows: u64,
    /// Mails.
    pub mails: u64,
    /// The duration that half of the ended runs do not exceed, in milliseconds.
    pub median_ms: Option<i64>,
    /// The longest duration, in milliseconds.
    pub longest_ms: Option<i64>,
}

impl From<&Tally> for TallyView {
    fn from(tally: &Tally) -> Self {
        let millis = |length: SignedDuration| i64::try_from(length.as_millis()).ok();
        Self {
            runs: tally.runs,
            failed: tally.failed,
            rows: tally.rows,
            mails: tally.mails,
            median_ms: tally.median().and_then(millis),
            longest_ms: tally.longest().and_then(millis),
        }
    }
}

impl FlowStatsView {
    /// Of a flow of that name.
    pub fn new(flow: &str, days: &Days) -> Self {
        let of_day = |(day, tally): &(Date, Tally)| DayView { day: *day, tally: tally.into() };
        Self {
            flow: flow.to_owned(),
            days: days.days.iter().map(of_day).collect(),
            total: (&days.total).into(),
        }
    }
}
