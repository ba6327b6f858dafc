//! The simulated table service: small pages, time that passes while it answers, pages that fail.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::seat::Seat;
use super::story::{MINUTE, Rule, SECOND};
use super::world::{Scan, Span, Spans, State, moment};
use super::{Break, state};
use leadflow::filter::Filter;
use leadflow::platform::blocking::Interruption as _;
use leadflow::rows::row::Row;
use leadflow::schedule::window::EVER;
use leadflow::services::table::{Continuation, Page, Query, ServiceTime, TableError, TableReader};

/// A flow's way to its table.
#[derive(Debug)]
pub(super) struct SimulatedTable {
    pub(super) seat: Arc<Seat>,
    pub(super) flow: usize,
    pub(super) table: usize,
    /// The file that the run was begun with.
    pub(super) file: usize,
}

/// The name of a table.
pub(super) fn name_of(table: usize) -> String {
    format!("leads{table}")
}

/// The table of a name.
pub(super) fn number_of(name: &str) -> Option<usize> {
    name.strip_prefix("leads")?.parse().ok()
}

/// The identity of a table.
pub(super) fn identity(table: usize) -> String {
    format!("simulated:{table}")
}

#[async_trait]
impl TableReader for SimulatedTable {
    fn identity(&self) -> String {
        identity(self.table)
    }

    fn address(&self) -> String {
        identity(self.table)
    }

    async fn ask_time(&self) -> Result<ServiceTime, TableError> {
        self.seat.point().await;
        let (start, took) = {
            let mut state = self.seat.world.lock();
            let table = &mut state.flows[self.flow].tables[self.table];
            table.was_asked = true;
            (state.now, state.latency(self.seat.world.is_alone()))
        };
        self.note_asked();
        self.seat.pass(took).await;
        self.seat.world.lock().fail(self.table)?;
        let served = self.service_time(start).await;
        self.seat.world.lock().flows[self.flow].tables[self.table].began_dateless |= served.date.is_none();
        self.seat.point().await;
        Ok(served)
    }

    async fn page(
        &self,
        query: &Query,
        from: Option<Continuation>,
    ) -> Result<(Page, Option<Continuation>), TableError> {
        self.seat.point().await;
        let answer = self.answer(query, from).await?;
        self.seat.point().await;
        Ok(answer)
    }
}

impl SimulatedTable {
    async fn answer(
        &self,
        query: &Query,
        from: Option<Continuation>,
    ) -> Result<(Page, Option<Continuation>), TableError> {
        let of_old = query.filter.as_ref().is_some_and(|filter| filter.contains(&EVER.to_string()));
        let (start, took) = {
            let mut state = self.seat.world.lock();
            let start = state.now;
            if from.is_none() {
                let span = Some(Span { start, end: None });
                let spans = &mut state.flows[self.flow].tables[self.table].under_way[self.seat.host];
                if of_old { spans.before = span } else { spans.main = span }
            }
            (start, state.latency(self.seat.world.is_alone()))
        };
        self.note_asked();
        self.seat.pass(took).await;
        let (rows, next) = {
            let mut state = self.seat.world.lock();
            state.fail(self.table)?;
            let (rows, next) = self.read(&mut state, query, from)?;
            if next.is_none() {
                let now = state.now;
                let spans = &mut state.flows[self.flow].tables[self.table].under_way[self.seat.host];
                let span = if of_old { &mut spans.before } else { &mut spans.main };
                if let Some(span) = span {
                    span.end = Some(now);
                }
            }
            (rows, next)
        };
        let served = self.service_time(start).await;
        self.sabotage(of_old, served.date);
        Ok((Page { rows, served }, next))
    }

    /// Where nodes share the state nobody sees which of them finds the flow due first; to ask is later than that.
    fn note_asked(&self) {
        let mut state = self.seat.world.lock();
        let by_host = state.now + state.hosts[self.seat.host].offset;
        let at = (state.now, by_host);
        if !self.seat.world.is_alone() {
            state.flows[self.flow].tables[self.table].due.get_or_insert(at);
        }
    }

    /// The service writes its date to the second, at some moment after it looked.
    async fn service_time(&self, start: i64) -> ServiceTime {
        let (looked, more) = {
            let mut state = self.seat.world.lock();
            (state.now, state.dice.i64(0..SECOND))
        };
        self.seat.pass(more).await;
        let mut state = self.seat.world.lock();
        let passed = state.now - looked;
        let date = (looked + state.dice.i64(0..=passed)).div_euclid(SECOND) * SECOND;
        let took = Duration::from_micros((state.now - start).unsigned_abs());
        ServiceTime { date: (!state.is_dateless).then(|| moment(date)), took }
    }

    /// The matching ones of the next few rows.
    fn read(
        &self,
        state: &mut State,
        query: &Query,
        from: Option<Continuation>,
    ) -> Result<(Vec<Row>, Option<Continuation>), TableError> {
        let filter = query.filter.as_deref().map(Filter::parse).transpose();
        let filter = filter.map_err(|error| TableError::new(error.to_string()))?;
        let from = from.map(|(partition, row)| format!("{partition}/{}", row.unwrap_or_default()));
        // Now and then a page without any row, as the service has them.
        let most = if from.is_none() && state.dice.u8(0..8) == 0 { 0 } else { state.dice.usize(2..12) };
        let passes_over = self.seat.world.story.files[self.file][self.flow].rule == Rule::Nothing;
        let mut rows = Vec::new();
        let mut seen = Vec::new();
        let mut next = None;
        for (key, version) in state.tables[self.table].range(from.unwrap_or_default()..) {
            if seen.len() == most {
                next =
                    key.split_once('/').map(|(partition, row)| (partition.to_owned(), Some(row.to_owned())));
                break;
            }
            seen.push(*version);
            let row = Row::from_text(state.versions[*version].json.clone());
            let row = row.map_err(|error| TableError::new(error.to_string()))?;
            if filter.as_ref().is_none_or(|filter| filter.matches(&row)) {
                rows.push(row);
            }
        }
        if passes_over {
            state.flows[self.flow].skipped.extend(seen);
        }
        Ok((rows, next))
    }

    /// What a broken leadflow would do: it takes the scan for committed when it has only begun.
    fn sabotage(&self, of_old: bool, date: Option<Timestamp>) {
        let world = &self.seat.world;
        let moves = !of_old && world.break_it == Some(Break::WatermarkBeforeCommit);
        if let Some(date) = date.filter(|_| moves) {
            let name = &world.story.plans[self.flow].name;
            let _ = state::move_watermark(&world.store, name, date);
        }
    }
}

impl State {
    /// How long an answer takes; some take longer than a lease.
    fn latency(&mut self, is_alone: bool) -> i64 {
        match self.dice.u8(0..10) {
            0 => self.dice.i64(SECOND..if is_alone { MINUTE } else { 20 * SECOND }),
            1..=3 => self.dice.i64(0..if is_alone { 5 * SECOND } else { 2 * SECOND }),
            _ => self.dice.i64(0..SECOND / 5),
        }
    }

    fn fail(&mut self, table: usize) -> Result<(), TableError> {
        if self.dice.u8(0..100) >= self.table_failures[table] {
            return Ok(());
        }
        self.log_now(|| "the table service fails".to_owned());
        Err(TableError::new("the simulated table service fails"))
    }

    /// The flow's run has ended well: its scans are complete.
    pub(super) fn committed(&mut self, flow: usize, table: usize, file: usize, host: usize) {
        let scan = |span: Option<Span>| {
            let Span { start, end } = span?;
            Some(Scan { file, start, end: end? })
        };
        let journal = &mut self.flows[flow].tables[table];
        let Spans { before, main } = std::mem::take(&mut journal.under_way[host]);
        let (before, main) = (scan(before), scan(main));
        journal.first = journal.first.or(before);
        journal.scans.extend(main);
    }
}
